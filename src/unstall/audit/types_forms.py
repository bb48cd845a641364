"""Calls that are forms of the language or of typing: `super()`, `partial(f)`, `cast(T, x)`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unstall.audit import types_generics
from unstall.audit.scopes import Scope
from unstall.audit.values import (
    CLASS,
    NOTHING,
    SUPER,
    Values,
    one,
    union,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types


def special(types: Types, scope: Scope, node: ast.Call) -> Values | None:
    """`super()`, `partial(f)`, `cast(T, x)` and `Depends(f)` as a value; None: an ordinary call."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "super" and isinstance(node.func, ast.Name):
        owner = scope.class_of_method()
        return one(SUPER, _named(types, scope, node) or owner.id) if owner is not None else NOTHING
    if name in ("partial", "partialmethod", "copy_context", "bind") and node.args:
        if any(v.name.startswith("functools.partial") for v in types.values(scope, node.func)):
            return types.values(scope, node.args[0])
        return None
    if name == "type" and len(node.args) == 1 and isinstance(node.func, ast.Name):
        return types.classes_of(types.known(scope, node.args[0]))
    if (
        name == "cast"
        and len(node.args) == 2
        and any(
            v.name in ("typing.cast", "typing_extensions.cast")
            for v in types.values(scope, node.func)
        )
    ):
        return types.annotation(scope, node.args[0]) or types.values(scope, node.args[1])
    if name in ("TypeVar", "NewType", "ParamSpec") and any(
        v.name.startswith("typing") for v in types.values(scope, node.func)
    ):
        if name == "NewType" and len(node.args) == 2:
            return one("type", "", types.annotation(scope, node.args[1]))
        return _bound(types, scope, node) if name == "TypeVar" else NOTHING
    return None


def _named(types: Types, scope: Scope, node: ast.Call) -> str:
    """The class that `super(Class, self)` names."""
    given = types.values(scope, node.args[0]) if node.args else NOTHING
    names = {value.name for value in given if value.kind == CLASS}
    return next(iter(names)) if len(names) == 1 else ""


def _bound(types: Types, scope: Scope, node: ast.Call) -> Values:
    bounds = [each.value for each in node.keywords if each.arg == "bound"]
    bound = union(types.annotation(scope, each) for each in bounds)
    return one("type", "", types_generics.variable(scope, node, bound))
