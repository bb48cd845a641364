"""What is known of other people's code, by name: what blocks, what goes elsewhere, and what gives what.

Names are dotted and public. How a question is put:

* a call by the name of the function, or of the method on the class that has it: `sqlalchemy.orm.Session.get`;
  of an instance that is called itself, by `Class.__call__`; of a constructor, by the class;
* `for`, `with` and reading by the name of the class (`threading.Lock`, "enter"). A function that gives
  something lazy is a class, too, that of what it gives: `os.walk`, "iterate", and `returns("os.walk")`
  says `os.walk`;
* operators by their methods: `pathlib.Path.__truediv__`;
* what an unknown call gives by the call: `pkg.f().method`. Rows for all below `pkg` do not speak of it.

A row for `pkg.Class.*` speaks of the members of the class, one for `pkg.*` of all below, except what
belongs to a class whose name begins with Async; neither speaks of members that end in _async.
`pkg.Class.**` speaks of whole trees of attributes, as clients of web services have: each attribute is a
class of its own, `openai.OpenAI.chat.completions`. Of a class of the catalog inherited members are
found, too; of other classes the asker knows the bases.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files

from unstall.catalog import lookup
from unstall.catalog.reading import Classes, Facts, facts_of
from unstall.catalog.row import Cost, Effect, Row, TimeOut
from unstall.errors import UsageError

__all__ = ["Cost", "Effect", "Row", "Table", "TimeOut", "default", "installed"]

GROUP = "unstall.catalog"
"""Entry points: each is a mapping with the keys of `[tool.unstall.catalog]`, or gives it when called."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Facts of many files; the later ones win."""

    rows: Mapping[tuple[str, str], Row] = field(repr=False)
    """By name and via."""
    facts: Facts = field(repr=False)
    """Of types; its rows are those above."""
    lazy: frozenset[str] = field(repr=False)
    """Functions that stand for the class of what they give."""
    trees: frozenset[str] = field(repr=False)
    """Names of rows for whole trees of attributes."""
    families: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = field(repr=False, default=())
    """Names of classes of many packages, and their bases."""
    starts: tuple[str, ...] = field(repr=False, default=())
    """What these begin with."""
    modules: Mapping[str, str] = field(repr=False, default_factory=dict)
    """Modules that have a class of their own name, which is known."""
    _found: dict[tuple[str, str], Row | None] = field(repr=False, default_factory=dict)
    _public: dict[str, str] = field(repr=False, default_factory=dict)

    def row_for(self, name: str, via: str = "call") -> Row | None:
        """The exact name, else the longest row for a class or a module that it is in; None: not known."""
        key = name, via
        if key not in self._found:
            self._found[key] = self._row_for(self.canonical(name), via)
        return self._found[key]

    def _row_for(self, name: str, via: str) -> Row | None:
        rows = (self._own(each, via) for each in self._inherited(name))
        found = next((row for row in rows if row is not None), None) or self._around(name, via)
        if found is None and via == "call" and name in self.lazy and not _is_class(name):
            found = Row(name, Effect.CLEAN, note="what it gives blocks when it is used")
        return found

    def _own(self, name: str, via: str) -> Row | None:
        """Of the name itself, or of all members of the class that it is in."""
        found = self.rows.get((name, via))
        if found is None and _is_class(name):
            found = self._harmless(name, via)
        owner = name.rpartition(".")[0]
        if found is None and _is_class(owner):
            found = self.rows.get((f"{owner}.*", via)) or self.rows.get((f"{owner}.**", via))
            if found is not None and found.effect is Effect.BLOCKS and _is_async(name):
                found = None
        return found

    def _around(self, name: str, via: str) -> Row | None:
        """Of a tree of attributes or a module that the name is in."""
        owner = name.rpartition(".")[0]
        is_async = _is_async(name)
        while owner and not owner.endswith(")"):
            found = self.rows.get((f"{owner}.**", via))
            if found is None and not _is_class(owner):
                found = self.rows.get((f"{owner}.*", via))
            if found is not None and not (is_async and found.effect is Effect.BLOCKS):
                return found
            is_async = is_async or _is_async(owner)
            owner = owner.rpartition(".")[0]
        return None

    def _inherited(self, name: str) -> Iterator[str]:
        """The name, then that of the same member of each base of the class that it is in."""
        yield name
        owner, _, member = name.rpartition(".")
        waiting, seen = list(self.bases(owner)) if _is_class(owner) else [], {owner}
        while waiting:
            base = waiting.pop(0)
            if base not in seen:
                seen.add(base)
                yield f"{base}.{member}"
                waiting += self.bases(base)

    def _harmless(self, name: str, via: str) -> Row | None:
        """A class all of whose members are clean is clean to make."""
        rows = (self.rows.get((f"{name}.{end}", via)) for end in ("*", "**"))
        return next((row for row in rows if row and row.effect is Effect.CLEAN), None)

    def returns(self, name: str) -> tuple[str, ...]:
        """Classes of what calling a function, method or class gives."""
        name = self.canonical(name)
        for each in self._inherited(name):
            known = _own_or_all(self.facts.returns, each, each.rpartition(".")[0])
            if known is not None:
                return known
        return (name,) if name in self.lazy or _is_class(name) else ()

    def attribute(self, name: str) -> tuple[str, ...]:
        """Classes of an attribute, by `pkg.Class.attribute`."""
        name = self.canonical(name)
        owner = name.rpartition(".")[0]
        known = self.facts.attributes.get(name)
        if known is None and not self._is_method(name):
            known = self.facts.attributes.get(f"{owner}.*")
        if known is not None:
            return known
        while owner and not owner.endswith(")") and not _is_class(name):  # a class is no object
            if f"{owner}.**" in self.trees:
                return (name,)
            owner = owner.rpartition(".")[0]
        return ()

    def _is_method(self, name: str) -> bool:
        """Something is said of calling it."""
        return (name, "call") in self.rows or name in self.facts.returns

    def enters(self, name: str) -> tuple[str, ...]:
        """Classes of `x` in `with … as x`; a class that says nothing else gives itself."""
        name = self.canonical(name)
        return self.facts.enters.get(name, (name,) if _is_class(name) else ())

    def iterates(self, name: str) -> tuple[str, ...]:
        """Classes of the elements."""
        return self.facts.iterates.get(self.canonical(name), ())

    def unpacks(self, name: str) -> tuple[str, ...]:
        """The class of each element of the tuple that calling it gives."""
        return self.facts.unpacks.get(self.canonical(name), ())

    def meant(self, name: str) -> str:
        """The class that an annotation names; who names the module means its class: `Image` of PIL."""
        return self.modules.get(self.canonical(name), name)

    def bases(self, name: str) -> tuple[str, ...]:
        """Classes whose facts hold for this one, too."""
        name = owner = self.canonical(name)
        known = self.facts.bases.get(name)
        while known is None and (owner := owner.rpartition(".")[0]):
            known = self.facts.bases.get(f"{owner}.*")
        if known is None and name.startswith(self.starts):
            known = next((each for names, each in self.families if names.fullmatch(name)), None)
        return () if known is None or name in known else known

    def canonical(self, name: str) -> str:
        """The public name of what is defined or exported elsewhere as well."""
        known = self._public.get(name)
        if known is None:
            known = self._public[name] = self._canonical(name)
        return known

    def _canonical(self, name: str) -> str:
        public = self.facts.canonical
        for _ in range(3):
            head, tail = name, ""
            while head and head not in public:
                head, _, last = head.rpartition(".")
                tail = f".{last}{tail}"
            if not head:
                break
            name = public[head] + tail
        return name

    def extended(self, *more: Facts) -> Table:
        return table_of((self.facts, *more))


