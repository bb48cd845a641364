"""What a definition says of a function before its body is read."""

from __future__ import annotations

import ast
from itertools import takewhile
from typing import NamedTuple

from unstall.audit.scopes import Scope

_READ = frozenset("property cached_property hybrid_property computed_field async_property".split())


_NO_ARGUMENTS = ast.arguments([], [], None, [], [], None, [])


class Shape(NamedTuple):
    """How a function is called."""

    is_async: bool
    is_generator: bool
    is_static: bool
    is_class: bool
    is_property: bool
    is_context: bool
    is_abstract: bool
    is_hook: bool
    """It does nothing, and nothing says that classes below have to define it."""
    is_cached: bool
    """Its body runs once for equal arguments."""
    parameters: tuple[str, ...]
    """Positional ones in order, the receiver included."""
    by_place: int
    """So many of the first cannot be passed by name."""
    defaults: int
    """So many of the last of them may be left out."""
    keywords: tuple[str, ...]
    needed: tuple[str, ...]
    """Those of them without a default."""
    rest: str
    rest_keywords: str


def shape_of(scope: Scope, is_generator: bool) -> Shape:
    node = scope.node
    names = {_last(decorator) for decorator in getattr(node, "decorator_list", ())}
    is_method = scope.outer is not None and scope.outer.kind == "class"
    is_marked, is_empty = bool(names & {"abstractmethod", "overload"}), _is_empty(node)
    arguments: ast.arguments = getattr(node, "args", _NO_ARGUMENTS)
    return Shape(
        is_async=isinstance(node, ast.AsyncFunctionDef),
        is_generator=is_generator,
        is_static="staticmethod" in names or not is_method,
        is_class="classmethod" in names
        or getattr(node, "name", "") in ("__init_subclass__", "__class_getitem__"),
        is_property=is_method and bool(names & _READ),
        is_context=bool(names & {"contextmanager", "asynccontextmanager"}),
        is_abstract=is_marked or is_empty,
        is_hook=is_empty and not is_marked and not _raises(node),
        is_cached=bool(names & {"lru_cache", "cache"}),
        parameters=tuple(a.arg for a in (*arguments.posonlyargs, *arguments.args)),
        by_place=_by_place(arguments),
        defaults=len(arguments.defaults),
        keywords=tuple(a.arg for a in arguments.kwonlyargs),
        needed=tuple(
            each.arg
            for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is None
        ),
        rest=arguments.vararg.arg if arguments.vararg else "",
        rest_keywords=arguments.kwarg.arg if arguments.kwarg else "",
    )


def _by_place(arguments: ast.arguments) -> int:
    """Those before `/`, else those whose names begin with two underscores."""
    if arguments.posonlyargs:
        return len(arguments.posonlyargs)
    private = (each.arg.startswith("__") for each in arguments.args[1:])
    hidden = sum(takewhile(bool, private))
    return hidden + 1 if hidden else 0


def _last(decorator: ast.expr) -> str:
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_empty(node: ast.AST) -> bool:
    """Nothing but a docstring, `...`, `pass`, or an error that says there is no code."""
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return False
    for statement in body:
        if isinstance(statement, ast.Pass):
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if isinstance(statement, ast.Raise) and "NotImplemented" in ast.dump(statement):
            continue
        return False
    return True


def _raises(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Raise) for each in getattr(node, "body", ()))


def takes(own: Shape, asked: Shape) -> bool:
    """Whether a method could stand for one of a protocol: it takes what that takes, and needs no more.

    As type checkers have it, a parameter that can be passed by name has that name.
    """
    mine, theirs = _passed(own), _passed(asked)
    surplus, names = len(mine) - len(theirs), {*asked.keywords, *theirs}
    if surplus < 0 and not own.rest:
        return False
    if surplus > own.defaults and not asked.rest:
        return False
    if not (own.rest_keywords or {*asked.keywords} <= {*own.keywords, *mine}):
        return False
    if not (asked.rest_keywords or {*own.needed} <= names):
        return False
    nameless = max(asked.by_place - (len(asked.parameters) - len(theirs)), 0)
    return all(a == b for a, b in list(zip(mine, theirs, strict=False))[nameless:])


def _passed(shape: Shape) -> tuple[str, ...]:
    """Positional parameters without the receiver."""
    return shape.parameters if shape.is_static else shape.parameters[1:]


def is_open(call: ast.Call) -> bool:
    """It has `*args` or `**kwargs`: what is passed cannot be told."""
    return any(isinstance(a, ast.Starred) for a in call.args) or any(
        k.arg is None for k in call.keywords
    )


def argument_for(call: ast.Call, shape: Shape, parameter: str, skip: int) -> ast.expr | None:
    """The expression a call passes for a parameter; `skip`: parameters that a receiver takes."""
    for keyword in call.keywords:
        if keyword.arg == parameter:
            return keyword.value
    if parameter in shape.parameters:
        place = shape.parameters.index(parameter) - skip
        if 0 <= place < len(call.args) and not any(
            isinstance(a, ast.Starred) for a in call.args[: place + 1]
        ):
            return call.args[place]
    return None
