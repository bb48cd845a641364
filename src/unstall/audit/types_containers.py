"""What containers of dependencies hand over: objects that somebody else's code makes of our classes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unstall.audit.scopes import Scope
from unstall.audit.values import (
    CLASS,
    CONTEXT,
    COROUTINE,
    GENERATOR,
    INSTANCE,
    NOTHING,
    Value,
    Values,
    guessed,
    one,
    union,
    where,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types

_PROVIDERS = frozenset(
    f"dependency_injector.providers.{name}"
    for name in "AbstractFactory AbstractSingleton Callable ContextLocalSingleton Coroutine Factory Object "
    "Resource Singleton ThreadLocalSingleton ThreadSafeSingleton".split()
)
"""Calling one of them gives an object of the class, or what the function gives, that it was made with."""
_AS_IT_IS = "dependency_injector.providers.Object"
_EACH_TIME = frozenset(
    f"dependency_injector.providers.{name}"
    for name in "AbstractFactory Callable Coroutine Factory".split()
)
"""Calling them calls what they were made with; the others do so once."""
_CALLS = "provides"
"""Key of what that is."""
_NESTED = "dependency_injector.providers.Container"
_CONTAINER = "dependency_injector.containers.DeclarativeContainer"
_INJECTED = frozenset({"dependency_injector.wiring.Provide", "dependency_injector.wiring.Closing"})
_RESOLVE = frozenset(
    "punq.Container.resolve svcs.Container.get svcs.fastapi.DepContainer.get injector.Injector.get "
    "lagom.Container.resolve dishka.Container.get".split()
)
"""They give an object of the class that they are passed, or of one that was registered for it."""
_RESOLVE_LATER = frozenset(
    "svcs.Container.aget svcs.fastapi.DepContainer.aget dishka.AsyncContainer.get".split()
)


def made(types: Types, value: Value, scope: Scope, call: ast.Call) -> Values:
    """What calling somebody's container gives; nothing where it is none."""
    if value.name == _NESTED and call.args:
        return types.values(scope, call.args[0])
    if value.name in _PROVIDERS and call.args:
        given = types.values(scope, call.args[0])
        if value.name == _AS_IT_IS:
            return one(INSTANCE, value.name, given)
        calls = ((_CALLS, given),) if given and value.name in _EACH_TIME else ()
        items = (_opened(types.called(given, None, None)),)
        return frozenset((Value(INSTANCE, value.name, items, closure=calls),))
    if value.name in _RESOLVE and len(call.args) == 1:
        return guessed(types.annotation(scope, call.args[0]), 1)
    if value.name in _RESOLVE_LATER and len(call.args) == 1:
        inside = guessed(types.annotation(scope, call.args[0]), 1)
        return one(COROUTINE, value.name, inside)
    return NOTHING


def provided(values: Values) -> Values:
    """Providers among the values as what they give."""
    if not any(_is_provider(value) for value in values):
        return values
    return union(value.items[0] if _is_provider(value) else frozenset((value,)) for value in values)


def called_by(values: Values) -> Values:
    """Providers among what is called as the classes and functions that they call."""
    if not any(_is_provider(value) for value in values):
        return values
    return union(
        dict(value.closure).get(_CALLS, frozenset((value,)))
        if _is_provider(value)
        else frozenset((value,))
        for value in values
    )


def injected(types: Types, scope: Scope, node: ast.expr) -> Values | None:
    """`Provide[Container.name]` and `Provide["name"]`: what the provider gives. None: another expression."""
    if not isinstance(node, ast.Subscript):
        return None
    if not any(value.name in _INJECTED for value in types.known(scope, node.value)):
        return None
    if isinstance(node.slice, ast.Constant):
        return provided(_named(types, str(node.slice.value)))
    return provided(where(types.known(scope, node.slice), lambda v: v.kind == INSTANCE))


def _named(types: Types, name: str) -> Values:
    """Providers that containers of the project have under a name, dotted for one inside another."""
    values: Values = frozenset(
        Value(CLASS, scope.id)
        for scope in types.project.own_scopes()
        if scope.kind == "class" and _CONTAINER in types.classes.foreign(scope.id)
    )
    for part in name.split("."):
        values = types.member(values, part)
    return where(values, _is_provider)


def _is_provider(value: Value) -> bool:
    return value.kind == INSTANCE and value.name in _PROVIDERS and bool(value.items)


def _opened(values: Values) -> Values:
    """What a provider awaits, enters or takes out of a generator itself."""
    return union(
        (value.items[0] if value.items else NOTHING)
        if value.kind in (COROUTINE, GENERATOR, CONTEXT)
        else frozenset((value,))
        for value in values
    )
