"""What runs until something is filled, and never again."""

from __future__ import annotations

import ast
from textwrap import indent

import pytest

from unstall.audit.first_time import first_times

FIRST = {
    "a global is empty": "global a\nif a is None:\n    a = make()",
    "an attribute is empty": "if not self.a:\n    self.a = make()",
    "and something else holds": "if self.a is None and wanted:\n    self.a = make()",
    "what comes of it is kept": "if A.a is None:\n    b = make()\n    A.a = b.c()",
    "what is there was returned": "global a\nif a is not None:\n    return a\na = make()",
}
AGAIN = {
    "a local name is empty": "if a is None:\n    a = make()",
    "nothing is filled": "if self.a is None:\n    make()",
    "something else is filled": "if self.a is None:\n    self.b = make()",
    "or something else holds": "if self.a is None or fresh:\n    self.a = make()",
    "it is there": "if self.a is None:\n    self.a = 1\nelse:\n    make()",
    "for each of many": "for each in many:\n    if self.a is None:\n        self.a = make(each)",
    "what is there was logged": "global a\nif a is not None:\n    log(a)\na = make()",
}


@pytest.mark.parametrize("body", FIRST.values(), ids=FIRST)
def test_made_for_the_first_time_only(body: str) -> None:
    assert _is_first(body)


@pytest.mark.parametrize("body", AGAIN.values(), ids=AGAIN)
def test_made_again(body: str) -> None:
    assert not _is_first(body)


SHARED = {
    "a global": "global a\nif a is None:\n    a = make()",
    "an attribute of a class": "if A.a is None:\n    A.a = make()",
    "an attribute of this class": "if cls.a is None:\n    cls.a = make()",
}
OWN = {
    "an attribute of this object": "if self.a is None:\n    self.a = make()",
    "an attribute of an object made here": "b = B()\nif b.a is None:\n    b.a = make()",
}


@pytest.mark.parametrize("body", SHARED.values(), ids=SHARED)
def test_kept_as_long_as_the_process_lives(body: str) -> None:
    assert _is_first(body, shared=True)


@pytest.mark.parametrize("body", OWN.values(), ids=OWN)
def test_kept_as_long_as_an_object_lives(body: str) -> None:
    assert _is_first(body)
    assert not _is_first(body, shared=True)


def _is_first(body: str, *, shared: bool = False) -> bool:
    function = ast.parse("def f(self, cls):\n" + indent(body, "    ")).body[0]
    calls = [each for each in ast.walk(function) if isinstance(each, ast.Call)]
    make = next(each for each in calls if ast.unparse(each.func) == "make")
    return id(make) in first_times(function, shared=shared)
