"""What a local name can still hold where what was passed rules some of its ways out.

stream = target if hasattr(target, "write") else open(target, "wb")
stream.write(data)
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from unstall.audit import types_names
from unstall.audit.calls import Seen
from unstall.audit.flags import Flags, Passed
from unstall.audit.scan import Event
from unstall.audit.scopes import Binding, Scope
from unstall.audit.types import Types
from unstall.audit.values import INSTANCE, NOTHING, Values, guessed, union, where

_LIKELY, _RULED_OUT = 1, 2
"""As guesses: where it is not known what else it would be, and where it is."""


class _Way(NamedTuple):
    """One way in which the name gets its value: as a parameter, or by an expression."""

    name: str
    binding: Binding
    value: ast.expr | None
    call: Event | None
    """Of a call under a condition; what else stands there is not asked about."""


class Alive:
    """Calls of methods; in which ways their objects come about is worked out once for each."""

    def __init__(self, types: Types, passed: Passed) -> None:
        self._types = types
        self._passed = passed
        self._ways: dict[int, tuple[_Way, ...]] = {}

    def targets(self, scope: Scope, seen: Seen, flags: Flags) -> Values:
        """What is called; what only an object has that is not made here is a guess."""
        ways = self._ways.get(id(seen.event))
        if ways is None:
            ways = self._ways[id(seen.event)] = self._ways_of(scope, seen.event)
        live = [each for each in ways if not self._is_dead(scope, each, flags)]
        if not live or len(live) == len(ways):
            return seen.targets
        method = seen.event.node.func.attr  # type: ignore[attr-defined]
        known = [self._methods(scope, each, method, flags) for each in live]
        left = {(value.kind, value.name) for value in union(known)}
        gone = where(seen.targets, lambda each: (each.kind, each.name) not in left)
        return (seen.targets - gone) | guessed(gone, _RULED_OUT if all(known) else _LIKELY)

    def _is_dead(self, scope: Scope, way: _Way, flags: Flags) -> bool:
        return way.call is not None and self._passed.rule_out(scope, way.call, flags)

    def _methods(self, scope: Scope, way: _Way, method: str, flags: Flags) -> Values:
        """What is called if the object came about in this way; nothing: that is not known."""
        given = self._values(scope, way)
        if not given or any(each.kind != INSTANCE or each.guess for each in given):
            given = self._passed.objects(scope, way.value or way.name, flags)
        found = [self._types.member(frozenset((each,)), method) for each in given]
        return union(found) if all(found) else NOTHING

    def _values(self, scope: Scope, way: _Way) -> Values:
        if way.value is None:
            return types_names.bound(self._types, scope, way.name, way.binding)
        return self._types.values(scope, way.value)

    def _ways_of(self, scope: Scope, event: Event) -> tuple[_Way, ...]:
        """None where none can be ruled out, or one cannot be read."""
        match event.node:
            case ast.Call(ast.Attribute(ast.Name(name) as receiver)):
                at = receiver.lineno, receiver.col_offset
                found = types_names.find(self._types, scope, name, at)
            case _:
                return ()
        is_local = scope.kind == "function" and name not in scope.changed
        if found is None or found[0] is not scope or not is_local:
            return ()
        if not all(each.kind == "parameter" or _is_plain(each) for each in found[1]):
            return ()
        given = [
            (binding, value)
            for binding in found[1]
            for value in _arms(binding.value if binding.kind == "assign" else None)
        ]
        if len(given) < 2 or not any(isinstance(value, ast.Call) for _, value in given):
            return ()
        events = self._types.project.scan(scope).events
        calls = {id(each.node): each for each in events if each.tests}
        return tuple(_Way(name, binding, value, calls.get(id(value))) for binding, value in given)


def _is_plain(binding: Binding) -> bool:
    """It says nothing but a value."""
    says_more = binding.item or binding.annotation is not None
    return binding.kind == "assign" and binding.value is not None and not says_more


def _arms(value: ast.expr | None) -> Iterator[ast.expr | None]:
    if isinstance(value, ast.IfExp):
        yield from _arms(value.body)
        yield from _arms(value.orelse)
    else:
        yield value