def table_of(facts: Iterable[Facts]) -> Table:
    merged = _merged(facts)
    rows = {(row.name, row.via): row for row in merged.rows}
    lazy = {
        name
        for (name, via), row in rows.items()
        if row.effect is Effect.BLOCKS and via in ("iterate", "enter", "exit")
    }
    lazy |= merged.iterates.keys() | merged.enters.keys() | merged.unpacks.keys()
    trees = frozenset(name for name, _ in rows if name.endswith(".**"))
    many = {name: classes for name, classes in merged.bases.items() if "*." in name}
    families = tuple((_family(name), classes) for name, classes in many.items())
    starts = tuple(sorted({name.partition("*")[0] for name in many}))
    return Table(rows, merged, frozenset(lazy), trees, families, starts, _modules(merged))


def _modules(facts: Facts) -> Mapping[str, str]:
    given = {class_ for classes in facts.returns.values() for class_ in classes}
    named = (*(row.name for row in facts.rows), *facts.returns, *facts.attributes)
    owners = {each.rpartition(".")[0] for each in named}
    modules = {owner: owner.rpartition(".")[0] for owner in owners}
    return {
        module: class_
        for class_, module in modules.items()
        if module and class_.endswith(f".{module.rpartition('.')[2]}")
        if _is_class(class_) or class_ in given
    }


