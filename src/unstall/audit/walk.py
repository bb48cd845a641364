"""From the entrances along the calls: which function runs where, and how it is reached."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from unstall.audit.calls import Calls, Seen
from unstall.audit.dead import kind_rules_out
from unstall.audit.first_time import first_times
from unstall.audit.flags import Flags, Passed, rule_out
from unstall.audit.functions import Shape
from unstall.audit.ir import Place, Via
from unstall.audit.scopes import Scope
from unstall.audit.slips import Kept
from unstall.audit.types import Types
from unstall.audit.types_classes import Member
from unstall.audit.values import (
    CLASS,
    CONTEXT,
    EXTERNAL,
    FUNCTION,
    GENERATOR,
    INSTANCE,
    PARAMETER,
    Value,
    Values,
    key_of,
    ordered,
    union,
    where,
)
from unstall.catalog.row import Effect

_CONTEXTS = 500
"""In so many ways a function is told apart by what it is passed; then no longer."""
_CALLABLE = frozenset({FUNCTION, EXTERNAL, CLASS})
Bindings = tuple[tuple[str, Values], ...]


class Node(NamedTuple):
    """A function in a place, with the functions it is passed."""

    function: str
    place: Place
    receiver: str = ""
    """The class of `self`, where it is known better than by the function's own class."""
    bindings: Bindings = ()
    first_part: bool = False
    flags: Flags = ()
    """The truth of what it is passed for parameters that it branches on."""
    once: bool = False
    """At most once in a process: below a cached function without arguments, or what fills a global."""


class Edge(NamedTuple):
    target: Node
    seen: Seen
    guess: int


class Outside(NamedTuple):
    """A call that leaves first-party code, or whose target is not known."""

    node: Node
    place: Place
    """Where it runs: not the node's place if it was handed to a thread."""
    seen: Seen
    value: Value | None
    guess: int


@dataclass(slots=True)
class Reached:
    """What was found for one node."""

    scope: Scope
    edges: list[Edge] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)


