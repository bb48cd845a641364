"""Calls as rules see them: targets, arguments, conditions, and what would settle the unknown ones."""

from __future__ import annotations

from textwrap import dedent

from tests.audit.reading import worked
from unstall.audit.ir import Call, Function, Via
from unstall.model.finding import Confidence


def function(source: str, name: str = "f") -> Function:
    return worked({"app.py": dedent(source)}).program.functions[f"app:{name}"]


def calls(source: str, name: str = "f") -> list[Call]:
    return list(function(source, name).calls)


def test_a_call_names_its_target_and_its_text() -> None:
    (call,) = calls("""
        import requests
        class A:
            def __init__(self):
                self.http = requests.Session()
            def f(self):
                self.http.get("x", timeout=2)
    """, "A.f")  # fmt: skip

    assert (call.targets, call.text, call.via) == (
        ("requests.Session.get",),
        "self.http.get",
        Via.CALL,
    )
    assert [(a.name, a.text, a.value) for a in call.arguments] == [
        (None, "'x'", "x"),
        ("timeout", "2", 2),
    ]


def test_a_function_that_is_passed_is_referred_to_and_not_called() -> None:
    (call,) = calls("""
        import asyncio
        def g(): ...
        async def f():
            await asyncio.to_thread(g)
    """)

    is_awaited = call.awaited
    assert (call.targets, is_awaited) == (("asyncio.to_thread",), True)
    assert call.arguments[0].refers == ("app:g",)


def test_a_loop_repeats_what_is_in_it() -> None:
    before, inside = calls("""
        def g(): ...
        def f(names):
            g()
            for name in names:
                g()
    """)

    assert (before.repeats, inside.repeats) == (False, True)


def test_loops_managers_and_properties_are_calls_too() -> None:
    found = calls("""
        class A:
            @property
            def x(self):
                return 1
        def g():
            yield 1
        def f(a: A):
            with open("x") as file:
                for _ in g():
                    a.x
    """)

    assert [(call.via, call.targets) for call in found] == [
        (Via.CALL, ("builtins.open",)),
        (Via.ENTER, ("io.TextIOWrapper",)),
        (Via.CALL, ("app:g",)),
        (Via.ITERATE, ("app:g",)),
        (Via.READ, ("app:A.x",)),
        (Via.EXIT, ("io.TextIOWrapper",)),
    ]


def test_a_dead_branch_is_told() -> None:
    alive, dead = calls("""
        from typing import TYPE_CHECKING
        def g(): ...
        def f():
            if not TYPE_CHECKING:
                g()
            else:
                g()
    """)

    assert (alive.dead, dead.dead) == (False, True)


def test_what_is_not_known_says_what_would_settle_it() -> None:
    (call,) = calls("def f(thing):\n    thing.work()\n")

    assert call.targets == ()
    assert call.unknown == "the class of thing is not known: annotate it"


def test_one_of_several_classes_is_likely() -> None:
    (call,) = calls("""
        class A:
            def go(self): ...
        class B:
            def go(self): ...
        kinds = {"a": A(), "b": B()}
        def f(name):
            kinds[name].go()
    """)

    assert call.targets == ("app:A.go", "app:B.go")
    assert call.confidence is Confidence.LIKELY


def test_a_decorated_function_is_called_through_its_wrapper() -> None:
    (call,) = calls("""
        def logged(g):
            def inner(*args):
                return g(*args)
            return inner
        @logged
        def work(): ...
        def f():
            work()
    """)

    assert set(call.targets) == {"app:logged.<locals>.inner", "app:work"}


def test_a_function_says_what_it_is() -> None:
    found = function("""
        import requests
        async def f(a, *, b=1):
            await b
            return requests.Session()
    """)

    assert (found.is_async, found.awaits, found.is_generator) == (True, True, False)
    assert found.parameters == ("a", "b")
    assert found.returns == ("requests.Session",)
