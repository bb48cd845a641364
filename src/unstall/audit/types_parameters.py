"""What parameters are: receivers, annotations, dependencies, defaults."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unstall.audit import types_containers
from unstall.audit.scopes import Binding, Scope
from unstall.audit.types_generics import says
from unstall.audit.values import (
    CLASS,
    CONSTANT,
    INSTANCE,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    key_of,
    one,
    union,
    where,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types


def rest_keywords(scope: Scope) -> ast.AST | None:
    return scope.node.args.kwarg  # type: ignore[attr-defined,no-any-return]


def parameter(types: Types, scope: Scope, name: str, binding: Binding) -> Values:
    """What a parameter can be: its receiver, annotation, dependency or default; else whatever is passed."""
    shape = types.shape(scope)
    outer = scope.outer
    if (
        outer is not None
        and outer.kind == "class"
        and shape.parameters[:1] == (name,)
        and not shape.is_static
    ):
        kind = CLASS if shape.is_class else INSTANCE
        return frozenset((Value(kind, outer.id, owner="self"),))
    default = default_of(scope, name)
    stated = NOTHING
    if binding.annotation is not None:
        stated = types.annotation(scope.outer or scope, binding.annotation)
        if says(stated):
            return stated
    if default is not None and depends(types, scope, default):
        found = dependency(types, scope, default)
        if found:
            return found
    passed = stated | one(PARAMETER, key_of(scope.id, name))
    if default is not None and scope.outer is not None:
        return passed | where(
            types.values(scope.outer, default), lambda value: value.kind != CONSTANT
        )
    return passed


def default_of(scope: Scope, name: str) -> ast.expr | None:
    arguments: ast.arguments = scope.node.args  # type: ignore[attr-defined]
    positional = [*arguments.posonlyargs, *arguments.args]
    first = len(positional) - len(arguments.defaults)
    for place, one_ in enumerate(positional):
        if one_.arg == name:
            return arguments.defaults[place - first] if place >= first else None
    for keyword, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if keyword.arg == name:
            return default
    return None


def depends(types: Types, scope: Scope, node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in ("Depends", "Security"):
        return True
    return any(
        v.name in ("fastapi.Depends", "fastapi.Security") for v in types.values(scope, node.func)
    )


def dependency(types: Types, scope: Scope, node: ast.expr) -> Values:
    """What `Depends(f)` hands over: what f returns, or yields."""
    if not isinstance(node, ast.Call):
        return NOTHING
    asked = (
        node.args[0]
        if node.args
        else next((k.value for k in node.keywords if k.arg == "dependency"), None)
    )
    if asked is None:
        return NOTHING
    around = (
        scope.outer if scope.kind in ("function", "lambda") and scope.outer is not None else scope
    )
    given = types_containers.injected(types, around, asked)
    if given is None:
        given = types.called(types.known(around, asked), None, None)
    return union(
        (value.items[0] if value.items else NOTHING)
        if value.kind in ("coroutine", "generator", "context")
        else frozenset((value,))
        for value in given
    )
