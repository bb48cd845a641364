"""A function that some calls pass is not called by those that pass none."""

from __future__ import annotations

import pytest

from tests.audit.reading import found, worked

NAP = """
import functools, time
def slow(path): time.sleep(1)
def quick(path): return path
"""
WATCH = """
async def watch(root, ignore=None):
    {body}
def elsewhere():
    return watch("a", ignore=slow)
"""
ASKS = "if ignore is not None and ignore(root): return"


def is_told(call: str, body: str = ASKS, more: str = "") -> bool:
    """Whether a route that makes the call may come to the function that somebody else passes."""
    route = f'@app.get("/")\nasync def route(some=None): {call}\n'
    return bool(found(NAP + WATCH.format(body=body) + more + route))


@pytest.mark.parametrize(
    "call", ['await watch("a")', 'await watch("a", None)', 'await watch("a", ignore=None)']
)
@pytest.mark.parametrize(
    "body",
    [
        ASKS,
        "asked = ignore or quick; asked(root)",
        "ignore = ignore or quick; ignore(root)",
        "called = ignore\n    if called: called(root)",
        "return [each for each in root if ignore(each)]",
        "def inner(): return ignore(root)\n    inner()",
    ],
)
def test_who_passes_none_does_not_come_there(call: str, body: str) -> None:
    assert not is_told(call, body)
    assert is_told('await watch("a", slow)', body)


@pytest.mark.parametrize(
    "call",
    [
        'await watch("a", some)',
        "await watch(*some)",
        'await watch("a", **some)',
        'later = functools.partial(watch, "a", slow); await later()',
        'other = functools.partial(watch, ignore=slow); await other("a")',
    ],
)
def test_who_may_pass_it_comes_there(call: str) -> None:
    assert is_told(call)


@pytest.mark.parametrize(("given", "comes"), [("", False), ("slow", True), ("some", True)])
def test_what_is_handed_on_is_what_was_passed(given: str, comes: bool) -> None:
    outer = "async def outer(some=None): await watch('a', some)\ndef again(): outer(slow)\n"

    assert is_told(f"await outer({given})", more=outer) is comes


def test_the_default_is_called_where_none_is_passed() -> None:
    assert is_told('await watch("a")', "ignore = ignore or slow; ignore(root)")


@pytest.mark.parametrize(("given", "comes"), [("", False), ("None", False), ("slow", True)])
def test_a_constructor_is_passed_none_too(given: str, comes: bool) -> None:
    reader = """
class Reader:
    def __init__(self, ignore=None):
        if ignore and ignore("a"): return
def reads(): Reader(slow)
"""

    assert is_told(f"await watch('a'); Reader({given})", more=reader) is comes


def test_a_call_of_what_is_none_is_not_unknown() -> None:
    head = "from fastapi import FastAPI\napp = FastAPI()\n"
    route = "@app.get('/')\nasync def route(): await watch('a')\n"
    known = worked({"app.py": head + NAP + WATCH.format(body=ASKS) + route})

    assert [node for node in known.judged.unknown if node.function == "app:watch"] == []
