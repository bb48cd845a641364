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
from unstall.audit.values import Values, guessed, union

_RULED_OUT = 2
"""As a guess: it may be, but hardly is."""


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
        left = self._types.member(union(self._values(scope, each) for each in live), method)
        return left | guessed(seen.targets - left, _RULED_OUT)

    def _is_dead(self, scope: Scope, way: _Way, flags: Flags) -> bool:
        return way.call is not None and self._passed.rule_out(scope, way.call, flags)

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
        if found is None or found[0] is not scope or scope.kind != "function":
            return ()
        if not all(each.kind == "parameter" or _is_plain(each) for each in found[1]):
            return ()
        calls = {
            id(each.node): each for each in self._types.project.scan(scope).events if each.tests
        }
        ways = tuple(
            _Way(name, binding, value, calls.get(id(value)))
            for binding in found[1]
            for value in _arms(binding.value if binding.kind == "assign" else None)
        )
        return ways if any(each.call for each in ways) else ()


def _is_plain(binding: Binding) -> bool:
    return binding.kind == "assign" and binding.value is not None and not binding.item


def _arms(value: ast.expr | None) -> Iterator[ast.expr | None]:
    if isinstance(value, ast.IfExp):
        yield from _arms(value.body)
        yield from _arms(value.orelse)
    else:
        yield value
