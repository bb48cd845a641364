"""One hand-over of control: which functions it comes to and where these run, or what it leaves for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from unstall.audit.alive import Alive
from unstall.audit.calls import Seen
from unstall.audit.dead import kind_rules_out
from unstall.audit.flags import Flags, Passed
from unstall.audit.functions import argument_for, is_open
from unstall.audit.ir import Place, Via
from unstall.audit.loop_asked import ITS_OWN_LOOP
from unstall.audit.once import Once
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import last_name, names_of
from unstall.audit.types_classes import Member
from unstall.audit.types_parameters import default_of
from unstall.audit.values import (
    CLASS,
    CONTEXT,
    EXTERNAL,
    FUNCTION,
    GENERATOR,
    INSTANCE,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    key_of,
    ordered,
    union,
    where,
)
from unstall.audit.walk_nodes import Bindings, Edge, Node, Outside, Reached
from unstall.audit.walk_self import Self, above, allowed, handed_on, made, of_constructor, self_of
from unstall.catalog.row import Effect

_CONTEXTS = 500
"""In so many ways a function is told apart by what it is passed; then no longer."""
_CALLABLE = frozenset({FUNCTION, EXTERNAL, CLASS})


@dataclass(frozen=True, slots=True)
class Facts:
    """What all steps of a walk ask."""

    types: Types
    once: Once
    passed: Passed
    alive: Alive
    exact: bool
    """Receivers are of the class that is named, and of none below it."""
    contexts: dict[str, set[tuple[Bindings, Flags]]] = field(default_factory=dict)
    _optional: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def optional(self, target: Scope) -> tuple[str, ...]:
        """Parameters for which some call passes a function, and others may pass None."""
        known = self._optional.get(target.id)
        if known is None:
            known = self._optional[target.id] = tuple(self._optional_of(target))
        return known

    def _optional_of(self, target: Scope) -> Iterator[str]:
        shape = self.types.shape(target)
        for name in (*shape.parameters, *shape.keywords):
            if _is_none(default_of(target, name)):
                passed = frozenset((Value(PARAMETER, key_of(target.id, name)),))
                if any(each.kind == FUNCTION for each in self.types.expanded(passed)):
                    yield name

    def in_context(self, function: str, bindings: Bindings, flags: Flags) -> tuple[Bindings, Flags]:
        """What a function is told apart by, as long as there are not too many of them."""
        if not (bindings or flags):
            return bindings, flags
        known = self.contexts.setdefault(function, set())
        if len(known) < _CONTEXTS:
            known.add((bindings, flags))
        return (bindings, flags) if (bindings, flags) in known else ((), ())


@dataclass(frozen=True, slots=True)
class Step:
    facts: Facts
    node: Node
    seen: Seen
    reached: Reached
    """What is found is added to it."""

    @property
    def types(self) -> Types:
        return self.facts.types

    @property
    def scope(self) -> Scope:
        return self.reached.scope

    def run(self) -> None:
        node, seen, scope = self.node, self.seen, self.scope
        ruled_out = self._is_ruled_out()
        if ruled_out:
            return
        dead = seen.dead or bool(
            node.flags and self.facts.passed.rule_out(scope, seen.event, node.flags)
        )
        filled = self.facts.once.is_filled(scope, seen, node.place)
        # At start-up every key is new.
        known = node.place is not Place.STARTUP and self.facts.once.fills_key(scope, seen.event)
        extra = 2 if dead or filled else int(known or ruled_out is None)
        targets = self.facts.alive.targets(scope, seen, node.flags) if node.flags else seen.targets
        values = self._resolved(targets)
        if not values and seen.via is Via.CALL and not self._are_none(seen.targets):
            self._leaves(node.place, None, extra)
        # Of several functions it is one: which one, the code does not say.
        extra = max(extra, int(len(values) > 1 and _are_several(values)))
        for value in ordered(values):
            self._target(value, max(value.guess, extra))
        for functions, place in seen.moved:
            # A loop that begins and ends with the call is where the call is.
            to = node.place if _runs_its_own_loop(seen) else Place(place)
            for value in ordered(self._resolved(functions)):
                self._moved(value, to, max(value.guess, extra))

    def _is_ruled_out(self) -> bool | None:
        """By `if iscoroutinefunction(f)`, of the function that f is for this node; None: it may be."""
        event, scope = self.seen.event, self.scope
        if not (event.tests and self.types.project.scan(scope).asks_kind):
            return False

        def is_async(asked: ast.expr) -> bool | None:
            values = self._resolved(self.types.values(scope, asked))
            kinds = {self._is_async(value) for value in values}
            return next(iter(kinds)) if len(kinds) == 1 else None

        return kind_rules_out(event, is_async)

    def _is_async(self, value: Value) -> bool | None:
        if value.kind != EXTERNAL:
            return self.types.is_async(value)
        row = self.types.table.row_for(value.name)
        return False if row is not None and row.effect is Effect.BLOCKS else None

    # What the node was passed

    def _resolved(self, values: Values) -> Values:
        """Parameters replaced by what this node was passed; methods of `self` by those of its class."""
        bound = dict(self.node.bindings)
        found: list[Values] = []
        for value in values:
            if value.kind == PARAMETER:
                known = bound.get(value.name)
                found.append(
                    known if known is not None else self.types.expanded(frozenset((value,)))
                )
            elif value.above and self.seen.via is not Via.READ:
                own = above(self.types, self.node, self.scope, value, self.facts.exact)
                found.append(frozenset(_closed(each, bound) for each in own))
            elif value.owner == "self" and value.kind == FUNCTION and self.node.receiver:
                found.append(self._own_method(value))
            elif value.owner == "self" and value.kind == FUNCTION and self.node.barred:
                closed = frozenset((_closed(value, bound),))
                found.append(allowed(self.types, self.node, closed))
            else:
                found.append(frozenset((_closed(value, bound),)))
        return union(found)

    def _are_none(self, values: Values) -> bool:
        """Nothing but parameters that are None here."""
        bound = dict(self.node.bindings)
        return bool(values) and all(bound.get(value.name) == NOTHING for value in values)

    def _own_method(self, value: Value) -> Values:
        scope = self.types.project.scope(value.name)
        name = getattr(scope.node, "name", "") if scope is not None else ""
        exact = self.facts.exact or self.node.exact
        receiver = Value(INSTANCE, self.node.receiver, owner="self", exact=exact)
        found = self.types.member(frozenset((receiver,)), name)
        ours = where(found, lambda each: each.kind == FUNCTION)
        of_class = ours or frozenset((value,))
        return allowed(self.types, self.node, of_class)

    # What is found

    def _comes(self, target: Node, guess: int) -> None:
        once = target.once or self._is_once()
        if once is not target.once:
            target = target._replace(once=once)
        self.reached.edges.append(Edge(target, self.seen, guess))

    def _leaves(self, place: Place, value: Value | None, guess: int) -> None:
        found = Outside(self.node, place, self.seen, value, guess, self._is_once())
        self.reached.outside.append(found)

    def _is_once(self) -> bool:
        """Done by what is done once, or to fill something. What is begun may begin itself again."""
        event = self.seen.event
        if event.repeats or event.begins:
            return False
        return self.node.once or self.facts.once.fills(self.scope, self.seen.node)

    # One target

    def _target(self, value: Value, guess: int) -> None:
        place = Place(value.place) if value.place else self.node.place
        if value.kind == FUNCTION:
            self._function(value, place, guess)
        elif value.kind == CLASS:
            self._constructor(value, place, guess)
        elif value.kind == EXTERNAL:
            self._leaves(place, value, guess)
        elif value.kind in (GENERATOR, CONTEXT) and ":" in value.name:
            if not (value.kind == CONTEXT and self.seen.via is Via.EXIT):
                self._lazy(value, place, guess)
        elif value.kind == INSTANCE:
            self._object(value, place, guess)

    def _lazy(self, value: Value, place: Place, guess: int) -> None:
        """What is iterated or entered, with what it was passed if it is called right there."""
        to = Node(value.name, place, first_part=self.seen.first_part)
        target, called = self.types.project.scope(value.name), self._called_here(value)
        if target is not None and called is not None:
            passed = self.facts.passed.by(self.seen, called, target, self.scope, self.node.flags)
            to = to._replace(flags=self.facts.in_context(value.name, (), passed)[1])
        self._comes(to, guess)

    def _called_here(self, lazy: Value) -> Value | None:
        """The function whose call gives it; None: another one may have called that."""
        call = self.seen.node
        called = self.types.values(self.scope, call.func) if isinstance(call, ast.Call) else ()
        for each in called:
            scope = self.types.project.scope(each.name)
            if scope is None or scope.kind == "class" or not self.types.shape(scope).is_generator:
                return None
        made = [each for each in called if each.name == lazy.name]
        return made[0] if len({bool(each.owner) for each in made}) == 1 else None

    def _function(self, value: Value, place: Place, guess: int) -> None:
        seen = self.seen
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
            and place is not self.node.place
        ):
            place = Place.LOOP
        if shape.is_async and place is Place.STARTUP and seen.event.begins:
            return  # start-up does not wait for a task, which is an entrance of its own
        once = self.facts.once.is_cached(target)
        if once and self.facts.once.has_run(target, place):
            guess = 2
        passed = self.facts.passed.by(seen, value, target, self.scope, self.node.flags)
        bindings, flags = self.facts.in_context(value.name, self._bindings(value, target), passed)
        receiver, exact, barred = self._self(value, target)
        to = Node(value.name, place, receiver, bindings, False, flags, once, exact, barred)
        self._comes(to, guess)

    def _self(self, value: Value, target: Scope) -> Self:
        return self_of(self.types, self.node, self.scope, value, target)

    def _bindings(self, value: Value, target: Scope) -> Bindings:
        """Functions that the call passes, by the parameters that they are passed for; nothing: None."""
        found: dict[str, Values] = dict(value.closure)
        found |= dict.fromkeys(self._left_none(value, target), NOTHING)
        for name, argument in self._arguments(value, target):
            if isinstance(argument, (ast.Constant, ast.JoinedStr, ast.Dict, ast.List)):
                continue
            values = self.types.values(self.scope, argument)
            passed = self._resolved(values)
            if not passed and self._are_none(values):
                found[key_of(target.id, name)] = NOTHING
            functions = where(passed, lambda each: each.kind in _CALLABLE)
            if functions and any(v.kind == FUNCTION for v in functions):
                if value.owner != "self":  # a method of another object has another `self`
                    functions = handed_on(self.types, self.node, self.scope, functions)
                found[key_of(target.id, name)] = functions
        return tuple(sorted(found.items(), key=lambda pair: pair[0]))

    def _left_none(self, value: Value, target: Scope) -> Iterator[str]:
        """Parameters for which this very call passes None or nothing, where others pass a function."""
        call, optional = self.seen.node, self.facts.optional(target)
        if not (optional and isinstance(call, ast.Call)) or is_open(call):
            return
        if last_name(call.func) not in names_of(self.types, target):
            return  # under another name it may be a partial
        shape = self.types.shape(target)
        skip = 1 if value.owner and not shape.is_static else 0
        for name in optional:
            given = argument_for(call, shape, name, skip)
            if given is None or _is_none(given):
                yield key_of(target.id, name)

    def _arguments(self, value: Value, target: Scope) -> Iterator[tuple[str, ast.expr]]:
        call = self.seen.node
        if not isinstance(call, ast.Call) or self.seen.via is not Via.CALL:
            return
        shape = self.types.shape(target)
        names = shape.parameters[1 if value.owner and not shape.is_static else 0 :]
        for name, argument in zip(names, call.args, strict=False):
            if isinstance(argument, ast.Starred):
                break
            yield name, argument
        yield from ((k.arg, k.value) for k in call.keywords if k.arg)

    def _constructor(self, value: Value, place: Place, guess: int) -> None:
        new = made(self.types, self.node, value)
        if self.facts.exact:
            new = new._replace(exact=True)
        ours = False
        for name in ("__new__", "__init__", "__post_init__", "model_post_init"):
            for class_, least in of_constructor(self.types, self.node, new, name):
                for method in self._methods(class_, name):
                    ours = True
                    owner = "self" if new.owner == "self" else class_
                    bound = Value(FUNCTION, method, guess=guess, owner=owner, exact=new.exact)
                    self._function(bound, place, max(guess, least))
        if ours:
            return
        for foreign in self.types.classes.foreign(new.name)[:1]:
            self._leaves(place, Value(EXTERNAL, foreign, guess=guess), guess)

    def _methods(self, class_: str, name: str) -> Iterator[str]:
        found = self.types.classes.find(class_, name)
        if isinstance(found, Member):
            for binding in found.bindings:
                if binding.kind == "def":
                    yield found.owner.children[id(binding.node)].id

    def _object(self, value: Value, place: Place, guess: int) -> None:
        """An object that is called, iterated or entered: its special methods."""
        via = self.seen.via
        names = _SPECIAL[via][self.seen.event.awaited and via is not Via.CALL]
        ours = False
        if ":" in value.name:
            for name in names:
                for method in ordered(self.types.member(frozenset((value,)), name)):
                    if method.kind == FUNCTION:
                        ours = True
                        self._function(method, place, max(guess, method.guess))
                        if name == "__iter__":
                            self._lazy_iteration(method, place, guess)
        if not ours:
            # Facts are kept by class for what is met without a call.
            name = value.name if via is not Via.CALL else f"{value.name}.__call__"
            self._leaves(place, Value(EXTERNAL, name, guess=guess, owner=value.name), guess)

    def _lazy_iteration(self, method: Value, place: Place, guess: int) -> None:
        scope = self.types.project.scope(method.name)
        if scope is not None and self.types.shape(scope).is_generator:
            self._comes(Node(method.name, place), max(guess, method.guess))

    def _moved(self, value: Value, place: Place, guess: int) -> None:
        """A function that was handed to another place. What runs later may hand itself over again."""
        edges = self.reached.edges
        if value.kind == FUNCTION:
            target = self.types.project.scope(value.name)
            if target is None or target.kind == "class":
                return
            if (
                self.types.shape(target).is_async
                and place in (Place.THREAD_POOL, Place.EXECUTOR)
                and not _runs_its_own_loop(self.seen)
            ):
                place = Place.LOOP
            receiver, exact, barred = self._self(value, target)
            to = Node(value.name, place, receiver, value.closure, exact=exact, barred=barred)
            edges.append(Edge(to, self.seen, guess))
        elif value.kind == EXTERNAL:
            self._leaves(place, value, guess)
        elif value.kind == INSTANCE and ":" in value.name:
            for method in ordered(self.types.member(frozenset((value,)), "__call__")):
                if method.kind == FUNCTION:
                    to = Node(method.name, place)
                    edges.append(Edge(to, self.seen, max(guess, method.guess)))


def _are_several(values: Values) -> bool:
    """Whether they are different functions; how well the object is known is no difference."""
    functions = where(values, lambda each: each.kind in (FUNCTION, GENERATOR))
    return len({each._replace(exact=False, guess=0) for each in functions}) > 1


def _is_none(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _runs_its_own_loop(seen: Seen) -> bool:
    return any(value.name in ITS_OWN_LOOP for value in seen.targets)


def _closed(value: Value, bound: dict[str, Values]) -> Value:
    """A local function sees what the function around it was passed."""
    if value.kind != FUNCTION or not bound:
        return value
    if value.owner == "self":
        inside = {k: v for k, v in bound.items() if k.partition(" ")[0].endswith(".__init__")}
        return _with(value, inside)
    if ".<locals>." not in value.name:
        return value
    inside = {
        key: values for key, values in bound.items() if value.name.startswith(key.partition(" ")[0])
    }
    return _with(value, inside)


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