class Walk:
    """Nodes are worked out once, whoever reaches them; what reaches what is asked afterwards."""

    def __init__(
        self, types: Types, calls: Calls, exact: bool = False, mains: frozenset[str] = frozenset()
    ) -> None:
        """`exact`: receivers are of the class that is named, and of none below it.

        `mains`: functions that are a whole program: what they leave at their end, its end leaves.
        """
        self._exact = exact
        self._mains = mains
        self.types = types
        self.calls = calls
        self.nodes: dict[Node, Reached] = {}
        self._warm: dict[str, bool] = {}
        self._first: dict[str, frozenset[int]] = {}
        self._begun: frozenset[str] = frozenset()
        self._passed = Passed(types)
        self._contexts: dict[str, set[tuple[Bindings, Flags]]] = {}

    def begin(self, roots: Iterable[Node]) -> None:
        """Work out what start-up comes to, before all else: what it fills is there for requests."""
        waiting = list(roots)
        self.explore(waiting)
        seen = set(waiting)
        while waiting:
            reached = self.nodes.get(waiting.pop())
            for edge in reached.edges if reached is not None else ():
                if (
                    edge.guess < 2
                    and edge.target.place is Place.STARTUP
                    and edge.target not in seen
                ):
                    seen.add(edge.target)
                    waiting.append(edge.target)
        self._begun = frozenset(node.function for node in seen)

    def explore(self, roots: Iterable[Node]) -> None:
        """Work out all nodes that the roots reach."""
        waiting = deque(roots)
        while waiting:
            node = waiting.popleft()
            if node not in self.nodes and (reached := self.reached(node)) is not None:
                waiting.extend(edge.target for edge in reached.edges)

    def reached(self, node: Node) -> Reached | None:
        """What one node does itself; None if it is no function of ours."""
        known = self.nodes.get(node)
        if known is not None:
            return known
        scope = self.types.project.scope(node.function)
        if scope is None or scope.kind == "class":
            return None
        reached = self.nodes[node] = Reached(scope)
        with self.kept(node):
            after = self._after_serving(node, scope)
            for seen in self._seen(node, scope):
                ends = id(seen.node) in after or self._ends_the_program(scope, seen)
                at = node._replace(place=Place.SHUTDOWN) if ends else node
                self._step(at, scope, seen, reached)
            if node.once:
                reached.edges = [_once_more(edge) for edge in reached.edges]
        return reached

    def _ends_the_program(self, scope: Scope, seen: Seen) -> bool:
        return scope.id in self._mains and seen.via is Via.EXIT and not seen.event.repeats

    def _after_serving(self, node: Node, scope: Scope) -> frozenset[int]:
        """Of a lifespan: what comes after its `yield`."""
        if node.place is not Place.STARTUP or not self.types.shape(scope).is_context:
            return frozenset()
        scan = self.types.project.scan(scope)
        before = {id(event.node) for event in scan.events[: scan.first_yield]}
        return frozenset(id(event.node) for event in scan.events) - before

    def kept(self, node: Node) -> Kept:
        """What fails inside costs this function alone."""
        project = self.types.project
        scope = project.scope(node.function)
        return project.slips.kept(project.file_of(scope) if scope else "", node.function)

    def _seen(self, node: Node, scope: Scope) -> tuple[Seen, ...]:
        return self.calls.first_part(scope) if node.first_part else self.calls.of(scope)

    def _step(self, node: Node, scope: Scope, seen: Seen, reached: Reached) -> None:
        ruled_out = self._is_ruled_out(node, scope, seen)
        if ruled_out:
            return
        dead = seen.dead or bool(node.flags and rule_out(seen.event, node.flags))
        extra = 2 if dead else int(ruled_out is None)
        values = self._resolved(node, scope, seen.targets, seen)
        if not values and seen.via is Via.CALL:
            reached.outside.append(Outside(node, node.place, seen, None, extra))
        # Of several functions it is one: which one, the code does not say.
        several = sum(value.kind in (FUNCTION, GENERATOR) for value in values) > 1
        extra = max(extra, int(several))
        for value in ordered(values):
            self._target(node, scope, seen, value, max(value.guess, extra), reached)
        for functions, place in seen.moved:
            where_ = Place(place)
            for value in ordered(self._resolved(node, scope, functions, seen)):
                self._moved(node, scope, seen, value, where_, max(value.guess, extra), reached)

    def _is_ruled_out(self, node: Node, scope: Scope, seen: Seen) -> bool | None:
        """By `if iscoroutinefunction(f)`, of the function that f is for this node; None: it may be."""
        if not (seen.event.tests and self.types.project.scan(scope).asks_kind):
            return False

        def is_async(asked: ast.expr) -> bool | None:
            values = self._resolved(node, scope, self.types.values(scope, asked), seen)
            kinds = {self._is_async(value) for value in values}
            return next(iter(kinds)) if len(kinds) == 1 else None

        return kind_rules_out(seen.event, is_async)

    def _is_async(self, value: Value) -> bool | None:
        if value.kind != EXTERNAL:
            return self.types.is_async(value)
        row = self.types.table.row_for(value.name)
        return False if row is not None and row.effect is Effect.BLOCKS else None

    def _resolved(self, node: Node, scope: Scope, values: Values, seen: Seen) -> Values:
        """Parameters replaced by what this node was passed; methods of `self` by those of its class."""
        bound = dict(node.bindings)
        found: list[Values] = []
        for value in values:
            if value.kind == PARAMETER:
                known = bound.get(value.name)
                found.append(
                    known if known is not None else self.types.expanded(frozenset((value,)))
                )
            elif value.owner == "self" and value.kind == FUNCTION and node.receiver:
                found.append(self._own_method(node, value))
            else:
                found.append(frozenset((self._closed(value, bound),)))
        return union(found)

    def _closed(self, value: Value, bound: dict[str, Values]) -> Value:
        """A local function sees what the function around it was passed."""
        if value.kind != FUNCTION or not bound:
            return value
        if value.owner == "self":
            inside = {k: v for k, v in bound.items() if k.partition(" ")[0].endswith(".__init__")}
            return _with(value, inside)
        if ".<locals>." not in value.name:
            return value
        inside = {
            key: values
            for key, values in bound.items()
            if value.name.startswith(key.partition(" ")[0])
        }
        return _with(value, inside)

    def _own_method(self, node: Node, value: Value) -> Values:
        scope = self.types.project.scope(value.name)
        name = getattr(scope.node, "name", "") if scope is not None else ""
        receiver = Value(INSTANCE, node.receiver, owner="self", exact=self._exact)
        found = self.types.member(frozenset((receiver,)), name)
        ours = where(found, lambda each: each.kind == FUNCTION)
        return ours or frozenset((value,))

    # One target

    def _target(
        self, node: Node, scope: Scope, seen: Seen, value: Value, guess: int, reached: Reached
    ) -> None:
        place = Place(value.place) if value.place else node.place
        if value.kind == FUNCTION:
            self._function(node, scope, seen, value, place, guess, reached)
        elif value.kind == CLASS:
            self._constructor(node, scope, seen, value, place, guess, reached)
        elif value.kind == EXTERNAL:
            reached.outside.append(Outside(node, place, seen, value, guess))
        elif value.kind in (GENERATOR, CONTEXT) and ":" in value.name:
            if value.kind == CONTEXT and seen.via is Via.EXIT:
                return
            target = Node(value.name, place, first_part=seen.first_part)
            reached.edges.append(Edge(target, seen, guess))
        elif value.kind == INSTANCE:
            self._object(node, scope, seen, value, place, guess, reached)

    def _function(
        self,
        node: Node,
        scope: Scope,
        seen: Seen,
        value: Value,
        place: Place,
        guess: int,
        reached: Reached,
    ) -> None:
        target = self.types.project.scope(value.name)
        if target is None or target.kind == "class":
            return
        shape = self.types.shape(target)
        if shape.is_context or (shape.is_generator and not shape.is_async):
            return  # it runs where it is entered or iterated
        if shape.is_property and seen.via is Via.CALL and not isinstance(target.node, ast.Lambda):
            return  # what the property gave is called, not the property
        if (
            shape.is_async
            and place in (Place.THREAD_POOL, Place.EXECUTOR)
            and place is not node.place
        ):
            place = Place.LOOP
        if shape.is_async and place is Place.STARTUP and seen.event.begins:
            return  # start-up does not wait for a task, which is an entrance of its own
        once = _runs_once(shape)
        if once and self._is_warm(target):
            guess = 2
        if not once and self._fills(scope, seen):
            once = True
            guess = 2 if scope.id in self._begun and place is not Place.STARTUP else guess
        receiver = self._receiver(node, value, target)
        bindings = self._bindings(node, scope, seen, value, target)
        flags = self._passed.by(seen, value, target, node.flags)
        if bindings or flags:
            known = self._contexts.setdefault(value.name, set())
            if len(known) < _CONTEXTS:
                known.add((bindings, flags))
            elif (bindings, flags) not in known:
                bindings, flags = (), ()
        to = Node(value.name, place, receiver, bindings, flags=flags, once=once)
        reached.edges.append(Edge(to, seen, guess))

    def _fills(self, scope: Scope, seen: Seen) -> bool:
        """The call fills something that lives as long as the process, for the first time only."""
        known = self._first.get(scope.id)
        if known is None:
            known = self._first[scope.id] = first_times(scope.node, shared=True)
        return id(seen.node) in known

    def _is_warm(self, target: Scope) -> bool:
        """A cached function without arguments that has run while modules were imported."""
        known = self._warm.get(target.id)
        if known is None:
            known = self._warm[target.id] = self.types.callers.is_called_by_modules(target)
        return known

    def _receiver(self, node: Node, value: Value, target: Scope) -> str:
        owner = target.outer
        if owner is None or owner.kind != "class":
            return ""
        if value.owner == "self":
            return node.receiver if owner.id in self.types.classes.order(node.receiver) else ""
        if not value.owner or value.owner == owner.id or ":" not in value.owner:
            # Exactly this class, while others inherit from it: their methods are not meant.
            is_base = value.exact and value.owner and bool(self.types.classes.subclasses(owner.id))
            return owner.id if is_base else ""
        return value.owner

    def _bindings(
        self, node: Node, scope: Scope, seen: Seen, value: Value, target: Scope
    ) -> Bindings:
        """Functions that the call passes, by the parameters that they are passed for."""
        found: dict[str, Values] = dict(value.closure)
        call = seen.node
        if isinstance(call, ast.Call) and seen.via is Via.CALL:
            shape = self.types.shape(target)
            skip = 1 if value.owner and not shape.is_static else 0
            names = shape.parameters[skip:]
            pairs: list[tuple[str, ast.expr]] = []
            for place, argument in enumerate(call.args):
                if isinstance(argument, ast.Starred) or place >= len(names):
                    break
                pairs.append((names[place], argument))
            pairs += [(k.arg, k.value) for k in call.keywords if k.arg]
            for name, argument in pairs:
                if isinstance(argument, (ast.Constant, ast.JoinedStr, ast.Dict, ast.List)):
                    continue
                passed = self._resolved(node, scope, self.types.values(scope, argument), seen)
                functions = where(passed, lambda each: each.kind in _CALLABLE)
                if functions and any(v.kind == FUNCTION for v in functions):
                    found[key_of(target.id, name)] = functions
        return tuple(sorted(found.items(), key=lambda pair: pair[0]))

    def _constructor(
        self,
        node: Node,
        scope: Scope,
        seen: Seen,
        value: Value,
        place: Place,
        guess: int,
        reached: Reached,
    ) -> None:
        classes = self.types.classes
        receiver = Value(INSTANCE, value.name, exact=True, guess=guess)
        ours = False
        for name in ("__new__", "__init__", "__post_init__", "model_post_init"):
            found = classes.find(value.name, name)
            if not isinstance(found, Member):
                continue
            for binding in found.bindings:
                if binding.kind == "def":
                    ours = True
                    inner = found.owner.children[id(binding.node)]
                    method = Value(FUNCTION, inner.id, guess=guess, owner=receiver.name, exact=True)
                    self._function(node, scope, seen, method, place, guess, reached)
        if ours:
            return
        for foreign in classes.foreign(value.name)[:1]:
            outer = Value(EXTERNAL, foreign, guess=guess)
            reached.outside.append(Outside(node, place, seen, outer, guess))

    def _object(
        self,
        node: Node,
        scope: Scope,
        seen: Seen,
        value: Value,
        place: Place,
        guess: int,
        reached: Reached,
    ) -> None:
        """An object that is called, iterated or entered: its special methods."""
        is_async = seen.event.awaited
        names = _SPECIAL[seen.via][is_async and seen.via is not Via.CALL]
        ours = False
        if ":" in value.name:
            for name in names:
                for method in ordered(self.types.member(frozenset((value,)), name)):
                    if method.kind == FUNCTION:
                        ours = True
                        self._function(
                            node, scope, seen, method, place, max(guess, method.guess), reached
                        )
                        if name == "__iter__":
                            self._lazy_iteration(node, seen, method, place, guess, reached)
        if not ours:
            # Facts are kept by class for what is met without a call.
            name = value.name if seen.via is not Via.CALL else f"{value.name}.__call__"
            outer = Value(EXTERNAL, name, guess=guess, owner=value.name)
            reached.outside.append(Outside(node, place, seen, outer, guess))

    def _lazy_iteration(
        self, node: Node, seen: Seen, method: Value, place: Place, guess: int, reached: Reached
    ) -> None:
        scope = self.types.project.scope(method.name)
        if scope is not None and self.types.shape(scope).is_generator:
            reached.edges.append(Edge(Node(method.name, place), seen, max(guess, method.guess)))

    def _moved(
        self,
        node: Node,
        scope: Scope,
        seen: Seen,
        value: Value,
        place: Place,
        guess: int,
        reached: Reached,
    ) -> None:
        """A function that was handed to another place."""
        if value.kind == FUNCTION:
            target = self.types.project.scope(value.name)
            if target is None or target.kind == "class":
                return
            if self.types.shape(target).is_async and place in (Place.THREAD_POOL, Place.EXECUTOR):
                place = Place.LOOP
            receiver = self._receiver(node, value, target)
            reached.edges.append(
                Edge(Node(value.name, place, receiver, value.closure), seen, guess)
            )
        elif value.kind == EXTERNAL:
            reached.outside.append(Outside(node, place, seen, value, guess))
        elif value.kind == INSTANCE and ":" in value.name:
            for method in ordered(self.types.member(frozenset((value,)), "__call__")):
                if method.kind == FUNCTION:
                    reached.edges.append(
                        Edge(Node(method.name, place), seen, max(guess, method.guess))
                    )


def _runs_once(shape: Shape) -> bool:
    """Cached, and nothing can be passed."""
    given = shape.parameters or shape.keywords or shape.rest or shape.rest_keywords
    return shape.is_cached and not given


def _once_more(edge: Edge) -> Edge:
    """What is called from where the process comes once, unless in a loop."""
    if edge.seen.event.repeats:
        return edge
    return edge._replace(target=edge.target._replace(once=True))


def _with(value: Value, inside: dict[str, Values]) -> Value:
    if not inside:
        return value
    merged = {**inside, **dict(value.closure)}
    return value._replace(closure=tuple(sorted(merged.items(), key=lambda pair: pair[0])))


_SPECIAL: dict[Via, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Via.CALL: (("__call__",), ("__call__",)),
    Via.ITERATE: (("__iter__", "__next__"), ("__aiter__", "__anext__")),
    Via.ENTER: (("__enter__",), ("__aenter__",)),
    Via.EXIT: (("__exit__",), ("__aexit__",)),
    Via.READ: ((), ()),
}
