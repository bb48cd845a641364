"""Whether a loop may go round many times: what it goes over, followed to where that comes from.

What is not shown to be many is not known: a list that is written out, a setting, an attempt that is repeated.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from itertools import islice

from unstall.audit import many_bound, many_calls, many_filled
from unstall.audit.fields import dotted
from unstall.audit.ir import Entrance, Place
from unstall.audit.many_names import TAKES, TAKES_FROM_FIRST
from unstall.audit.many_origins import answering
from unstall.audit.many_puts import Puts, of_first
from unstall.audit.many_trail import ANY, Asked, Call, Key, Trail, part_of
from unstall.audit.scan import Event
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import Mention
from unstall.audit.walk import Walk

_MOST = 48
"""Callers of one function that are followed."""
_DEEPEST = 300
"""Questions inside questions, a few of the interpreter's frames each."""
_ON_LOOPS = (Place.LOOP, Place.STARTUP, Place.SHUTDOWN)


class Many:
    """Asked loop by loop."""

    def __init__(self, walk: Walk, entrances: Iterable[Entrance]) -> None:
        self.types: Types = walk.types
        self.answering = answering(entrances)
        self._walk = walk
        self._on_loops: set[str] | None = None
        self._puts: dict[str, Puts] = {}
        self._calls: dict[str, tuple[Mention, ...]] = {}
        self._passing: dict[tuple[str, str], dict[str, list[Event]]] = {}
        self._made: dict[tuple[int, int], tuple[ast.AST, ast.Call]] = {}
        self._nowhere: set[Key] = set()
        self._deep = 0

    def of(self, scope: Scope, over: Sequence[ast.AST]) -> str:
        """What there may be many of, in a phrase; empty: nothing shows that there are."""
        self._deep = 0
        asked = Asked(self._nowhere)
        said = self.any(scope, over, Trail(asked=asked))
        if not said and not asked.is_cut:
            self._nowhere |= asked.keys
        return said

    def any(self, scope: Scope, nodes: Iterable[ast.AST | None], trail: Trail) -> str:
        found = (self.ask(scope, each, trail) for each in nodes if each is not None)
        return next(filter(None, found), "")

    def ask(self, scope: Scope, node: ast.AST, trail: Trail) -> str:
        if self._deep >= _DEEPEST:
            trail.asked.is_cut = True
            return ""
        if not trail.enters(node):
            return ""
        self._deep += 1
        said = self._asked(scope, node, trail)
        self._deep -= 1
        return said

    def _asked(self, scope: Scope, node: ast.AST, trail: Trail) -> str:
        match node:
            case ast.Await() | ast.NamedExpr() | ast.Starred():
                return self.ask(scope, node.value, trail)
            case ast.Name():
                return many_bound.name(self, scope, node, trail)
            case ast.Call():
                return many_calls.call(self, scope, node, trail)
            case ast.Attribute():
                return many_bound.attribute(self, scope, node, trail)
            case ast.Subscript():
                return self._subscript(scope, node, trail)
            case ast.While():
                return self._emptied(scope, node.test, trail)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(scope, node, trail)
            case ast.BinOp():
                return self.any(scope, (node.left, node.right), trail.somewhere())
            case ast.BoolOp():
                return self.any(scope, node.values, trail)
            case ast.IfExp():
                return self.any(scope, (node.body, node.orelse), trail)
            case ast.List() | ast.Tuple() | ast.Set():
                return self._written(scope, node, trail)
            case ast.Dict():
                return self._written_dict(scope, node, trail)
        return ""

    # Forms of expressions

    def _comprehension(
        self,
        scope: Scope,
        node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp,
        trail: Trail,
    ) -> str:
        element = node.value if isinstance(node, ast.DictComp) else node.elt
        said = self.any(scope, [part.iter for part in node.generators], trail)
        return said or (self.ask(scope, element, trail.out()) if trail.inside else "")

    def _written(self, scope: Scope, node: ast.List | ast.Tuple | ast.Set, trail: Trail) -> str:
        """As many as stand there, and what is unpacked; each part has a length of its own."""
        unpacked = [each.value for each in node.elts if isinstance(each, ast.Starred)]
        said = self.any(scope, unpacked, trail.somewhere())
        if said or not trail.inside:
            return said
        place, parts = trail.held[0], node.elts
        if isinstance(place, int) and not unpacked:
            parts = parts[place : place + 1]
        return self.any(scope, parts, trail.out())

    def _written_dict(self, scope: Scope, node: ast.Dict, trail: Trail) -> str:
        pairs = list(zip(node.keys, node.values, strict=True))
        said = self.any(scope, [value for key, value in pairs if key is None], trail)
        if said or not trail.inside:
            return said
        asked = trail.held[0]
        parts = [
            value
            for key, value in pairs
            if key is not None and (asked is ANY or part_of(key) in (ANY, asked))
        ]
        return self.any(scope, parts, trail.out())

    def _subscript(self, scope: Scope, node: ast.Subscript, trail: Trail) -> str:
        """A slice with an end has the length that somebody chose."""
        if not isinstance(node.slice, ast.Slice):
            return self.ask(scope, node.value, trail.into(part_of(node.slice)))
        end = node.slice.upper
        is_open = end is None or isinstance(end, ast.UnaryOp)
        return self.ask(scope, node.value, trail.somewhere()) if is_open or trail.inside else ""

    def _emptied(self, scope: Scope, test: ast.expr, trail: Trail) -> str:
        """`while waiting:` goes over what `waiting.pop()` takes, `while i < len(xs)` over `xs`."""
        events = self.types.project.scan(scope).events
        taken = {dotted(each) for event in events if (each := _taken(event.node)) is not None}
        asked = [each for each in ast.walk(test) if dotted(each) in taken - {""}]
        return self.any(scope, [*asked, *_counted_to(test)], trail)

    # What the questions share

    def given_by(self, call: Call, trail: Trail) -> str:
        return many_calls.given_by(self, call, trail)

    def given(self, dependency: Scope, trail: Trail) -> str:
        return many_calls.given(self, dependency, trail, once=True)

    def filling(self, scope: Scope, node: ast.Call, name: str, trail: Trail) -> list[Call]:
        """The calls of our functions that a call may be, and that may fill what a name holds; asked once."""
        if not trail.enters(node, f"fills {name}"):
            return []
        return many_calls.calls_of(self, scope, self.types.values(scope, node.func), node)

    def made(
        self,
        node: ast.AST,
        func: ast.expr,
        args: Sequence[ast.expr],
        keywords: Sequence[ast.keyword] = (),
    ) -> ast.Call:
        """The call that an expression stands for; always the same one, for trails know it by identity."""
        key = id(node), len(args) + len(keywords)
        if key not in self._made:
            self._made[key] = node, ast.Call(func, list(args), list(keywords))
        return self._made[key][1]

    def puts(self, scope: Scope) -> Puts:
        found = self._puts.get(scope.module)
        if found is None:
            found = self._puts[scope.module] = Puts(self.types.project.indexes[scope.module])
        return found

    def passing(self, scope: Scope) -> dict[str, list[Event]]:
        """Calls in a scope, by the names that they pass."""
        key = scope.module, scope.id
        if key not in self._passing:
            self._passing[key] = many_filled.passing(self.types.project.scan(scope).events)
        return self._passing[key]

    def calls_of(self, function: Scope) -> tuple[Mention, ...]:
        found = self._calls.get(function.id)
        if found is None:
            calls = many_bound.calls_on_loops(self, function)
            found = self._calls[function.id] = tuple(islice(calls, _MOST))
        return found

    @property
    def on_loops(self) -> set[str]:
        if self._on_loops is None:
            self._on_loops = {n.function for n in self._walk.nodes if n.place in _ON_LOOPS}
        return self._on_loops


def _taken(node: ast.AST) -> ast.expr | None:
    """Of which a call takes one."""
    match node:
        case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in TAKES:
            return value
    return of_first(node, TAKES_FROM_FIRST)


def _counted_to(test: ast.expr) -> list[ast.expr]:
    """Of a comparison with a number that changes, the length that it comes to."""
    found: list[ast.expr] = []
    for each in ast.walk(test):
        match each:
            case ast.Compare(
                left=left, ops=[ast.Lt() | ast.LtE() | ast.NotEq()], comparators=[end]
            ):
                number = left
            case ast.Compare(left=end, ops=[ast.Gt() | ast.GtE()], comparators=[number]):
                pass
            case _:
                continue
        if not isinstance(number, ast.Constant):
            found += many_calls.measured(end)
    return found
