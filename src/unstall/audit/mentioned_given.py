"""Objects that code of others is given: it may call their methods, by names that stand nowhere here."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set

from unstall.audit.mentioned_read import Mention, arguments
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import last_name
from unstall.audit.values import CLASS, EXTERNAL, FUNCTION, INSTANCE, Value, Values, ordered

_CALL_NOTHING = frozenset(
    "asyncio.Queue asyncio.LifoQueue asyncio.PriorityQueue builtins collections contextvars copy dataclasses "
    "json logging loguru pickle queue structlog typing typing_extensions weakref".split()
)
"""They call no method of what they are given, but those with two underscores; they may keep it for us."""
_ONLY_MAKE = _CALL_NOTHING | frozenset(
    "abc anyio.to_process anyio.to_thread asyncio.AbstractEventLoop.run_in_executor asyncio.to_thread "
    "concurrent.futures dependency_injector fastapi functools inspect pydantic sqlalchemy sqlmodel "
    "starlette".split()
)
"""They call a function or class that they are given, or read its shape, and give us what comes of it."""
_CONTAINERS = frozenset(
    f"builtins.{name}" for name in ("list", "tuple", "set", "frozenset", "dict")
)
_DEEPEST = 4
"""Containers in containers, and functions that give functions."""


def given_to_others(types: Types, call: Mention) -> Iterator[str]:
    """Classes of objects that a call of others gets: their ids, or last names where no more is known."""
    node = call.node
    assert isinstance(node, ast.Call)
    called = types.known(call.scope, node.func)
    if any(_is_ours(types, each) for each in called):
        return
    names = {each.name for each in called if each.kind in (EXTERNAL, INSTANCE)}
    if _are_all(names, _CALL_NOTHING):
        return
    only_objects = _are_all(names, _ONLY_MAKE)
    for argument in arguments(node):
        for value in _held(types, types.known(call.scope, argument), only_objects):
            yield value.name
        yield from _made_as(call.scope, argument)


def _are_all(names: Set[str], known: frozenset[str]) -> bool:
    return bool(names) and all(_is_below(name, known) for name in names)


def _is_below(name: str, known: frozenset[str]) -> bool:
    """It is one of them, or in one."""
    dot = name.find(".")
    while dot >= 0:
        if name[:dot] in known:
            return True
        dot = name.find(".", dot + 1)
    return name in known


def _is_ours(types: Types, called: Value) -> bool:
    """A class may leave its constructor to one of others."""
    if called.kind != CLASS:
        return called.kind == FUNCTION or (called.kind == INSTANCE and ":" in called.name)
    above = set(types.classes.foreign(called.name))
    return types.classes.constructor(called.name) is not None or _are_all(
        above | {"builtins"}, _ONLY_MAKE
    )


def _held(types: Types, values: Values, only_objects: bool, depth: int = 0) -> Iterator[Value]:
    """Classes and objects of ours among values, in what they contain, and in what calling them gives."""
    for value in ordered(values) if depth < _DEEPEST else ():
        if value.kind == INSTANCE and value.name in _CONTAINERS:
            for inner in value.items:
                yield from _held(types, types.expanded(inner), only_objects, depth + 1)
        elif value.kind == INSTANCE or (value.kind == CLASS and not only_objects):
            yield value
        elif value.kind == FUNCTION and not only_objects:
            scope = types.project.scope(value.name)
            if scope is not None:
                yield from _held(types, types.returned(scope), only_objects, depth + 1)


def _made_as(scope: Scope, argument: ast.expr) -> Iterator[str]:
    """Last names of what is called, there or where a name gets its value."""
    if isinstance(argument, ast.Call):
        yield last_name(argument.func)
    elif isinstance(argument, ast.Name):
        for binding in scope.bindings.get(argument.id, ()):
            if isinstance(binding.value, ast.Call):
                yield last_name(binding.value.func)
