"""A server begins each request in one place, and there it is counted, whatever becomes of it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import httpx2
import pytest
import websockets
from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http import h11_impl, httptools_impl

from tests.support.serving import served
from unstall import Monitor, Settings
from unstall.watch.anatomy import Anatomy
from unstall.watch.discover import ImportHooks
from unstall.watch.frameworks import Frameworks
from unstall.watch.measure import Measure
from unstall.watch.scope import REQUESTS

HTTP = {"httptools": httptools_impl, "h11": h11_impl}


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("yes")


async def dawdle(request: Request) -> PlainTextResponse:
    await asyncio.sleep(5)
    return PlainTextResponse("late")


ALL_WAIT = threading.Event()


async def compute(request: Request) -> PlainTextResponse:
    least, most = time.perf_counter() + 0.3, time.perf_counter() + 10
    while time.perf_counter() < most and not (ALL_WAIT.is_set() and time.perf_counter() > least):
        pass
    return PlainTextResponse("done")


async def fails(request: Request) -> PlainTextResponse:
    raise ZeroDivisionError


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def must_not_fail(error: BaseException) -> None:
    raise AssertionError from error


INNER = Starlette(routes=[Route("/", answer)])
APP = Starlette(
    routes=[
        Route("/", answer),
        Route("/dawdle", dawdle),
        Route("/compute", compute),
        Route("/fails", fails),
        WebSocketRoute("/talk", talk),
        Mount("/inner", INNER),
    ]
)


@pytest.fixture(autouse=True)
def _original() -> Iterator[None]:
    """Whatever a test switched on is off after it."""
    methods = [vars(each.RequestResponseCycle)["run_asgi"] for each in HTTP.values()]
    before = [*methods, ServerErrorMiddleware.__call__]
    yield
    methods = [vars(each.RequestResponseCycle)["run_asgi"] for each in HTTP.values()]
    assert [*methods, ServerErrorMiddleware.__call__] == before


@contextmanager
def counting(*, measures: bool = False) -> Iterator[Frameworks]:
    imports = ImportHooks()
    frameworks = Frameworks(imports, measures=measures)
    frameworks.start()
    imports.start()
    try:
        yield frameworks
    finally:
        imports.stop()
        frameworks.stop()


def begun_by(url: str, *paths: str) -> int:
    """How many requests began while each of the paths was asked over one connection."""
    before = REQUESTS.begun
    with httpx2.Client(base_url=url) as client:
        for path in paths:
            client.get(path)
    return REQUESTS.begun - before


def answered(connection: socket.socket, word: bytes, times: int = 1) -> None:
    """Until the bodies that hold this word have come."""
    read = b""
    while read.count(word) < times:
        more = connection.recv(4096)
        assert more, "the server has closed the connection"
        read += more


@pytest.mark.parametrize("http", HTTP)
def test_each_request_counts_once_and_a_lifespan_not_at_all(http: str) -> None:
    with counting():
        before = REQUESTS.begun
        with served(APP, http=http) as url:
            assert REQUESTS.begun == before, "the lifespan is no request"
            assert begun_by(url, "/", "/inner/", "/nowhere", "/fails") == 4


def test_an_app_of_no_known_framework_counts_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with counting(), served(app, lifespan="off") as url:
        assert begun_by(url, "/", "/") == 2


DEPRECATED = (
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The `websockets` implementation is deprecated"),
)
"""Uvicorn still has it, and some start it."""


@pytest.mark.parametrize(
    "ws", ["websockets-sansio", "wsproto", pytest.param("websockets", marks=DEPRECATED)]
)
def test_a_websocket_counts_once(ws: str) -> None:
    async def listen(url: str) -> str | bytes:
        async with websockets.connect(url.replace("http", "ws") + "/talk") as connection:
            return await connection.recv()

    with counting(), served(APP, ws=ws) as url:
        before = REQUESTS.begun
        assert asyncio.run(listen(url)) == "hello"
        assert REQUESTS.begun == before + 1


def test_a_request_whose_client_left_has_begun_all_the_same() -> None:
    with counting(), served(APP) as url:
        before = REQUESTS.begun
        with suppress(httpx2.ReadTimeout):
            httpx2.get(url + "/dawdle", timeout=0.2)
        assert REQUESTS.begun == before + 1


def test_connections_from_before_are_counted_and_not_after_the_last_has_stopped() -> None:
    with served(APP) as url, httpx2.Client(base_url=url) as client:
        client.get("/")
        with counting():
            before = REQUESTS.begun
            client.get("/")
            assert REQUESTS.begun == before + 1
        client.get("/")
        assert REQUESTS.begun == before + 1


def test_requests_in_one_packet_count_each() -> None:
    """As a client sends that does not wait for answers; they begin one after the other."""
    with counting(), served(APP, http="httptools") as url:
        before, address = REQUESTS.begun, urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
            answered(connection, b"yes", 3)
        assert REQUESTS.begun == before + 3


@pytest.mark.parametrize("first_to_stop", [0, 1])
def test_two_that_count_are_one_count(first_to_stop: int) -> None:
    with served(APP) as url, counting() as one, counting() as other:
        assert begun_by(url, "/") == 1
        (one, other)[first_to_stop].stop()
        assert begun_by(url, "/") == 1


def test_who_measures_counts_at_the_framework_and_beside_another_nothing_counts_twice() -> None:
    with served(APP) as url, counting(measures=True) as measuring:
        assert begun_by(url, "/", "/") == 2
        with counting():
            assert begun_by(url, "/", "/", "/") == 3
            measuring.stop()
            assert begun_by(url, "/") == 1
        assert begun_by(url, "/") == 0


def test_what_a_measuring_monitor_wraps_is_restored_though_the_other_was_there_first() -> None:
    with served(APP) as url, counting(), counting(measures=True):
        assert begun_by(url, "/") == 1


def test_who_comes_and_goes_beside_one_that_measures_changes_no_number() -> None:
    """Nor with requests under way that have not come to the framework yet."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(0.3)
        await APP(scope, receive, send)

    async def ask(client: httpx2.AsyncClient, when_under_way: Callable[[], None]) -> int:
        before = REQUESTS.begun
        asked = [asyncio.create_task(client.get("/")) for _ in range(5)]
        await asyncio.sleep(0.15)
        when_under_way()
        await asyncio.gather(*asked)
        return REQUESTS.begun - before

    async def ask_twice(url: str) -> list[int]:
        other = Frameworks(ImportHooks(), measures=False)
        async with httpx2.AsyncClient(base_url=url) as client:
            return [await ask(client, other.start), await ask(client, other.stop)]

    measure = Measure(
        lambda: "1-a", Anatomy(ImportHooks(), must_not_fail), must_not_fail,
        slow_ns=10**9, server_timing=False,
    )  # fmt: skip
    with served(slow) as url, counting(measures=True):
        measure.start()
        try:
            assert asyncio.run(ask_twice(url)) == [5, 5]
        finally:
            measure.stop()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("measure", [(False,), (True,), (False, True)])
