"""The strings that an expression can be: paths, prefixes, methods."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.entrances_index import Where
from unstall.audit.entrances_syntax import written
from unstall.audit.entrances_values import Value, Values

_DEEPEST = 8
_MOST = 50


def texts_of(
    values: Values, node: ast.expr | None, where: Where, depth: int = 0
) -> tuple[str, ...]:
    """Strings that the expression can be; what is not known in one stands in angle brackets."""
    if node is None:
        return ()
    if depth > _DEEPEST:
        return (_unknown(node),)
    found = [text for value in values.of(node, where) for text in _texts(values, value, depth + 1)]
    return tuple(dict.fromkeys(found[:_MOST])) or (_unknown(node),)


def _texts(values: Values, value: Value, depth: int) -> Iterator[str]:
    match value.node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Constant(value=None):
            yield ""
        case ast.JoinedStr(values=parts):
            yield "".join(_part(values, part, value.where, depth) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            for first in texts_of(values, left, value.where, depth):
                for second in texts_of(values, right, value.where, depth):
                    yield first + second
        case ast.Call(func=ast.Attribute(attr="getenv" | "get"), args=[_, default]):
            yield from texts_of(values, default, value.where, depth)
        case ast.Call(
            func=ast.Attribute(attr="rstrip" | "strip" | "removesuffix" as how, value=inner)
        ):
            for text in texts_of(values, inner, value.where, depth):
                yield text.rstrip("/") if how != "strip" else text.strip("/")
        case ast.Call(func=ast.Name(id="str"), args=[inner]):
            yield from texts_of(values, inner, value.where, depth)
        case ast.Call(func=ast.Name(id="Field"), args=[default, *_]):
            yield from texts_of(values, default, value.where, depth)
        case ast.Call(
            func=ast.Name(id="Field"), keywords=[ast.keyword(arg="default", value=default), *_]
        ):
            yield from texts_of(values, default, value.where, depth)
        case other:
            yield _unknown(other)


def _part(values: Values, part: ast.expr, where: Where, depth: int) -> str:
    if isinstance(part, ast.FormattedValue):
        return (*texts_of(values, part.value, where, depth), "")[0]
    return str(part.value) if isinstance(part, ast.Constant) else ""


def _unknown(node: ast.expr) -> str:
    return f"<{written(node)}>"
