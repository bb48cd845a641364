"""Whether code asks first if an event loop runs in its thread: starting one is then its other branch."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import last_name
from unstall.audit.values import FUNCTION

ITS_OWN_LOOP = frozenset("asyncio.run anyio.run trio.run uvloop.run".split())
"""It begins and ends with the call."""
STARTS_A_LOOP = ITS_OWN_LOOP | frozenset(
    "asyncio.Runner.run asyncio.BaseEventLoop.run_until_complete "
    "asyncio.AbstractEventLoop.run_until_complete".split()
)
_ASKS = frozenset("get_running_loop _get_running_loop is_running current_async_library".split())


def asks_for_a_loop(types: Types, scope: Scope) -> bool:
    """By itself, or through a function that it calls."""
    return _asks(types, scope) or any(_asks(types, each) for each in _called(types, scope))


def _asks(types: Types, scope: Scope) -> bool:
    return any(last_name(call.func) in _ASKS for call in _calls(types, scope))


def _called(types: Types, scope: Scope) -> Iterator[Scope]:
    for call in _calls(types, scope):
        for value in types.values(scope, call.func):
            target = types.project.scope(value.name) if value.kind == FUNCTION else None
            if target is not None:
                yield target


def _calls(types: Types, scope: Scope) -> Iterator[ast.Call]:
    for event in types.project.scan(scope).events:
        if isinstance(event.node, ast.Call):
            yield event.node
