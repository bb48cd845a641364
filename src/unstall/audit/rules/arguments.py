"""What is passed for a parameter, as far as the call itself says."""

from __future__ import annotations

import ast


def argument(call: ast.Call, name: str, position: int | None = None) -> ast.expr | None:
    """What is passed for a parameter, if it can be told."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if position is not None and position < len(call.args):
        given = call.args[: position + 1]
        return None if any(isinstance(each, ast.Starred) for each in given) else call.args[position]
    return None


def is_none(expression: ast.expr | None) -> bool:
    return isinstance(expression, ast.Constant) and expression.value is None


def number(expression: ast.expr | None) -> int | float | None:
    """A literal number; minus signs, sums and products of literals included."""
    match expression:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = number(operand)
            return None if inner is None else -inner
        case ast.BinOp(left=left, op=ast.Mult() | ast.Add() as op, right=right):
            one, two = number(left), number(right)
            if one is None or two is None:
                return None
            return one * two if isinstance(op, ast.Mult) else one + two
        case _:
            return None
