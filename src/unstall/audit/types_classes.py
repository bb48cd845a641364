"""First-party classes: what they inherit, who inherits from them, and where a member is defined."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from unstall.audit.functions import takes
from unstall.audit.scopes import Binding, Scope
from unstall.audit.values import CLASS, EXTERNAL

if TYPE_CHECKING:
    from unstall.audit.types import Types

_DEEPEST = 24


class Member(NamedTuple):
    """Where a class of the order of resolution has an attribute."""

    owner: Scope
    bindings: tuple[Binding, ...]
    """In the body of the class."""
    assigned: tuple[tuple[Scope, Binding], ...]
    """To `self`, in its methods."""


class Classes:
    def __init__(self, types: Types) -> None:
        self._types = types
        self._bases: dict[str, tuple[str, ...]] = {}
        self._orders: dict[str, tuple[str, ...]] = {}
        self._below: dict[str, tuple[str, ...]] | None = None

    def scope(self, name: str) -> Scope | None:
        found = self._types.project.scope(name) if ":" in name else None
        return found if found is not None and found.kind == "class" else None

    def bases(self, name: str) -> tuple[str, ...]:
        """Of a first-party class: ids and dotted names, in order."""
        known = self._bases.get(name)
        if known is not None:
            return known
        self._bases[name] = ()  # a class that is its own base has none
        scope = self.scope(name)
        found: list[str] = []
        if scope is not None and scope.outer is not None and isinstance(scope.node, ast.ClassDef):
            for base in scope.node.bases:
                node = base.value if isinstance(base, ast.Subscript) else base
                values = self._types.known(scope.outer, node)
                found += [v.name for v in values if v.kind in (CLASS, EXTERNAL) and v.name != name]
        self._bases[name] = tuple(dict.fromkeys(found))
        return self._bases[name]

    def order(self, name: str) -> tuple[str, ...]:
        """The class, then what it inherits from, nearest first; the classes of others with their bases."""
        known = self._orders.get(name)
        if known is None:
            known = self._orders[name] = tuple(self._order(name, 0))
        return known

    def _order(self, name: str, depth: int) -> list[str]:
        if depth > _DEEPEST:
            return [name]
        if ":" not in name:
            return list(self._types.project.external_mro(name))
        below = [self._order(base, depth + 1) for base in self.bases(name)]
        merged = [name]
        for line in below:
            # A base that a later line inherits from comes after it, as in Python's own order.
            for each in line:
                if each in merged:
                    merged.remove(each)
                merged.append(each)
        return merged

    def subclasses(self, name: str) -> tuple[str, ...]:
        """First-party classes below, in modules that are no tests."""
        if self._below is None:
            below: dict[str, list[str]] = defaultdict(list)
            for scope in self._types.project.own_scopes():
                if scope.kind == "class":
                    for above in self.order(scope.id)[1:]:
                        below[above].append(scope.id)
            self._below = {name: tuple(names) for name, names in below.items()}
        return self._below.get(name, ())

    def find(self, name: str, attribute: str) -> Member | str | None:
        """The first in the order that has the attribute: ours, or the name of a foreign class."""
        for each in self.order(name):
            if ":" in each:
                member = self.own(each, attribute)
                if member is not None:
                    return member
            elif self.has(each, attribute):
                return each
        return None

    def own(self, name: str, attribute: str) -> Member | None:
        scope = self.scope(name)
        if scope is None:
            return None
        bindings = tuple(scope.bindings.get(attribute, ()))
        assigned = tuple(scope.attributes.get(attribute, ()))
        return Member(scope, bindings, assigned) if bindings or assigned else None

    def constructor(self, name: str) -> Scope | None:
        """The `__init__` that making an object runs, if it is ours."""
        found = self.find(name, "__init__")
        if not isinstance(found, Member):
            return None
        nodes = [binding.node for binding in found.bindings if binding.kind == "def"]
        return found.owner.children[id(nodes[-1])] if nodes else None

    def has(self, external: str, attribute: str) -> bool:
        """Whether anything is known of a foreign class's member."""
        full, table = f"{external}.{attribute}", self._types.table
        return bool(
            (full, "call") in table.rows or (full, "read") in table.rows
            or full in table.facts.returns or full in table.facts.attributes
        )  # fmt: skip

    def foreign(self, name: str) -> tuple[str, ...]:
        return tuple(each for each in self.order(name) if ":" not in each)

    def is_protocol(self, name: str) -> bool:
        return any(
            base in ("typing.Protocol", "typing_extensions.Protocol") for base in self.bases(name)
        )

    def implementers(self, name: str) -> tuple[str, ...]:
        """Classes with all methods of a protocol, called as it says, that do not inherit from it."""
        scope = self.scope(name)
        wanted = self._methods(scope) if scope is not None else {}
        if not wanted:
            return ()
        return tuple(
            other.id
            for other in self._types.project.own_scopes()
            if other.kind == "class" and other.id != name and wanted.keys() <= other.bindings.keys()
            if not self.is_protocol(other.id)
            if all(self._fits(other, method, asked) for method, asked in wanted.items())
        )

    def _methods(self, scope: Scope) -> dict[str, Scope]:
        """As a class body defines them last."""
        return {
            name: scope.children[id(nodes[-1])]
            for name, bindings in scope.bindings.items()
            if (nodes := [binding.node for binding in bindings if binding.kind == "def"])
        }

    def _fits(self, class_: Scope, method: str, wanted: Scope) -> bool:
        """What is no `def` may be anything."""
        own = self._methods(class_).get(method)
        return own is None or takes(self._types.shape(own), self._types.shape(wanted))
