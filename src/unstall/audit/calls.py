"""The calls of each function with their targets: events of the scan, answered by types."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from unstall.audit import types_calls, types_containers, types_super
from unstall.audit.dead import Branches
from unstall.audit.ir import Via
from unstall.audit.scan import Event
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_builtins import LATER
from unstall.audit.types_classes import Member
from unstall.audit.values import (
    CONTEXT,
    EXTERNAL,
    FUNCTION,
    GENERATOR,
    INSTANCE,
    NOTHING,
    SUPER,
    Value,
    Values,
    guessed,
    key_of,
    one,
    union,
    where,
)
from unstall.model.finding import Confidence

_LAZY = frozenset("enumerate zip reversed iter filter map tqdm chain islice".split())
"""They pass on what they are given when they are iterated themselves."""
_DRAINS = frozenset(
    "builtins.list builtins.tuple builtins.set builtins.frozenset builtins.sorted builtins.sum builtins.any "
    "builtins.all builtins.max builtins.min builtins.dict builtins.next builtins.str.join collections.deque "
    "builtins.list.extend".split()
)
_ENTERS = frozenset({"enter_context", "enter_async_context"})
_CALLS = frozenset(
    "builtins.sorted builtins.max builtins.min functools.reduce builtins.list.sort".split()
)
"""They call what they are given, here."""


class Seen(NamedTuple):
    """One hand-over of control, with all that is known of it."""

    via: Via
    node: ast.expr
    targets: Values
    """Functions, classes, dotted names; parameters are not looked into. Of a class met by iterating, entering
    or reading: its instance."""
    event: Event
    moved: tuple[tuple[Values, str], ...] = ()
    """Functions among the arguments that run elsewhere, with the place."""
    dead: bool = False
    first_part: bool = False
    """Of a generator: only what comes before its first yield."""

    @property
    def line(self) -> int:
        return self.node.lineno


class Calls:
    """Asked function by function; each is worked out once."""

    def __init__(self, types: Types) -> None:
        self.types = types
        self._branches = Branches(types)
        self._known: dict[int, tuple[Seen, ...]] = {}
        self._properties = _property_names(types)

    def of(self, scope: Scope) -> tuple[Seen, ...]:
        found = self._known.get(id(scope))
        if found is None:
            found = self._known[id(scope)] = tuple(self._all(scope))
        return found

    def first_part(self, scope: Scope) -> tuple[Seen, ...]:
        """What a generator does until its first yield."""
        scan = self.types.project.scan(scope)
        if scan.first_yield is None:
            return self.of(scope)
        before = {id(event.node) for event in scan.events[: scan.first_yield]}
        return tuple(seen for seen in self.of(scope) if id(seen.node) in before)

    def _all(self, scope: Scope) -> Iterator[Seen]:
        project = self.types.project
        kept = project.slips.kept(project.file_of(scope), scope.id or scope.module)
        for event in project.scan(scope).events:
            with kept:
                yield from list(self._of(scope, event))

    def _of(self, scope: Scope, event: Event) -> Iterator[Seen]:
        if event.kind == "call" and isinstance(event.node, ast.Call):
            yield from self._call(scope, event, event.node)
        elif event.kind == "iterate":
            yield from self._iterated(scope, event)
        elif event.kind in ("enter", "exit"):
            yield from self._managed(scope, event)
        elif event.kind == "read" and isinstance(event.node, ast.Attribute):
            yield from self._read(scope, event, event.node)

    def _call(self, scope: Scope, event: Event, node: ast.Call) -> Iterator[Seen]:
        types = self.types
        targets = types_containers.called_by(types.values(scope, node.func))
        if event.awaited and len(targets) > 1:
            targets = self._awaitable(targets)
        dead = self._branches.dead(scope, event)
        moved: list[tuple[Values, str]] = []
        for value in targets:
            if value.kind != EXTERNAL:
                continue
            found = types_calls.offloaded(types, value, scope, node)
            if found is not None and not found[2]:
                moved.append((types.values(scope, found[0]), found[1]))
        yield Seen(Via.CALL, node, targets, event, tuple(moved), dead)
        names = {value.name for value in targets if value.kind == EXTERNAL}
        if names:
            yield from self._with_arguments(scope, event, node, names, dead)

    def _awaitable(self, targets: Values) -> Values:
        """Of several functions that an awaited call can mean: those that are async, if there are any."""
        kinds = {value: self.types.is_async(value) for value in targets}
        if not {True, False} <= set(kinds.values()):
            return targets
        return where(targets, lambda value: kinds[value] is not False)

    def _with_arguments(
        self, scope: Scope, event: Event, node: ast.Call, names: set[str], dead: bool
    ) -> Iterator[Seen]:
        """What others' functions do with what they are given, here and now: call, enter, iterate it."""
        types = self.types
        if names & _CALLS:
            given = [
                *node.args[:2],
                *(k.value for k in node.keywords if k.arg in ("key", "function")),
            ]
            functions = where(
                union(types.values(scope, each) for each in given),
                lambda v: v.kind in (FUNCTION, EXTERNAL),
            )
            if functions:
                yield Seen(Via.CALL, node, functions, _for_each(event, node), dead=dead)
        lasts = {name.rpartition(".")[2] for name in names}
        if lasts & _ENTERS and node.args:
            managers = where(
                types.known(scope, node.args[0]), lambda v: v.kind in (CONTEXT, INSTANCE)
            )
            awaited = event._replace(awaited="enter_async_context" in lasts)
            if managers:
                yield Seen(Via.ENTER, node, managers, awaited, dead=dead)
        if names & _DRAINS and node.args:
            given = [
                a for a in node.args[:2] if not isinstance(a, (ast.GeneratorExp, ast.ListComp))
            ]
            lazily = union(self._iterables(scope, each) for each in given)
            yield from _called_for_each(lazily, node, event, dead)
            if lazily:
                yield Seen(Via.ITERATE, node, lazily, event, dead=dead, first_part="next" in lasts)

    def _iterables(self, scope: Scope, node: ast.expr) -> Values:
        """What is asked for its elements, through `enumerate` and the like."""
        types = self.types
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in _LAZY and any(v.kind == EXTERNAL for v in types.values(scope, node.func)):
                inner = union(self._iterables(scope, each) for each in node.args)
                return inner | where(types.known(scope, node), _calls)
        values = types.known(scope, node) | self._passed(scope, node)
        return where(
            values, lambda v: v.kind == GENERATOR or (v.kind == INSTANCE and v.name not in _PLAIN)
        )

    def _passed(self, scope: Scope, node: ast.expr) -> Values:
        """Generators that callers pass for a parameter, whatever its annotation says."""
        if not isinstance(node, ast.Name) or scope.kind != "function":
            return NOTHING
        bindings = scope.bindings.get(node.id, ())
        if len(bindings) != 1 or bindings[0].kind != "parameter" or bindings[0].annotation is None:
            return NOTHING
        passed = self.types.callers.passed(key_of(scope.id, node.id))
        return where(passed, lambda v: v.kind == GENERATOR or _calls(v))

    def _iterated(self, scope: Scope, event: Event) -> Iterator[Seen]:
        values = self._iterables(scope, event.node)
        if values:
            dead = self._branches.dead(scope, event)
            yield from _called_for_each(values, event.node, event, dead)
            yield Seen(Via.ITERATE, event.node, values, event, dead=dead)

    def _managed(self, scope: Scope, event: Event) -> Iterator[Seen]:
        via = Via.ENTER if event.kind == "enter" else Via.EXIT
        values = where(self.types.known(scope, event.node), lambda v: v.kind in (CONTEXT, INSTANCE))
        if values:
            yield Seen(via, event.node, values, event, dead=self._branches.dead(scope, event))

    def _read(self, scope: Scope, event: Event, node: ast.Attribute) -> Iterator[Seen]:
        if node.attr not in self._properties:
            return
        values = self.types.known(scope, node.value)
        targets = union(self._property(v, node.attr) for v in values if v.kind == INSTANCE)
        targets |= union(self._above(v.name, node.attr) for v in values if v.kind == SUPER)
        if targets:
            yield Seen(Via.READ, node, targets, event, dead=self._branches.dead(scope, event))

    def _property(self, value: Value, name: str) -> Values:
        """The functions behind a property, or the foreign class whose attribute loads when it is read."""
        classes = self.types.classes
        if ":" not in value.name:
            order = self.types.project.external_mro(value.name)
            owner = next(
                (c for c in order if (f"{c}.{name}", "read") in self.types.table.rows), None
            )
            if owner is None:
                return NOTHING
            return frozenset(
                (Value(EXTERNAL, f"{owner}.{name}", guess=value.guess, owner=value.name),)
            )
        found = classes.find(value.name, name)
        if isinstance(found, str):
            return one(EXTERNAL, f"{found}.{name}", guess=value.guess)
        own = self._behind(found, value) if found is not None else NOTHING
        if value.exact:
            return own
        below = [
            self._behind(member, value._replace(name=each))
            for each in classes.subclasses(value.name)
            if (member := classes.anew(value.name, each, name)) is not None
        ]
        least = 1 if len(below) <= 8 else 2
        return own | guessed(union(below), least)

    def _above(self, written: str, name: str) -> Values:
        """The functions behind a property that `super()` is asked for."""
        found = types_super.above(self.types, written, name, self._behind)
        return where(found, lambda value: value.kind == FUNCTION)

    def _behind(self, found: Member, value: Value) -> Values:
        results: set[Value] = set()
        for binding in found.bindings:
            if binding.kind != "def":
                continue
            inner = found.owner.children[id(binding.node)]
            shape = self.types.shape(inner)
            if shape.is_property and not shape.is_abstract:
                results.add(
                    Value(
                        FUNCTION, inner.id, guess=value.guess, owner=value.name, exact=value.exact
                    )
                )
        return frozenset(results)


