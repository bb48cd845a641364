"""What import saw, as the values that expressions can be: for names that source says nothing of.

It adds and never narrows: another environment may choose another class for the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from unstall.audit.imported import Imported
from unstall.audit.values import CLASS, FUNCTION, INSTANCE, MODULE, NOTHING, Values, instance

_SAYS = frozenset({INSTANCE, CLASS, FUNCTION, MODULE})


@dataclass(frozen=True, slots=True)
class Seen:
    """Classes of globals, and of attributes of the objects that they hold."""

    globals: Mapping[tuple[str, str], str] = field(default_factory=dict)
    members: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """By class and attribute."""
    bases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of others' classes: what they inherit from, nearest first."""

    def of_global(self, module: str, name: str, source: Values) -> Values:
        """`source`, or where that says nothing, what import saw."""
        if not self.globals or any(value.kind in _SAYS and not value.guess for value in source):
            return source
        known = self.globals.get((module, name))
        return instance(known) | source if known is not None else source

    def of_member(self, class_: str, name: str) -> Values:
        known = self.members.get((class_, name), ())
        return NOTHING.union(*(instance(each) for each in known))


def seen(imported: Imported) -> Seen:
    """Of what an app held when it was imported."""
    members: dict[tuple[str, str], set[str]] = {}
    for each in imported.globals.values():
        for name, type_ in each.attributes.items():
            members.setdefault((each.type, name), set()).add(type_)
        owner, dot, name = each.name.rpartition(".")
        if dot:  # an attribute of a class
            members.setdefault((f"{each.module}:{owner}", name), set()).add(each.type)
    return Seen(
        {key: each.type for key, each in imported.globals.items()},
        {key: frozenset(types) for key, types in members.items()},
        {name: bases for name, bases in imported.bases.items() if ":" not in name},
    )