def test_who_waited_through_a_stall_began_after_it(loop: str, measure: tuple[bool, ...]) -> None:
    """A loop reads all who waited in one turn, some before its timers: they are victims still."""
    with ExitStack() as stack:
        monitor, *_ = [
            stack.enter_context(Monitor(Settings(threshold_ms=100, measure=each)))
            for each in measure
        ]
        url = stack.enter_context(served(APP, http="httptools", loop=loop))
        address = urlsplit(url)
        connections = [
            stack.enter_context(socket.create_connection((address.hostname, address.port), 10))
            for _ in range(10)
        ]
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answered(connection, b"yes")
        begun = REQUESTS.begun
        ALL_WAIT.clear()
        connections[0].sendall(b"GET /compute HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.1)
        for connection in connections[1:]:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        ALL_WAIT.set()
        answered(connections[0], b"done")
        for connection in connections[1:]:
            answered(connection, b"yes")
        assert monitor.settle(5)
    stretch = max(monitor.recording().stretches, key=lambda each: each.late_ns)
    assert stretch.served_before == begun + 1
    assert stretch.let_in == 9


def test_the_number_never_falls_when_others_go_on_counting() -> None:
    with served(APP) as url, counting(measures=True):
        seen = [REQUESTS.begun]
        for _ in range(3):
            with counting():
                seen.append(REQUESTS.begun)
                begun_by(url, "/")
                seen.append(REQUESTS.begun)
            begun_by(url, "/")
            seen.append(REQUESTS.begun)
        first = seen[0]
        assert [each - first for each in seen] == [0, 0, 1, 2, 2, 3, 4, 4, 5, 6]


def test_many_at_once_lose_none() -> None:
    async def ask(url: str) -> None:
        async with httpx2.AsyncClient(base_url=url) as client:
            await asyncio.gather(*(client.get("/") for _ in range(100)))

    with counting(), served(APP) as one, served(APP) as other:
        before = REQUESTS.begun

        async def ask_both() -> None:
            await asyncio.gather(ask(one), ask(other))

        asyncio.run(ask_both())
        assert REQUESTS.begun == before + 200


@pytest.mark.parametrize("serves", [False, True])
def test_who_asks_hears_that_the_method_is_asynchronous(serves: bool) -> None:
    with counting(), served(APP, http="httptools") as url:
        if serves:
            begun_by(url, "/")
        method = httptools_impl.RequestResponseCycle.run_asgi
        if sys.version_info >= (3, 12):
            assert inspect.iscoroutinefunction(method)
        assert asyncio.iscoroutinefunction(method)


@pytest.mark.parametrize("serves", [False, True])
def test_the_method_may_be_called_in_any_way_that_it_could_be(
    serves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cycle(httptools_impl.RequestResponseCycle):
        async def run_asgi(self, app: ASGI3Application) -> None:
            await super().run_asgi(app=app)

    with counting(), served(APP, http="httptools") as url:
        if serves:
            begun_by(url, "/")
        monkeypatch.setattr(httptools_impl, "RequestResponseCycle", Cycle)
        assert begun_by(url, "/", "/") == 2


def test_others_bring_requests_until_a_server_begins_one() -> None:
    """A suite of tests imports uvicorn and never starts it."""
    with counting(), TestClient(APP) as client:
        before = REQUESTS.begun
        client.get("/")
        assert REQUESTS.begun == before + 1
        with served(APP) as url:
            client.get("/")
            assert REQUESTS.begun == before + 2
            assert begun_by(url, "/", "/") == 2
    with counting(), TestClient(APP) as client:
        client.get("/")
    assert REQUESTS.begun == before + 5


def test_what_somebody_wrapped_again_stays_his() -> None:
    cycle, patch = httptools_impl.RequestResponseCycle, pytest.MonkeyPatch()
    original = vars(cycle)["run_asgi"]
    with counting():
        ours = vars(cycle)["run_asgi"]
        theirs = functools.partialmethod(ours)
        patch.setattr(cycle, "run_asgi", theirs)
    try:
        assert vars(cycle)["run_asgi"] is theirs
        with served(APP, http="httptools") as url, counting():
            assert begun_by(url, "/") == 1
    finally:
        patch.setattr(cycle, "run_asgi", original)
