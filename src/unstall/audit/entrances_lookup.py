"""What names, classes and attributes mean, without following values."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from unstall.audit.entrances_index import Binding, Class, Def, Index, Use, Where, own_nodes
from unstall.audit.ir import Names
from unstall.audit.loop_asked import ITS_OWN_LOOP

MOST_BASES = 256
"""Of one class: a longer line of classes was generated."""

_RUNNERS = frozenset("anyio.run trio.run curio.run typer.run fire.Fire fire.core.Fire".split())
"""They call what they are handed; a coroutine, as for `asyncio.run`, is a call itself."""


@dataclass(slots=True)
class Lookup:
    names: Names
    index: Index
    _attributes: dict[str, dict[str, list[tuple[Binding, Where]]]] = field(default_factory=dict)
    _bases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _roots: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def functions(self, node: ast.expr, where: Where) -> tuple[str, ...]:
        """First-party functions that the expression names, without calling it."""
        return tuple(id_ for id_ in self.named(node, where) if id_ in self.index.functions)

    def mains(self) -> Iterator[tuple[Use, str]]:
        """What `if __name__ == "__main__"` calls, or hands to `anyio.run` or a runner of its own."""
        for use in self.index.in_main:
            call = use.call
            handed = (*call.args, *(keyword.value for keyword in call.keywords))
            for each in (call.func, *(handed if self._runs(call.func, use.where) else ())):
                for function in self.functions(each, use.where):
                    yield use, function

    def blocks(self) -> list[set[str]]:
        """What one `if __name__ == "__main__"` calls, without loops that begin and end there."""
        apart = {
            id(part)
            for use in self.index.in_main
            if not ITS_OWN_LOOP.isdisjoint(self.named(use.call.func, use.where))
            for part in ast.walk(use.call)
        }
        found: dict[str, set[str]] = {}
        for use, function in self.mains():
            if id(use.call) not in apart:
                found.setdefault(use.where.module, set()).add(function)
        return list(found.values())

    def _runs(self, node: ast.expr, where: Where) -> bool:
        """It is over when what it is handed is over: anybody else's function may keep it for later."""
        return any(
            name in self.index.functions or name in _RUNNERS for name in self.named(node, where)
        )

    def named(self, node: ast.expr, where: Where) -> tuple[str, ...]:
        """What the expression names: functions and classes of the project by id, everything else dotted."""
        if isinstance(node, ast.Name):
            at = where
            while True:
                local = self.defined(node.id, at)
                if local:
                    return (local,)
                if not at.scope or node.id in self.index.bindings(at):
                    break
                at = self.index.outer(at)
        found = self.names.name_of(where.module, where.scope, node)
        if found or not isinstance(node, ast.Attribute):
            return tuple(found)
        return tuple(
            method.id
            for class_ in self.classes(node.value, where)
            if (method := self.method(class_, node.attr)) is not None
        )

    def defined(self, name: str, at: Where) -> str:
        """Id of the function or class of this name in this very scope; empty: there is none."""
        id_ = self.index.child(at, name)
        return id_ if id_ in self.index.functions or id_ in self.index.classes else ""

    def classes(self, node: ast.expr, where: Where) -> tuple[str, ...]:
        """Classes that the expression's value is an instance of; first-party ones by id."""
        if isinstance(node, ast.Name) and node.id in ("self", "cls"):
            own = self.index.class_of(where)
            if own is not None:
                return (own.id,)
        return tuple(self.names.types_of(where.module, where.scope, node))

    def attributes(self, class_: str) -> dict[str, list[tuple[Binding, Where]]]:
        """What the attributes of a first-party class are bound to, in its body, its methods and its bases."""
        known = self._attributes.get(class_)
        if known is None:
            known = self._attributes[class_] = {}
            for one in self.lineage(class_):
                for name, bound in self._own_attributes(one).items():
                    known.setdefault(name, bound)
        return known

    def _own_attributes(self, class_: Class) -> dict[str, list[tuple[Binding, Where]]]:
        found = {
            name: [(binding, class_.inside) for binding in bindings]
            for name, bindings in self.index.bindings(class_.inside).items()
        }
        for statement in class_.node.body:
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            inside = Where(class_.where.module, f"{class_.id}.{statement.name}")
            for node, certain in own_nodes(statement.body):
                if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                        if isinstance(target, ast.Attribute) and _is_self(target.value):
                            binding = Binding(node.value, node.lineno, certain=certain)
                            found.setdefault(target.attr, []).append((binding, inside))
        return found

    def method(self, class_: str, name: str) -> Def | None:
        """The first-party function that the class has under this name, its bases included."""
        for one in self.lineage(class_):
            found = self.index.functions.get(f"{one.id}.{name}")
            if found is not None:
                return found
        return None

    def lineage(self, class_: str) -> list[Class]:
        """The first-party classes among a class and its bases, nearest first."""
        found: dict[str, Class] = {}
        waiting = deque([class_])
        while waiting and len(found) < MOST_BASES:
            one = self.index.classes.get(waiting.popleft())
            if one is not None and one.id not in found:
                found[one.id] = one
                waiting += self._above(one)
        return list(found.values())

    def _above(self, class_: Class) -> tuple[str, ...]:
        """What a class names as its bases; once, because a chain of classes asks again and again."""
        known = self._bases.get(class_.id)
        if known is None:
            known = self._bases[class_.id] = tuple(
                name
                for base in class_.node.bases
                for name in self.named(_generic(base), class_.where)
            )
        return known

    def roots(self, class_: str) -> tuple[str, ...]:
        """The foreign classes that a class is or descends from, dotted."""
        if class_ not in self.index.classes:
            return (class_,)
        known = self._roots.get(class_)
        if known is None:
            known = self._roots[class_] = tuple(
                name
                for one in self.lineage(class_)
                for name in self._above(one)
                if name not in self.index.classes
            )
        return known


def _generic(base: ast.expr) -> ast.expr:
    """`Base[T]` is `Base`."""
    return base.value if isinstance(base, ast.Subscript) else base


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")
