"""Whether somebody unknown may use what was opened: then opening stands for what that costs."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Set
from itertools import islice
from typing import NamedTuple

from unstall.audit.ir import Place, Via
from unstall.audit.scopes import FunctionNode, Scope
from unstall.audit.types_containers import called_by
from unstall.audit.uses import Use, handed_on
from unstall.audit.values import CLASS, EXTERNAL, FUNCTION, INSTANCE, Value, Values
from unstall.audit.walk import Walk
from unstall.audit.walk_nodes import Outside
from unstall.catalog.row import Cost, Effect, Row

Find = Callable[[Value, Via], tuple[Row | None, str]]


class _Parameter(NamedTuple):
    """Of a function of the project: it is followed there."""

    scope: Scope
    node: ast.arg


_Taken = _Parameter | str
_TOLD, _LEAVES, _UNKNOWN = "told", "leaves", "unknown"
"""The catalog says what is done with it; others find it; nobody says."""


class Handed:
    """Asked of calls whose result does its work when it is used."""

    def __init__(self, walk: Walk, find: Find, is_known: Callable[[Outside], bool]) -> None:
        self._walk = walk
        self._find = find
        self._is_known = is_known
        self._own: dict[int, bool | None] = {}
        self._classes: set[str] = set()
        self._looked_at = 0
        """Nodes of the walk: it may go on."""

    def to_unknown(self, scope: Scope, call: ast.Call, name: str) -> bool:
        """`name`: what is called. What leaves the functions that hand it on is followed by its class."""
        table = self._walk.types.table
        classes = {*table.returns(name), *table.enters(name)}
        if id(call) not in self._own:
            self._own[id(call)] = self._of(scope, call, classes)
        own = self._own[id(call)]
        if own is None:
            return not classes or not self._anywhere().isdisjoint(classes)
        return own

    def _of(self, scope: Scope, call: ast.Call, classes: Set[str]) -> bool | None:
        """None: it leaves where it can be followed."""
        leaves = False
        waiting: list[tuple[Scope, ast.expr | ast.arg]] = [(scope, call)]
        seen: set[int] = set()
        while waiting:
            where, made = waiting.pop()
            for use in handed_on(self._walk.types, where, made):
                if use.attribute and not any(self._works(f"{c}.{use.attribute}") for c in classes):
                    continue
                for taken in self._taken(use):
                    if taken is _UNKNOWN:
                        return True
                    if isinstance(taken, _Parameter) and len(seen) < _MOST:
                        if id(taken.node) not in seen:
                            waiting.append(taken)
                            seen.add(id(taken.node))
                    elif taken is not _TOLD:
                        leaves = True
        return None if leaves else False

    def _works(self, method: str) -> bool:
        """Whoever is handed the method may do the work."""
        row = self._walk.types.table.row_for(method)
        return row is not None and row.effect is Effect.BLOCKS and row.cost is not Cost.US

    def _taken(self, use: Use) -> Iterator[_Taken]:
        """By whom: for each function that is called there."""
        if not isinstance(use.into, ast.Call):
            yield _LEAVES
            return
        values = called_by(self._walk.types.values(use.scope, use.into.func))
        if not values:
            yield _LEAVES if getattr(use.into.func, "attr", "") in _KEEPS else _UNKNOWN
        for value in values:
            scope = self._walk.types.project.scope(value.name) if value.kind == FUNCTION else None
            if scope is None:
                yield self._says(value)
            else:
                parameter = None if use.is_inside else self._parameter(scope, value, use)
                yield _LEAVES if parameter is None else _Parameter(scope, parameter)

    def _parameter(self, scope: Scope, value: Value, use: Use) -> ast.arg | None:
        """The one that takes the argument; None: not known."""
        node, call = scope.node, use.into
        assert isinstance(call, ast.Call)
        if not isinstance(node, FunctionNode):
            return None
        places = (*node.args.posonlyargs, *node.args.args)
        if isinstance(use.given, ast.keyword):
            named = (each for each in (*places, *node.args.kwonlyargs) if each.arg == use.given.arg)
            return next(named, None)
        if any(isinstance(each, ast.Starred) for each in call.args):
            return None
        skip = bool(value.owner) and not self._walk.types.shape(scope).is_static
        place = next(n for n, each in enumerate(call.args) if each is use.given) + skip
        return places[place] if place < len(places) else None

    def _says(self, value: Value) -> _Taken:
        """Of others' functions, and classes of the project."""
        if value.kind == CLASS:
            return _LEAVES
        if value.kind != EXTERNAL:
            return _UNKNOWN
        if value.name.startswith("builtins."):
            return _LEAVES if value.name.rpartition(".")[2] in _KEEPS else _TOLD
        if value.name in self._walk.types.table.lazy:
            return _TOLD  # when it is iterated
        row = self._find(value, Via.CALL)[0]
        if row is None or (row.effect is Effect.BLOCKS and row.cost is Cost.US):
            return _UNKNOWN
        return _TOLD

    def _anywhere(self) -> set[str]:
        """Classes of what a call of which nothing is known is handed on the loop."""
        new = list(islice(self._walk.nodes.values(), self._looked_at, None))
        self._looked_at += len(new)
        for reached in new:
            for outside in reached.outside:
                seen = outside.seen
                if (
                    outside.place in (Place.LOOP, Place.STARTUP)
                    and seen.via is Via.CALL
                    and isinstance(seen.node, ast.Call)
                    and not self._is_known(outside)
                ):
                    given = self._given(reached.scope, seen.node)
                    self._classes.update(value.name for value in given)
        return self._classes

    def _given(self, scope: Scope, call: ast.Call) -> Iterator[Value]:
        for node in (*call.args, *(keyword.value for keyword in call.keywords)):
            inner = node.value if isinstance(node, ast.Starred) else node
            yield from with_elements(self._walk.types.known(scope, inner))


def with_elements(values: Values) -> Iterator[Value]:
    """Instances, and those that lie in a container among them."""
    for value in values:
        if value.kind == INSTANCE:
            yield value
            for held in value.items:
                yield from (each for each in held if each.kind == INSTANCE)


_MOST = 64
"""Parameters of the project's functions that one thing is followed through."""
_KEEPS = frozenset("append appendleft add extend insert put put_nowait setdefault update".split())
"""Methods that put what they are given where others find it."""
