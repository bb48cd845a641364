"""Members that are asked for by a name that is put together, or comes from elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from unstall.audit import types_names
from unstall.audit.mentioned_read import Mention
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import last_name
from unstall.audit.values import CLASS, EXTERNAL, INSTANCE, MODULE, ordered

_DEEPEST = 4
"""Names that stand for names."""


class Asked(NamedTuple):
    """How the names of members begin and end; two empty texts: they may be any."""

    begin: str
    end: str


ANY = Asked("", "")


def asked_in(types: Types, reflection: Mention) -> tuple[Asked, ...]:
    """All that the second argument of a `getattr` can be."""
    call = reflection.node
    assert isinstance(call, ast.Call)
    if last_name(call.func) != "getattr" or len(call.args) < 2:
        return (ANY,)
    return tuple(dict.fromkeys(_asked(types, reflection.scope, call.args[1])))


def _asked(types: Types, scope: Scope, node: ast.expr, depth: int = 0) -> Iterator[Asked]:
    if not isinstance(node, ast.Name):
        yield Asked(_begin(node), _end(node))
        return
    found = types_names.find(types, scope, node.id, (node.lineno, node.col_offset))
    owner, bindings = found if found is not None and depth < _DEEPEST else (scope, ())
    for each in bindings:
        if each.value is not None and each.kind == "assign":
            yield from _asked(types, owner, each.value, depth + 1)
        else:
            yield ANY
    if not bindings:
        yield ANY


def _begin(node: ast.expr) -> str:
    """The text that a text surely begins with."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=[first, *_]):
            return _begin(first)
        case ast.BinOp(left=left, op=ast.Add()):
            return _begin(left)
        case ast.BinOp(left=ast.Constant(value=str() as text), op=ast.Mod()):
            return text.partition("%")[0]
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str() as text), attr="format")):
            return text.partition("{")[0]
    return ""


def _end(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=[*_, last]):
            return _end(last)
        case ast.BinOp(op=ast.Add(), right=right):
            return _end(right)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str() as text), attr="format")):
            return text.rpartition("}")[2]
    return ""


def owners_in(types: Types, reflection: Mention) -> frozenset[str]:
    """Classes and modules whose members are asked for."""
    call = reflection.node
    assert isinstance(call, ast.Call)
    if not call.args or _is_own_module(call.args[0]):
        return frozenset({reflection.scope.module})
    values = types.known(reflection.scope, call.args[0])
    found: set[str] = set()
    for value in ordered(values):
        if value.kind in (INSTANCE, CLASS):
            found |= {*types.classes.order(value.name), *types.classes.subclasses(value.name)}
        elif value.kind == MODULE:
            found.add(value.name)
    return frozenset(found)


def _is_own_module(receiver: ast.expr) -> bool:
    """`sys.modules[__name__]`"""
    return (
        isinstance(receiver, ast.Subscript)
        and last_name(receiver.value) == "modules"
        and last_name(receiver.slice) == "__name__"
    )


def is_open(types: Types, scope: Scope, receiver: ast.expr) -> bool:
    """It is not known, or only guessed, what an object is: it may be any that is kept somewhere."""
    if _is_own_module(receiver):
        return False
    values = types.known(scope, receiver)
    return not values or any(value.guess for value in values) or is_kept(types, scope, receiver)


def is_kept(types: Types, scope: Scope, receiver: ast.expr) -> bool:
    """An attribute of others' object: anything may be kept there, as in `app.state`."""
    base = receiver
    while isinstance(base, ast.Attribute):
        base = base.value
    known = types.known(scope, receiver)
    if base is receiver or any(value.kind != EXTERNAL for value in known):
        return False
    return any(value.kind != EXTERNAL for value in types.known(scope, base))
