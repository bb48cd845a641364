"""What is put into tables and called from them later."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.audit.reading import found, sites
from unstall.model.finding import Confidence

NAP = ["nap time.sleep"]

BAD = {
    "a table that a function fills": ("""
        import time
        class Worker:
            def nap(self):
                time.sleep(1)
        workers = {}
        def start():
            worker = Worker()
            workers["a"] = worker
        @app.get("/{name}")
        async def route(name: str):
            workers[name].nap()
    """, ["Worker.nap time.sleep"]),
    "a list that a method fills by insert": ("""
        import time
        class Worker:
            def nap(self):
                time.sleep(1)
        class Pool:
            def __init__(self):
                self.workers = []
            def add(self):
                self.workers.insert(0, Worker())
            def all(self):
                for worker in self.workers:
                    worker.nap()
        pool = Pool()
        @app.get("/")
        async def route():
            pool.all()
    """, ["Worker.nap time.sleep"]),
    "a decorator that registers": ("""
        import time
        HANDLERS = {}
        def handles(kind):
            def decorator(function):
                HANDLERS[kind] = function
                return function
            return decorator
        @handles("a")
        def nap():
            time.sleep(1)
        @app.get("/{kind}")
        async def route(kind: str):
            HANDLERS[kind]()
    """, NAP),
    "a bare decorator, and get": ("""
        import time
        HANDLERS = {}
        def handler(function):
            HANDLERS[function.__name__] = function
            return function
        @handler
        def nap():
            time.sleep(1)
        @app.get("/{kind}")
        async def route(kind: str):
            if found := HANDLERS.get(kind):
                found()
    """, NAP),
    "a decorator of an object, in a table of functions": ("""
        import time
        from collections.abc import Callable
        class Router:
            def __init__(self) -> None:
                self.handlers: dict[str, Callable] = {}
            def on(self, kind: str) -> Callable:
                def decorator(function: Callable) -> Callable:
                    self.handlers[kind] = function
                    return function
                return decorator
            async def dispatch(self, kind: str) -> None:
                handler = self.handlers[kind]
                handler()
        router = Router()
        @router.on("a")
        def nap():
            time.sleep(1)
        @app.get("/{kind}")
        async def route(kind: str):
            await router.dispatch(kind)
    """, NAP),
    "a plain wrapper beside an async one, called on the loop": ("""
        import asyncio, functools, time
        def traced(function):
            if asyncio.iscoroutinefunction(function):
                @functools.wraps(function)
                async def of_async(*args):
                    return await function(*args)
                return of_async
            @functools.wraps(function)
            def of_plain(*args):
                return function(*args)
            return of_plain
        @traced
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            nap()
    """, NAP),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_it_is_found(case: str) -> None:
    source, expected = BAD[case]

    assert sites(source) == expected


CLEAN = {
    "a table whose functions run in threads": """
        import time, asyncio
        HANDLERS = {}
        def handler(function):
            HANDLERS[function.__name__] = function
            return function
        @handler
        def nap():
            time.sleep(1)
        @app.get("/{kind}")
        async def route(kind: str):
            await asyncio.to_thread(HANDLERS[kind])
    """,
    "a table that nobody on the loop asks": """
        import time
        HANDLERS = {}
        def handler(function):
            HANDLERS[function.__name__] = function
            return function
        @handler
        def nap():
            time.sleep(1)
        @app.get("/{kind}")
        def route(kind: str):
            HANDLERS[kind]()
    """,
    "a local table of the same name": """
        import time
        class Worker:
            def nap(self):
                time.sleep(1)
        workers = {}
        def start():
            workers = {}
            workers["a"] = Worker()
        @app.get("/{name}")
        async def route(name: str):
            workers[name].nap()
    """,
    "a decorator that wraps, and keeps nothing": """
        import time, functools
        def timed(function):
            @functools.wraps(function)
            async def of_async(*args):
                return await function(*args)
            @functools.wraps(function)
            def of_plain(*args):
                return function(*args)
            return of_plain
        @timed
        def nap():
            time.sleep(1)
        @app.get("/")
        def route():
            nap()
    """,
    "a decorator with a wrapper for each kind of function": """
        import asyncio, functools, time
        def traced(function):
            if asyncio.iscoroutinefunction(function):
                @functools.wraps(function)
                async def of_async(*args):
                    return await function(*args)
                return of_async
            @functools.wraps(function)
            def of_plain(*args):
                return function(*args)
            return of_plain
        @traced
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            await asyncio.to_thread(nap)
    """,
    "what is awaited is the async one of the two": """
        import time
        class Base: ...
        class Plain(Base):
            def load(self):
                time.sleep(1)
        class Async(Base):
            async def load(self): ...
        def loader(wanted) -> Base:
            return wanted()
        @app.get("/plain")
        def plain():
            loader(Plain).load()
        @app.get("/")
        async def route():
            found = Plain() if unknown() else Async()
            await found.load()
    """,
}


@pytest.mark.parametrize("case", CLEAN)
def test_it_is_clean(case: str) -> None:
    assert sites(CLEAN[case]) == []


def test_a_large_table_of_functions_is_called_as_surely_as_a_small_one() -> None:
    handlers = "".join(f"@handler\ndef nap_{n}():\n    time.sleep({n})\n" for n in range(1, 13))
    source = dedent("""
        import time
        HANDLERS = {}
        def handler(function):
            HANDLERS[function.__name__] = function
            return function
        @app.get("/{kind}")
        async def route(kind: str):
            HANDLERS[kind]()
    """)
    each = found(source + handlers)

    assert len(each) == 12
    assert {finding.confidence for finding in each} == {Confidence.LIKELY}


def test_a_route_speaks_before_a_task_whose_starter_nobody_sees() -> None:
    (finding,) = found("""
        import time
        def nap():
            time.sleep(1)
        async def inner():
            nap()
        jobs = [inner]
        @app.get("/{kind}")
        async def route(kind: str):
            for step in (first, second):
                step()
        def first():
            nap()
        def second(): ...
    """)

    assert finding.entry is not None
    assert finding.entry.name == "GET /{kind}"
    assert [entry.name for entry in finding.entries] == ["GET /{kind}", "inner"]
