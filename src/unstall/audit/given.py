"""What a call says of its arguments: as literals, and as classes where these are sure."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from itertools import islice

from unstall.audit.calls import text_of
from unstall.audit.handed import with_elements
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.values import INSTANCE, PARAMETER
from unstall.catalog.row import OPEN, ClassesOf, Cost, Form, Row


def given(call: ast.Call, is_call: bool) -> dict[str, str | None]:
    """Arguments by keyword or position, as literals; of a function that is handed on: those after it."""
    arguments, is_open = _arguments(call, is_call)
    found = {name: _literal(argument) for name, argument in arguments.items()}
    return {**found, OPEN: None} if is_open else found


def classes_given(types: Types, scope: Scope, call: ast.Call, is_call: bool) -> ClassesOf:
    """Classes by keyword or position. What callers pass is a guess, and a guess is no knowledge."""

    def known(name: str) -> frozenset[str]:
        values = types.values(scope, _arguments(call, is_call)[0][name])
        sure = all(value.kind == INSTANCE and not value.guess for value in values)
        return frozenset(value.name for value in values) if sure else frozenset()

    return known


def classes_passed(types: Types, scope: Scope, call: ast.Call, is_call: bool) -> ClassesOf:
    """Classes that an argument, or what a list holds that is one, likely has: what callers pass, too."""
    return lambda name: _likely(types, scope, _arguments(call, is_call)[0][name])


_FILES = frozenset(
    "typing.IO typing.BinaryIO typing.TextIO io.IOBase io.RawIOBase io.BufferedIOBase io.TextIOBase".split()
)
"""Annotations that say only how it is used."""
_DATA = frozenset("builtins.bytes builtins.bytearray builtins.memoryview".split())
"""What stands beside a file in memory is put into one before."""
_NOT_KNOWN = ""
_DEEPEST = 3
_MOST = 24
"""Calls that are looked at for what they pass."""


def _likely(types: Types, scope: Scope, node: ast.expr, depth: int = 0) -> frozenset[str]:
    """Of a parameter that says nothing, or only that it is a file: of all that is passed."""
    found = {v.name for v in with_elements(types.known(scope, node)) if v.guess < 2}
    is_vague = found & _FILES or any(v.kind == PARAMETER for v in types.values(scope, node))
    if not is_vague or not isinstance(node, ast.Name) or depth > _DEEPEST:
        return frozenset(found)
    passed = tuple(islice(types.callers.given(scope, node.id), _MOST))
    if not passed:
        return frozenset(found)
    below = (_likely(types, *each, depth + 1) or {_NOT_KNOWN} for each in passed)
    return frozenset(found - _FILES).union(*below)


def doubt(row: Row, said: Mapping[str, str | None], passed: ClassesOf, form: Form) -> int:
    """Guesses that lie in the price of a call that may have a cheaper form.

    What an opening leaves to later is told where that is done; what is done at once stays likely.
    """
    if form.cost is not Cost.US:
        return 0
    is_likely = row.form(said, lambda name: passed(name) - _DATA) is form
    return 2 if is_likely and form.defers else 1


def _arguments(call: ast.Call, is_call: bool) -> tuple[dict[str, ast.expr], bool]:
    """By keyword or position, and whether there may be more."""
    found: dict[str, ast.expr] = {}
    is_open = any(keyword.arg is None for keyword in call.keywords)
    for place, argument in enumerate(call.args if is_call else call.args[1:]):
        if isinstance(argument, ast.Starred):
            is_open = True
            break
        found[str(place)] = argument
    found.update((keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg)
    return found, is_open


def _literal(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
        return (
            text_of(node.operand) if isinstance(node.op, ast.UAdd) else f"-{node.operand.value!r}"
        )
    if isinstance(node, (ast.Attribute, ast.Name)):
        return text_of(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        flags = [_literal(each) for each in (node.left, node.right)]
        return " | ".join(each for each in flags if each is not None) or None
    return None
