"""What runs until something is filled, and never again."""

from __future__ import annotations

import ast
from textwrap import indent

import pytest

from unstall.audit.first_time import emptied, first_times

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
    "one of many is empty": "if kept[0].a is None:\n    kept[0].a = make()",
    "what is asked for is empty": "if user().a is None:\n    user().a = make()",
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
EMPTIED = {
    "when it is too old": "if old():\n    A.a = None\nif A.a is None:\n    A.a = make()",
    "when it fails": "if A.a is None:\n    try:\n        A.a = make()\n    except E:\n        A.a = {}",
    "by deletion": "if A.a is None:\n    A.a = make()\ndel A.a",
    "beside another one": "global a\nif not a:\n    a = make()\na, b = (), 1",
    "in place": "global a\nif not a:\n    a = make()\nif full():\n    a.clear()",
}
OWN = {
    "an attribute of this object": "if self.a is None:\n    self.a = make()",
    "an attribute of an object made here": "b = B()\nif b.a is None:\n    b.a = make()",
    "of one of two": "b, new = both()\nif b.a is None:\n    b.a = make()",
    "of what is entered": "with B() as b:\n    if b.a is None:\n        b.a = make()",
    "of an error": "try: f()\nexcept E as b:\n    if b.a is None:\n        b.a = make()",
    "of what a condition names": "if (b := B()) and b.a is None:\n    b.a = make()",
    "of one of many passed": "if rest.a is None:\n    rest.a = make()",
}


@pytest.mark.parametrize("body", SHARED.values(), ids=SHARED)
def test_kept_as_long_as_the_process_lives(body: str) -> None:
    assert _is_first(body, shared=True)


@pytest.mark.parametrize("body", OWN.values(), ids=OWN)
def test_kept_as_long_as_an_object_lives(body: str) -> None:
    assert _is_first(body)
    assert not _is_first(body, shared=True)


@pytest.mark.parametrize("body", EMPTIED.values(), ids=EMPTIED)
def test_emptied_it_is_filled_again(body: str) -> None:
    assert not _is_first(body, shared=True)


def test_what_functions_empty_is_told_by_its_last_name() -> None:
    function = ast.parse(
        "def f():\n    global a\n    a = None\n    b = None\n    self.c = {}\n    d = 1"
    )
    assert emptied(function.body[0]) == {"a", "c"}


def test_what_others_own_or_empty_is_not_kept() -> None:
    function = ast.parse("def f():\n    if a.b is None:\n        a.b = make()").body[0]
    assert first_times(function, shared=True)
    assert not first_times(function, shared=True, own=frozenset("a"))
    assert not first_times(function, shared=True, lost=frozenset("b"))


def _is_first(body: str, *, shared: bool = False) -> bool:
    function = ast.parse("def f(self, cls, *rest):\n" + indent(body, "    ")).body[0]
    calls = [each for each in ast.walk(function) if isinstance(each, ast.Call)]
    make = next(each for each in calls if ast.unparse(each.func) == "make")
    return id(make) in first_times(function, shared=shared)
