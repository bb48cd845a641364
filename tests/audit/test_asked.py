"""Functions are told apart by what they ask about, and by no more: however deep they hand it on."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.audit.reading import HEAD, sites, worked

BEGIN = "import time\ndef get(*args): ...\n"
GROWS = {
    "tuples of tuples": """
        def pages(cursor=None, before=None, depth: int = 0):
            if cursor is None and depth:
                time.sleep(1)
            if depth < 99:
                pages((cursor, before), cursor, depth + 1)
        @app.get("/")
        async def route():
            pages("x", "y")
    """,
    "keywords of keywords": """
        def pages(**kw):
            if kw:
                time.sleep(1)
            pages(a=kw, b=kw)
        @app.get("/")
        async def route():
            pages(a="x")
    """,
    "keywords that are asked about": """
        def pages(a=None, **kw):
            if a is None:
                time.sleep(1)
            pages(**kw, b=kw, c=(kw, kw))
        @app.get("/")
        async def route():
            pages(a="x", b="y", c="z")
    """,
    "twice the same": """
        def pages(a=None):
            if a is None:
                time.sleep(1)
            pages((a, a))
        @app.get("/")
        async def route():
            pages("x")
    """,
    "parts that are asked about": """
        def pages(a):
            first, second = a
            if first is None and isinstance(second, tuple):
                time.sleep(1)
            pages((a, (first, a)))
        @app.get("/")
        async def route():
            pages(("x", "y"))
    """,
    "a path of steps": """
        def walk(node, path=()):
            if path:
                time.sleep(1)
            for child in get(node):
                walk(child, (path, child))
        @app.get("/")
        async def route():
            walk("x")
    """,
    "arguments of arguments": """
        def pages(*args):
            first, second = args
            if first is None:
                time.sleep(1)
            pages(args, args)
        @app.get("/")
        async def route():
            pages("x", "y")
    """,
}


@pytest.mark.parametrize("case", GROWS)
def test_what_grows_from_call_to_call_is_told_apart_a_few_times(case: str) -> None:
    walk = worked({"app.py": HEAD + BEGIN + dedent(GROWS[case])}).walk
    assert 0 < len([node for node in walk.nodes if not node.function.endswith("route")]) <= 12


@pytest.mark.parametrize(("given", "is_blocked"), [("'a'", False), ("None", True)])
def test_parts_are_told_apart_where_they_are_asked_about(given: str, is_blocked: bool) -> None:
    """Through `*args`, in a tuple: two levels below what is handed on."""
    source = """
        def work(voice):
            name, data = voice
            if data is None:
                time.sleep(1)
        def middle(*args):
            work(*args)
        @app.get("/")
        async def route():
            middle(("a", {given}))
    """
    assert sites(BEGIN + dedent(source).replace("{given}", given)) == (
        ["work time.sleep"] if is_blocked else []
    )


def test_a_tuple_is_not_none_whatever_is_in_it() -> None:
    source = """
        def work(pair):
            if pair is None:
                time.sleep(1)
        @app.get("/")
        async def route():
            work((None, {given}))
    """
    assert sites(BEGIN + dedent(source).replace("{given}", "get()")) == []
    assert sites(BEGIN + dedent(source).replace("(None, {given})", "get()")) == ["work time.sleep"]


MANY_CALLS = """
import time
class Base:
    def run(self, query, params=None):
        if params is None:
            time.sleep(1)
base = Base()
@app.get("/other")
async def other(anything):
{others}
@app.get("/")
async def route():
{ours}
"""


def test_calls_that_nobody_can_tell_are_asked_once_and_until_one_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from unstall.audit.known_values import Knowledge

    asked: list[str] = []
    of = Knowledge.of

    def counted(self: Knowledge, scope, node, *rest):  # type: ignore[no-untyped-def]
        asked.append(scope.id)
        return of(self, scope, node, *rest)

    monkeypatch.setattr(Knowledge, "of", counted)
    others = "\n".join(f"    anything.run({n}, anything)" for n in range(50))
    ours = "\n".join(f"    base.run({n}, 'a')" for n in range(50))
    source = MANY_CALLS.replace("{others}", others).replace("{ours}", ours)
    assert sites(source) == ["Base.run time.sleep"]
    assert sum(each.endswith("other") for each in asked) < 5
    agreed = source.replace(", anything)", ", 'b')")
    asked.clear()
    assert sites(agreed) == []
    assert 50 <= sum(each.endswith("other") for each in asked) < 150