def _calls(value: Value) -> bool:
    return value.kind == INSTANCE and bool(value.closure) and value.closure[0][0] == LATER


def _called_for_each(values: Values, node: ast.expr, event: Event, dead: bool) -> Iterator[Seen]:
    """What `map` and the like call, where somebody asks them for elements."""
    functions = where(
        union(guessed(value.closure[0][1], value.guess) for value in values if _calls(value)),
        lambda v: v.kind in (FUNCTION, EXTERNAL),
    )
    if functions:
        yield Seen(Via.CALL, node, functions, _for_each(event, node), dead=dead)


def _for_each(event: Event, node: ast.expr) -> Event:
    """The same once more for each element of what stands there."""
    return event._replace(over=(*event.over, node))


_PLAIN = frozenset(
    "builtins.list builtins.dict builtins.tuple builtins.set builtins.str builtins.frozenset builtins.bytes "
    "builtins.range".split()
)


def _property_names(types: Types) -> frozenset[str]:
    """Attributes whose reading runs code."""
    names = {name.rpartition(".")[2] for name, via in types.table.rows if via == "read"} - {"*"}
    marks = ("property", "cached_property", "hybrid_property")
    for scope in types.project.own_scopes():
        if scope.outer is not None and scope.outer.kind == "class":
            for decorator in getattr(scope.node, "decorator_list", ()):
                last = (
                    decorator.attr
                    if isinstance(decorator, ast.Attribute)
                    else getattr(decorator, "id", "")
                )
                if last in marks:
                    names.add(getattr(scope.node, "name", ""))
    return frozenset(names)


# As values of the representation


def confidence_of(guesses: int) -> Confidence:
    return (Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE)[min(guesses, 2)]


def text_of(node: ast.expr) -> str:
    """As written; of what is long, without what is inside."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{text_of(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return (
            f"{text_of(node.func)}(…)" if node.args or node.keywords else f"{text_of(node.func)}()"
        )
    if isinstance(node, ast.Subscript):
        return f"{text_of(node.value)}[…]"
    if isinstance(node, ast.Constant):
        return repr(node.value) if len(repr(node.value)) < 40 else "…"
    if isinstance(node, ast.Await):
        return f"await {text_of(node.value)}"
    return "…"
