"""Conditions that the same code always answers alike: literals, the kind of system, versions long gone."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

OLDEST = (3, 9)
"""No service runs on an older Python."""
_NOT_HERE = {
    ("os", "name"): frozenset({"nt", "java"}),
    ("sys", "platform"): frozenset({"win32", "cygwin"}),
}
"""What services do not run on, and where that is asked."""

Leaf = Callable[[ast.expr], bool | None]


def truth(test: ast.expr, leaf: Leaf) -> bool | None:
    """True, false, or None: it depends. `leaf` answers what is neither a literal nor `not`, `and`, `or`."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if is_empty(test):
        return False
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = truth(test.operand, leaf)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        parts = [truth(part, leaf) for part in test.values]
        if isinstance(test.op, ast.And):
            return False if False in parts else True if all(parts) else None
        return True if True in parts else False if all(p is False for p in parts) else None
    return leaf(test)


def is_empty(node: ast.expr) -> bool:
    """`[]`, `()`, `{}`."""
    match node:
        case ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Dict(keys=[]):
            return True
    return False


def always(test: ast.expr) -> bool | None:
    """What the condition is wherever the service runs, as far as the condition alone says."""
    return truth(test, said)


def said(test: ast.expr) -> bool | None:
    """Of a condition without `not`, `and`, `or`."""
    if isinstance(test, ast.Name | ast.Attribute):
        return False if last_of(test) == "TYPE_CHECKING" else None
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compared(test.left, test.ops[0], test.comparators[0])
    return None


def last_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool | None:
    if not isinstance(left, ast.Attribute) or not isinstance(left.value, ast.Name):
        return None
    asked = (left.value.id, left.attr)
    if asked == ("sys", "version_info") and isinstance(right, ast.Tuple):
        return _version(op, tuple(getattr(part, "value", None) for part in right.elts))
    if isinstance(right, ast.Constant) and right.value in _NOT_HERE.get(asked, ()):
        return False if isinstance(op, ast.Eq) else True if isinstance(op, ast.NotEq) else None
    return None


_COMPARES: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, many: value in many,
    ast.NotIn: lambda value, many: value not in many,
}


_OF_MEMBERS = _COMPARES | {ast.Is: operator.eq, ast.IsNot: operator.ne}

Member = Callable[[ast.expr], tuple[str, str] | None]
"""Of an expression that is one of an enumeration: the class and the name."""


def compared(value: object, op: ast.cmpop, right: ast.expr, member: Member) -> bool | None:
    """What comparing a value with a literal, or looking for it among some, comes to."""
    compares = (_OF_MEMBERS if isinstance(value, tuple) else _COMPARES).get(type(op))
    many = many_of(right) if isinstance(op, (ast.In, ast.NotIn)) else None
    parts = [right] if many is None else many
    if isinstance(value, tuple):
        others: list[Any] = [member(each) for each in parts]
        is_known = all(each is not None and each[:1] == value[:1] for each in others)
    else:
        others = [each.value for each in parts if isinstance(each, ast.Constant)]
        is_known = len(others) == len(parts)
    if compares is None or not is_known:
        return None
    try:
        return compares(value, others[0] if many is None else others)
    except TypeError:
        return None


def many_of(node: ast.expr) -> list[ast.expr] | None:
    return node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else None


def _version(op: ast.cmpop, asked: tuple[object, ...]) -> bool | None:
    numbers = tuple(part for part in asked if isinstance(part, int))
    if len(numbers) != len(asked) or numbers > OLDEST:
        return None
    if isinstance(op, ast.GtE):
        return True
    return False if isinstance(op, ast.Lt) else None
