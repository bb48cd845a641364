"""US206: regular expressions that take exponential time."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from unstall.audit.ir import Place
from unstall.audit.rules.arguments import argument
from unstall.audit.rules.subject import Subject, found
from unstall.model.finding import Confidence, Finding

# What stubs do not know.
_constants: Any = import_module("re._constants")
_parser: Any = import_module("re._parser")

SEARCHES = {
    **{f"re.{name}": 1 for name in "match search fullmatch findall finditer split".split()},
    **{f"re.{name}": 2 for name in "sub subn".split()},
}
"""With the position of the text."""
COMPILED = "match search fullmatch findall finditer split sub subn".split()
_MANY = 8
"""Repetitions that count as without end."""


def check(subject: Subject) -> Iterator[Finding]:
    for use, name in subject.calls((*SEARCHES, "re.compile")):
        pattern = argument(use.call, "pattern", 0)
        if not isinstance(pattern, ast.Constant) or not isinstance(pattern.value, str):
            continue
        if not is_exponential(pattern.value):
            continue
        ways = subject.requests_to(use, Place.LOOP)
        if name == "re.compile" and not ways and not use.where.scope:
            ways = _users(subject, use.where.module)
        if ways:
            because = "a repetition inside a repetition: twice the time for each further character"
            spot = subject.spot(use.where, use.call, name)
            yield found("US206", spot, because, ways=ways, confidence=Confidence.LIKELY)


def _users(subject: Subject, module: str) -> tuple[Any, ...]:
    """Requests to functions of the module that search with something compiled."""
    for use in subject.index.uses(*COMPILED):
        if use.where.module == module:
            ways = subject.requests_to(use, Place.LOOP)
            if ways:
                return ways
    return ()


def is_exponential(pattern: str) -> bool:
    """Something is repeated without end inside what is repeated without end, with nothing between."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = _parser.parse(pattern)
    except Exception:  # not a pattern of this Python
        return False
    return _nested(parsed)


_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


def _nested(parsed: Any) -> bool:
    for operator, value in parsed:
        if operator in _REPEATS:
            _, most, body = value
            if (most >= _MANY and _is_ambiguous(body)) or _nested(body):
                return True
        elif operator is _constants.SUBPATTERN:
            if _nested(value[-1]):
                return True
        elif operator is _constants.BRANCH and any(_nested(branch) for branch in value[1]):
            return True
    return False


def _is_ambiguous(body: Any) -> bool:
    """All that must be there is one endless repetition: `(a+)+`, `(a+b?)+`."""
    items = list(body)
    while len(items) == 1 and items[0][0] is _constants.SUBPATTERN:
        items = list(items[0][1][-1])
    items = [
        item
        for item in items
        if not (item[0] in _REPEATS and item[1][0] == 0 and item[1][1] < _MANY)
    ]
    if len(items) != 1:
        return False
    operator, value = items[0]
    return operator in _REPEATS and bool(value[1] >= _MANY)
