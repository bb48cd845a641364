"""What type variables stand for: in a class by what it gives its bases, else by what all classes give.

A type variable is a parameter that classes pass: `class Users(Store[Client])` passes `Client` for the first
variable of `Store`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from unstall.audit.scopes import Scope
from unstall.audit.values import (
    CLASS,
    EXTERNAL,
    INSTANCE,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    guessed,
    key_of,
    one,
    substituted,
    union,
    where,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types

_MARK = "<typevar>"
_TYPE = "<type>"
_OPEN = frozenset({"module", "class"})
"""A function inside another one has the variables of that."""
_DECLARE = frozenset("typing.Generic typing.Protocol typing_extensions.Protocol".split())


def variable(scope: Scope, node: ast.Call, bound: Values) -> Values:
    """What is annotated with `T = TypeVar("T")`; `bound` is what it is at least."""
    at = f"{node.lineno}.{node.col_offset}"
    key = key_of(f"{scope.module}:{_MARK}@{at}", "T")
    return one(PARAMETER, key, bound) if bound else one(PARAMETER, key)


def is_variable(key: str) -> bool:
    return _MARK in key


def type_of(values: Values) -> Values:
    """`type[…]` of what these are: classes, and of a variable one more variable."""
    return union(map(_type_of, values))


def _type_of(value: Value) -> Values:
    if value.kind == PARAMETER and is_variable(value.name):
        bound = (type_of(value.items[0]),) if value.items else ()
        return frozenset((Value(PARAMETER, _TYPE + value.name, bound),))
    if value.kind != INSTANCE or not value.name:
        return NOTHING
    return one(CLASS if ":" in value.name else EXTERNAL, value.name)


def made_of(value: Value) -> Value | None:
    """What calling it gives, where it is `type[T]` of a variable: `T`."""
    if value.kind != PARAMETER or not value.name.startswith(_TYPE):
        return None
    objects = tuple(
        frozenset(each._replace(kind=INSTANCE) for each in items) for items in value.items
    )
    return Value(PARAMETER, value.name.removeprefix(_TYPE), objects, value.guess)


def _with_types(given: Mapping[str, Values]) -> dict[str, Values]:
    """What variables are, and so what `type[T]` of each is."""
    return {**given, **{_TYPE + key: type_of(values) for key, values in given.items()}}


def with_arguments(made: Values, stated: Values) -> Values:
    """Objects that are made, with what is said of their class where they are annotated: `Store[Client]`."""
    said = {each.name: each.items for each in stated if each.kind == INSTANCE and each.items}
    if not said:
        return made
    return frozenset(each._replace(items=each.items or said.get(each.name, ())) for each in made)


def variables_in(values: Values) -> dict[str, Value]:
    """By their keys, as deep as they lie."""
    found: dict[str, Value] = {}
    for value in values:
        if value.kind == PARAMETER:
            if is_variable(value.name):
                found[value.name] = value
            continue
        for inside in (*value.items, *(each for _, each in value.closure)):
            found |= variables_in(inside) if inside else {}
    return found


def says(values: Values) -> bool:
    """More than the name of a type variable without a bound."""
    return any(value.kind != PARAMETER or value.items for value in values)


class Generics:
    def __init__(self, types: Types) -> None:
        self._types = types
        self._known: dict[str, Mapping[str, Values]] = {}
        self._variables: dict[str, tuple[str, ...]] = {}
        self._everywhere: dict[str, set[Values]] | None = None

    def given(self, receiver: Value) -> Mapping[str, Values]:
        """What the variables of an object's class and of its bases are, by their keys."""
        return self.at(receiver.name, self.held(receiver) if receiver.items else {})

    def at(self, class_: str, held: Mapping[str, Values]) -> Mapping[str, Values]:
        """The same where it is known what is said of the object alone."""
        known = self.of_class(class_) if class_ else {}
        if not held:
            return known
        own = _with_types(held)
        return {**{key: substituted(values, own) for key, values in known.items()}, **own}

    def read(self, values: Values, receiver: Value) -> Values:
        """A member of an object, with what its variables are; those of another object are not one's own."""
        given = self.given(receiver)
        found = self.bound(values, given)
        own = self._own(receiver.name) if receiver.owner != "self" else ()
        return self._closed(found, [key for key in own if key not in given]) if own else found

    def given_back(self, values: Values, called: Value, scope: Scope) -> Values:
        """What a function gives, for those who call it: its variables are not theirs."""
        if called.owner == "self" or scope.outer is None or scope.outer.kind not in _OPEN:
            return values
        if not called.owner:
            return self._closed(values, variables_in(values))
        held = {key: each for key, each in called.closure if is_variable(key)}
        given = self.at(called.owner, held)
        own = (key for key in self._own(called.owner) if key not in given)
        return self._closed(substituted(values, given), own)

    def _closed(self, values: Values, keys: Iterable[str]) -> Values:
        """With what these variables are anywhere."""
        keys = {key.removeprefix(_TYPE) for key in keys}
        found = variables_in(values) if keys else {}
        anywhere = {
            key: self._types.expanded(frozenset((value,)))
            for key, value in found.items()
            if key.removeprefix(_TYPE) in keys
        }
        return substituted(values, anywhere)

    def _own(self, name: str) -> tuple[str, ...]:
        """The variables that a class and those above it declare."""
        classes = (each for each in self._types.classes.order(name) if ":" in each)
        return tuple(dict.fromkeys(key for each in classes for key in self._declared(each)))

    def bound(self, values: Values, given: Mapping[str, Values]) -> Values:
        """Values with what their variables are. Of a parameter that says so, this is all that is passed."""
        if not given:
            return values
        return substituted(where(values, lambda each: not self._is_told(each, given)), given)

    def _is_told(self, value: Value, given: Mapping[str, Values]) -> bool:
        """A parameter that is annotated with a variable of which it is known what it is."""
        if value.kind != PARAMETER or is_variable(value.name):
            return False
        return any(says(given.get(each.name, NOTHING)) for each in self._stated(value.name))

    def _stated(self, key: str) -> Values:
        """What a parameter is annotated with."""
        scope_id, _, name = key.rpartition(" ")
        scope = self._types.project.scope(scope_id)
        if scope is None:
            return NOTHING
        return union(
            self._types.annotation(scope.outer or scope, binding.annotation)
            for binding in scope.bindings.get(name, ())
            if binding.kind == "parameter" and binding.annotation is not None
        )

    def held(self, receiver: Value) -> Mapping[str, Values]:
        """What is said of this object alone: `Store[Client]`."""
        return dict(zip(self._declared(receiver.name), receiver.items, strict=False))

    def anywhere(self, key: str) -> Values:
        """What any class gives for a variable: a guess; of several, none that is worth showing."""
        if self._everywhere is None:
            self._everywhere = {}
            for scope in self._types.project.own_scopes():
                if scope.kind == "class":
                    for pair in self._to_bases(scope.id):
                        self._note(pair)
        found = self._everywhere.get(key, set())
        return guessed(self._types.expanded(union(found)), 1 if len(found) == 1 else 2)

    def _note(self, pair: tuple[str, Values]) -> None:
        for key, values in _with_types(dict((pair,))).items():
            if self._everywhere is not None and says(values):
                self._everywhere.setdefault(key, set()).add(values)

    def of_class(self, name: str) -> Mapping[str, Values]:
        known = self._known.get(name)
        if known is None:
            self._known[name] = {}  # a class that is its own base
            own = _with_types(dict(self._to_bases(name)))
            above: dict[str, Values] = {}
            for base in self._types.classes.bases(name):
                for key, values in self.of_class(base).items() if ":" in base else ():
                    above[key] = substituted(values, own)
            known = self._known[name] = {**above, **own}
        return known

    def _to_bases(self, name: str) -> Iterator[tuple[str, Values]]:
        """By the variables of each base: what the class statement gives for them."""
        for scope, base, arguments in self._subscripted(name):
            for value in self._types.known(scope, base):
                if value.kind == CLASS and value.name != name:
                    given = [self._types.annotation(scope, each) for each in arguments]
                    yield from zip(self._declared(value.name), given, strict=False)

    def _declared(self, name: str) -> tuple[str, ...]:
        """The variables of a class: those of `Generic[…]`, else those that its bases are given, in order."""
        known = self._variables.get(name)
        if known is None:
            self._variables[name] = ()
            said: list[str] = []
            for scope, base, arguments in self._subscripted(name):
                keys = [key for each in arguments for key in self._keys(scope, each)]
                if any(value.name in _DECLARE for value in self._types.known(scope, base)):
                    said = keys
                    break
                said += keys
            known = self._variables[name] = tuple(dict.fromkeys(said))
        return known

    def _keys(self, scope: Scope, node: ast.expr) -> list[str]:
        values = self._types.annotation(scope, node)
        names = [v.name for v in values if v.kind == PARAMETER and is_variable(v.name)]
        return [name.removeprefix(_TYPE) for name in names]

    def _subscripted(self, name: str) -> Iterator[tuple[Scope, ast.expr, list[ast.expr]]]:
        """Bases that are given something: where they stand, the base, and what it is given."""
        scope = self._types.classes.scope(name)
        if scope is None or scope.outer is None or not isinstance(scope.node, ast.ClassDef):
            return
        for base in scope.node.bases:
            if isinstance(base, ast.Subscript):
                inside = base.slice
                arguments = inside.elts if isinstance(inside, ast.Tuple) else [inside]
                yield scope.outer, base.value, arguments
