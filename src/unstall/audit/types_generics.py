"""What type variables stand for: in a class by what it gives its bases, else by what all classes give.

A type variable is a parameter that classes pass: `class Users(Store[Client])` passes `Client` for the first
variable of `Store`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from unstall.audit.scopes import Scope
from unstall.audit.values import (
    CLASS,
    PARAMETER,
    Value,
    Values,
    guessed,
    key_of,
    one,
    substituted,
    union,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types

_MARK = "<typevar>"
_DECLARE = frozenset("typing.Generic typing.Protocol typing_extensions.Protocol".split())


def variable(scope: Scope, node: ast.Call, bound: Values) -> Values:
    """What is annotated with `T = TypeVar("T")`; `bound` is what it is at least."""
    at = f"{node.lineno}.{node.col_offset}"
    key = key_of(f"{scope.module}:{_MARK}@{at}", "T")
    return one(PARAMETER, key, bound) if bound else one(PARAMETER, key)


def is_variable(key: str) -> bool:
    return _MARK in key


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
        known = self.of_class(receiver.name)
        return {**known, **self.held(receiver)} if receiver.items else known

    def held(self, receiver: Value) -> Mapping[str, Values]:
        """What is said of this object alone: `Store[Client]`."""
        return dict(zip(self._declared(receiver.name), receiver.items, strict=False))

    def anywhere(self, key: str) -> Values:
        """What any class gives for a variable: a guess; of several, none that is worth showing."""
        if self._everywhere is None:
            self._everywhere = {}
            for scope in self._types.project.own_scopes():
                if scope.kind == "class":
                    for name, values in self._to_bases(scope.id):
                        if says(values):
                            self._everywhere.setdefault(name, set()).add(values)
        found = self._everywhere.get(key, set())
        return guessed(self._types.expanded(union(found)), 1 if len(found) == 1 else 2)

    def of_class(self, name: str) -> Mapping[str, Values]:
        known = self._known.get(name)
        if known is None:
            self._known[name] = {}  # a class that is its own base
            own = dict(self._to_bases(name))
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
        return [v.name for v in values if v.kind == PARAMETER and is_variable(v.name)]

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