def _merged(facts: Iterable[Facts]) -> Facts:
    facts = tuple(facts)

    def union(of: Callable[[Facts], Classes]) -> Classes:
        return {name: classes for each in facts for name, classes in of(each).items()}

    return Facts(
        rows=tuple(row for each in facts for row in each.rows),
        returns=union(lambda each: each.returns),
        attributes=union(lambda each: each.attributes),
        enters=union(lambda each: each.enters),
        iterates=union(lambda each: each.iterates),
        unpacks=union(lambda each: each.unpacks),
        bases=union(lambda each: each.bases),
        canonical={name: public for each in facts for name, public in each.canonical.items()},
    )


def read(data: Mapping[str, object], where: str) -> Facts:
    """Facts from what TOML says; raises UsageError."""
    return facts_of(data, where, lookup.rule_and_kind)


@cache
def default() -> Table:
    """What unstall brings along."""
    folder = files(__package__).joinpath("rows")
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    names = sorted(name for name in texts if name.endswith(".toml"))
    return table_of(read(tomllib.loads(texts[name]), name) for name in names)


def installed(project: Mapping[str, object] | None = None) -> Table:
    """With what packages add, and the project in `[tool.unstall.catalog]`; raises UsageError."""
    more = [_plugged(entry.name, entry.load) for entry in entry_points(group=GROUP)]
    if project:
        more.append(read(project, "[tool.unstall.catalog]"))
    return default().extended(*more) if more else default()


def plugins() -> tuple[str, ...]:
    """Who adds rows, and in which version."""
    return tuple(
        f"{entry.name} {entry.dist.version if entry.dist else ''}"
        for entry in entry_points(group=GROUP)
    )


def _plugged(name: str, load: Callable[[], object]) -> Facts:
    where = f"the catalog of the entry point {name}"
    try:
        given = load()
        data = given() if callable(given) else given
    except Exception as error:
        raise UsageError(
            f"{where} cannot be loaded ({type(error).__name__}: {error}): "
            "update or uninstall the package that brings it"
        ) from error
    if not isinstance(data, Mapping):
        raise UsageError(
            f"{where} is {data!r}: give a mapping with the keys of [tool.unstall.catalog]"
        )
    return read(data, where)


def _own_or_all(classes: Classes, name: str, owner: str) -> tuple[str, ...] | None:
    """What is said of a member, else of all members of its owner."""
    own = classes.get(name)
    return classes.get(f"{owner}.*") if own is None else own


def _family(name: str) -> re.Pattern[str]:
    """Each `*` stands for a part of a dotted name."""
    return re.compile(r"[\w.]*".join(map(re.escape, name.split("*"))))


def _is_class(name: str) -> bool:
    return name.rpartition(".")[2].lstrip("_")[:1].isupper()


def _is_async(name: str) -> bool:
    """`AsyncClient`, and `list_async` of a client that has both: rows for whole classes do not mean these."""
    own = name.rpartition(".")[2].lstrip("_")
    return own.startswith("Async") or own.endswith("_async")


def row_for(name: str, via: str = "call") -> Row | None:
    return default().row_for(name, via)


def returns(name: str) -> tuple[str, ...]:
    return default().returns(name)


def attribute(name: str) -> tuple[str, ...]:
    return default().attribute(name)


def enters(name: str) -> tuple[str, ...]:
    return default().enters(name)


def iterates(name: str) -> tuple[str, ...]:
    return default().iterates(name)


def bases(name: str) -> tuple[str, ...]:
    return default().bases(name)


def canonical(name: str) -> str:
    return default().canonical(name)
