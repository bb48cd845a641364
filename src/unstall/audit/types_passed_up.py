"""Fields that a base's constructor fills with a parameter: what the class of the object passes up for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unstall.audit import types_calls, types_names
from unstall.audit.scopes import Scope
from unstall.audit.types_callers import Mention
from unstall.audit.types_classes import Member
from unstall.audit.values import (
    CLASS,
    EXTERNAL,
    FUNCTION,
    INSTANCE,
    MANY,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    union,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types

_MADE = frozenset({CLASS, EXTERNAL, FUNCTION})


def passed_up(types: Types, receiver: Value, found: Member, name: str, stated: Values) -> Values:
    """What a field holds of which the base says no more than `stated`; nothing where that is not sure."""
    maker, parameter = _filled_with(found)
    if maker is None or receiver.name == found.owner.id or not _is_open(types, stated):
        return NOTHING
    classes = (receiver.name,) if receiver.exact else types.classes.concrete(receiver.name)
    if len(classes) > MANY:
        return NOTHING
    given = [_passed(types, each, maker, parameter) for each in classes]
    if not all(given):
        return NOTHING
    return union((*given, types_names.put_from_outside(types, found.owner.id, name)))


def _filled_with(found: Member) -> tuple[Scope | None, str]:
    """The constructor that alone fills it, and the parameter that it takes for it."""
    if len(found.assigned) == 1:
        ((maker, binding),) = found.assigned
        value = binding.value
        is_constructor = getattr(maker.node, "name", "") == "__init__" and not binding.item
        if is_constructor and isinstance(value, ast.Name) and maker.keeps(value.id):
            return maker, value.id
    return None, ""


def _is_open(types: Types, stated: Values) -> bool:
    """It may be of several classes."""
    return any(
        value.kind == PARAMETER
        or (
            value.kind in (INSTANCE, CLASS)
            and not value.exact
            and types.classes.is_open(value.name)
        )
        for value in stated
    )


def _passed(types: Types, class_: str, maker: Scope, parameter: str) -> Values:
    """What an object of the class passes, maybe through constructors between."""
    upper = maker
    way = _way(types, class_, maker)
    while way:
        call = way.pop()
        node = types.callers.argument(call, upper, parameter)
        if isinstance(node, ast.Name) and way and call.scope.keeps(node.id):
            upper, parameter = call.scope, node.id
            continue
        return _made(types, call.scope, node) if node is not None else NOTHING
    return NOTHING


def _way(types: Types, class_: str, maker: Scope) -> list[Mention]:
    """From the constructor of a class: the call in each that comes to the next."""
    way: list[Mention] = []
    for each in _constructors(types, class_):
        if way and types.callers.is_call_of(way[-1], each) is None:
            continue
        if each is maker:
            return way
        call = _only_call(types, each)
        if call is None:
            break
        way.append(call)
    return []


def _constructors(types: Types, class_: str) -> Iterator[Scope]:
    for each in types.classes.order(class_):
        own = types.classes.own(each, "__init__")
        for binding in own.bindings if own is not None else ():
            if own is not None and binding.kind == "def":
                yield own.owner.children[id(binding.node)]


def _only_call(types: Types, scope: Scope) -> Mention | None:
    """Of another constructor."""
    calls = [
        event.node
        for event in types.project.scan(scope).events
        if event.kind == "call" and isinstance(event.node, ast.Call)
        if getattr(event.node.func, "attr", "") == "__init__"
    ]
    return Mention(scope, calls[0], -1) if len(calls) == 1 else None


def _made(types: Types, scope: Scope, node: ast.expr) -> Values:
    """Where all that it can be is made there, or is a class or function itself."""
    if not isinstance(node, (ast.Name, ast.Attribute, ast.Call)):
        return NOTHING
    if isinstance(node, ast.Call) and not _tells_all(types, types.values(scope, node.func)):
        return NOTHING
    values = types.values(scope, node)
    is_made = all(v.kind in _MADE or (v.kind == INSTANCE and v.exact) for v in values)
    return values if is_made else NOTHING


def _tells_all(types: Types, makers: Values) -> bool:
    return all(
        maker.kind != FUNCTION or types_calls.tells_all(types, maker.name) for maker in makers
    )
