"""What calls of builtins and of containers give."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unstall.audit import types_files
from unstall.audit.scopes import Scope
from unstall.audit.values import (
    INSTANCE,
    NOTHING,
    Value,
    Values,
    guessed,
    instance,
    union,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types


_PLAIN = frozenset("str int float bool bytes bytearray complex object type Exception range".split())


_COPIES = frozenset("list set sorted tuple frozenset reversed filter".split())


def of_builtin(types: Types, name: str, scope: Scope | None, call: ast.Call | None) -> Values:
    if name in _PLAIN:
        return instance(f"builtins.{name}", exact=True)
    given = types.table.returns(f"builtins.{name}")
    if call is None or scope is None:
        return union(instance(each) for each in given)
    if name == "open" and (file := types_files.opened("builtins.open", call)):
        return file
    arguments = [types.values(scope, each) for each in call.args]
    if name in _COPIES:
        if name == "filter" and len(arguments) > 1:
            return _calls_later(name, arguments[0], types.element(arguments[1]))
        source = arguments[0] if arguments else NOTHING
        return instance("builtins.list", types.element(source))
    if name == "iter" and len(arguments) > 1:  # until it gives the second one
        return _calls_later(name, arguments[0], types.called(arguments[0], None, None))
    if name in ("iter", "aiter") and arguments:
        return arguments[0]  # as lazy as before
    if name in ("next", "anext") and arguments:
        return types.element(arguments[0], name == "anext")
    if name in ("max", "min") and len(arguments) == 1:
        return types.element(arguments[0])
    if name in ("max", "min"):
        return union(arguments)
    if name == "enumerate" and arguments:
        return instance(
            "builtins.list",
            instance("builtins.tuple", instance("builtins.int"), types.element(arguments[0])),
        )
    if name == "zip":
        return instance(
            "builtins.list", instance("builtins.tuple", *(types.element(a) for a in arguments))
        )
    if name == "map" and len(arguments) > 1:
        return _calls_later(name, arguments[0], types.called(arguments[0], None, None))
    if name == "dict":
        return arguments[0] if arguments else instance("builtins.dict")
    if name == "getattr" and len(call.args) > 1:
        return _got(types, scope, call)
    return union(instance(each) for each in given)


LATER = "calls"
"""Key of the functions that an iterator calls for each of its elements."""


def _calls_later(name: str, functions: Values, elements: Values) -> Values:
    """`map`, `filter` and `iter` of a function call where they are iterated."""
    kept = ((LATER, functions),) if functions else ()
    return frozenset((Value(INSTANCE, f"builtins.{name}", (elements,), closure=kept),))


def _got(types: Types, scope: Scope, call: ast.Call) -> Values:
    name = call.args[1]
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        found = types.member(types.known(scope, call.args[0]), name.value)
        return found | (types.values(scope, call.args[2]) if len(call.args) > 2 else NOTHING)
    return NOTHING


def of_container(module: str, name: str, items: tuple[Values, ...]) -> Values:
    last = items[-1]
    if module == "builtins.dict":
        if name in ("get", "pop", "setdefault", "__getitem__"):
            return guessed(last, 1 if len(last) > 1 else 0)
        if name == "values":
            return instance("builtins.list", last)
        if name == "keys":
            return instance("builtins.list", items[0])
        if name == "items":
            return instance("builtins.list", instance("builtins.tuple", items[0], last))
        return NOTHING
    if name in ("pop", "popleft", "__getitem__"):
        return items[0]
    return (
        instance(module, items[0])
        if name in ("copy", "union", "difference", "intersection")
        else NOTHING
    )
