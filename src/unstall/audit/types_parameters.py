"""What parameters are: receivers, annotations, dependencies, defaults."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING

from unstall.audit import types_calls, types_containers
from unstall.audit.scopes import Binding, Scope
from unstall.audit.types_generics import says
from unstall.audit.values import (
    CLASS,
    CONSTANT,
    FUNCTION,
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
            stated = narrowed(types, scope, stated, () if default is None else (default,))
            # Whoever calls it without the framework may pass another object.
            is_narrow = any(value.exact for value in stated)
            return stated | one(PARAMETER, key_of(scope.id, name)) if is_narrow else stated
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


def narrowed(types: Types, scope: Scope, stated: Values, asked: Iterable[ast.expr]) -> Values:
    """What is annotated with a base as what `Depends` among these gives, where all of it is made there."""
    if not any(value.kind == INSTANCE and types.classes.is_open(value.name) for value in stated):
        return stated
    bases = {value.name for value in stated}
    given = union(_all_given(types, scope, each) for each in asked if depends(types, scope, each))
    is_made = all(
        value.kind == INSTANCE
        and value.exact
        and ":" in value.name
        # A base that is asked for itself, and left open, stands for what replaces it.
        and not (value.name in bases and types.classes.is_unfinished(value.name))
        for value in given
    )
    return given if given and is_made else stated


def _all_given(types: Types, scope: Scope, node: ast.expr) -> Values:
    """What `Depends` gives; nothing where some of it is not known."""
    wanted = _wanted(node)
    makers = types.known(_around(scope), wanted) if wanted is not None else NOTHING
    is_known = all(
        value.kind == CLASS or (value.kind == FUNCTION and types_calls.tells_all(types, value.name))
        for value in makers
    )
    return dependency(types, scope, node) if is_known else NOTHING


def dependency(types: Types, scope: Scope, node: ast.expr) -> Values:
    """What `Depends(f)` hands over: what f returns, or yields."""
    wanted, around = _wanted(node), _around(scope)
    if wanted is None:
        return NOTHING
    given = types_containers.injected(types, around, wanted)
    if given is None:
        given = types.called(types.known(around, wanted), None, None)
    return union(
        (value.items[0] if value.items else NOTHING)
        if value.kind in ("coroutine", "generator", "context")
        else frozenset((value,))
        for value in given
    )


def _wanted(node: ast.expr) -> ast.expr | None:
    """What `Depends` is given; None: the annotation says it."""
    if not isinstance(node, ast.Call):
        return None
    named = (each.value for each in node.keywords if each.arg == "dependency")
    return node.args[0] if node.args else next(named, None)


def _around(scope: Scope) -> Scope:
    """Where defaults of a function stand."""
    return scope.outer if scope.kind in ("function", "lambda") and scope.outer else scope
