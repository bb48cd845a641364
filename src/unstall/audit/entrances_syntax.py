"""Small questions to syntax trees."""

from __future__ import annotations

import ast

from unstall.audit.fields import dotted


def written(node: ast.AST) -> str:
    """As it stands in the source."""
    try:
        return dotted(node) or ast.unparse(node)
    except RecursionError:  # thousands of terms
        return "…"


def argument(call: ast.Call, position: int | None, *names: str) -> ast.expr | None:
    """The argument under one of these names, or at this position."""
    for keyword in call.keywords:
        if keyword.arg in names:
            return keyword.value
    if position is None or position >= len(call.args):
        return None
    return (
        None
        if any(isinstance(a, ast.Starred) for a in call.args[: position + 1])
        else call.args[position]
    )


def default_of(arguments: ast.arguments, name: str) -> ast.expr | None:
    for parameter, default in parameters_of(arguments):
        if parameter.arg == name:
            return default
    return None


def parameters_of(arguments: ast.arguments) -> list[tuple[ast.arg, ast.expr | None]]:
    """Each parameter that can be given by name or position, with its default."""
    positional = [*arguments.posonlyargs, *arguments.args]
    bare: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    return [
        *zip(positional, [*bare, *arguments.defaults], strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]


def is_static(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in decorators)


def last_name(node: ast.expr) -> str:
    """`c` of `a.b.c`; empty for what is no name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def func_of(decorator: ast.expr) -> ast.expr:
    """A decorator without its arguments."""
    return decorator.func if isinstance(decorator, ast.Call) else decorator
