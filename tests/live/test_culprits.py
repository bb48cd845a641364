"""Whose request it was, under every way to run code on a loop; whoever else was in flight is a victim."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvloop
from sqlalchemy.util import greenlet_spawn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from tests.support.stalls import accuses
from unstall.explain.stalls import stall_of
from unstall.model.finding import Cause, Stall
from unstall.settings import Settings
from unstall.watch.monitor import Monitor

pytestmark = pytest.mark.live

SETTINGS = Settings(threshold_ms=60, root=Path.cwd())
LONG_S = 0.3
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
App = Callable[..., Awaitable[Any]]


def block() -> None:
    time.sleep(LONG_S)


async def blocks() -> None:
    await asyncio.sleep(0.05)
    block()


# --- ways to run it -------------------------------------------------------------------------


async def itself() -> None:
    block()


async def awaited_task() -> None:
    await asyncio.create_task(blocks())


async def gathered() -> None:
    await asyncio.gather(asyncio.sleep(0.01), asyncio.gather(blocks(), asyncio.sleep(0.01)))


async def grouped() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(blocks())


async def grouped_twice() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(grouped())


async def grouped_by_anyio() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(blocks)


async def waited_for_with_a_limit() -> None:
    await asyncio.wait_for(asyncio.shield(asyncio.create_task(blocks())), 10)


async def in_a_greenlet() -> None:
    """As SQLAlchemy's `AsyncSession` runs what it is given."""
    await greenlet_spawn(block)


OWN = (itself, awaited_task, gathered, grouped, grouped_twice, grouped_by_anyio,
       waited_for_with_a_limit, in_a_greenlet)  # fmt: skip
FORGOTTEN: set[asyncio.Task[None]] = set()


def forget() -> None:
    FORGOTTEN.add(asyncio.get_running_loop().create_task(blocks()))


# --- an app, and who asks it ----------------------------------------------------------------


def route_for(work: Callable[[], Awaitable[None]]) -> Route:
    async def serve(request: Request) -> Response:
        await work()
        return PlainTextResponse("done")

    return Route(f"/{work.__name__}/{{id}}", serve)


async def forgets(request: Request) -> Response:
    forget()
    return PlainTextResponse("done")


async def patient(request: Request) -> Response:
    """In flight, and no culprit."""
    await asyncio.sleep(0.5)
    return PlainTextResponse("done")


async def hangs(request: Request) -> Response:
    await asyncio.sleep(60)
    return PlainTextResponse("done")


async def chat(socket: WebSocket) -> None:
    await socket.accept()
    await socket.receive_text()
    block()
    await socket.send_text("done")
    await socket.close()


ROUTES = [
    *(route_for(work) for work in OWN),
    Route("/patient/{id}", patient),
    Route("/hangs/{id}", hangs),
    Route("/forgets/{id}", forgets),
    WebSocketRoute("/chat/{room}", chat),
]
APP = Starlette(routes=[*ROUTES, Mount("/inner", Starlette(routes=[route_for(itself)]))])


async def ask(path: str, name: str, app: App = APP) -> None:
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": b"", "root_path": "",
        "headers": [(b"x-request-id", name.encode())],
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        pass

    await app(scope, receive, send)


async def ask_in_company(path: str, app: App = APP) -> None:
    """Three others are in flight meanwhile."""
    others = [asyncio.create_task(ask(f"/patient/{n}", "other", app)) for n in range(3)]
    await asyncio.sleep(0.1)
    await ask(path, "culprit", app)
    await asyncio.sleep(0.1 + LONG_S)
    await asyncio.gather(*others)


@contextmanager
def watched() -> Iterator[list[Stall]]:
    """The stalls seen, once they are over; those of a busy machine apart."""
    stalls: list[Stall] = []
    gc.disable()  # to look through all that pytest holds is a stall of its own
    try:
        with Monitor(SETTINGS) as monitor:
            yield stalls
    finally:
        gc.enable()
    seen = [stall_of(s, SETTINGS.threshold_ns) for s in monitor.recording().stretches]
    print(monitor.statistics(), *seen, sep="\n")  # shown if the test fails
    stalls += filter(accuses, seen)


def run(loop: str, work: Awaitable[None]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(work)  # type: ignore[arg-type]


def told_of(stall: Stall) -> tuple[str | None, str | None]:
    return (
        stall.entry.name if stall.entry else None,
        stall.request.request_id if stall.request else None,
    )


# --- whose it was ---------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("work", OWN, ids=lambda work: work.__name__)
def test_a_stall_is_the_request_s_that_waits_for_it_and_the_others_are_victims(
    work: Callable[[], Awaitable[None]], loop: str
) -> None:
    with watched() as stalls:
        run(loop, ask_in_company(f"/{work.__name__}/7"))
    (stall,) = stalls
    assert told_of(stall) == (f"GET /{work.__name__}/{{id}}", "culprit")
    assert stall.site is not None
    assert (stall.site.function, stall.site.call) == ("block", "time.sleep")
    assert stall.waiting_in_flight == 3
    assert not stall.at_least
    assert stall.stolen_ns == 3 * stall.held_ns


@pytest.mark.parametrize("loop", LOOPS)
def test_a_task_that_nobody_waits_for_is_named_by_who_started_it(loop: str) -> None:
    with watched() as stalls:
        run(loop, ask_in_company("/forgets/7"))
    (stall,) = stalls
    assert told_of(stall) == ("started by GET /forgets/{id}", "culprit")
    assert stall.request is not None
    assert stall.request.spawned
    assert stall.waiting_in_flight == 3


@pytest.mark.parametrize("loop", LOOPS)
def test_a_task_that_no_request_started_is_no_request_s(loop: str) -> None:
    async def work() -> None:
        others = asyncio.create_task(ask("/patient/1", "other"))
        await blocks()
        await others

    with watched() as stalls:
        run(loop, work())
    (stall,) = stalls
    assert stall.request is None
    assert stall.entry is not None
    assert stall.entry.kind == "task"
    assert stall.waiting_in_flight == 1


def test_without_measuring_who_started_a_forgotten_task_is_not_known_and_not_guessed() -> None:
    told: list[Stall] = []
    settings = Settings(threshold_ms=60, root=Path.cwd(), measure=False)
    with Monitor(settings, on_stall=told.append):
        run("asyncio", ask_in_company("/forgets/7"))
    assert {told_of(stall) for stall in filter(accuses, told)} == {("blocks", None)}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_protocol_that_blocks_is_a_callback_of_no_request(loop: str) -> None:
    class Blocks(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            block()
            self.transport.write(data)

    async def work() -> None:
        running = asyncio.get_running_loop()
        server = await running.create_server(Blocks, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        patients = asyncio.create_task(ask("/patient/1", "other"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await patients
        server.close()

    with watched() as stalls:
        run(loop, work())
    (stall,) = stalls
    assert stall.request is None
    assert stall.entry is not None
    assert (stall.entry.kind, stall.entry.name.rpartition(".")[2]) == ("callback", "data_received")
    assert stall.waiting_in_flight == 1


@pytest.mark.parametrize("loop", LOOPS)
def test_a_bare_callback_on_a_loop_that_ran_before_the_watch_began_is_named(loop: str) -> None:
    stalls: list[Stall] = []
    monitor = Monitor(SETTINGS, on_stall=stalls.append)
    running = LOOPS[loop]()

    def begin() -> None:
        monitor.start()
        running.call_later(0.2, block)
        running.call_later(0.7, running.stop)

    running.call_soon(begin)
    running.run_forever()  # no runner of asyncio's or uvloop's below it
    monitor.stop()
    running.close()
    (stall,) = [s for s in stalls if not s.ongoing and accuses(s)]
    assert stall.cause is Cause.WAITING
    assert stall.entry is not None
    assert (stall.entry.kind, stall.entry.name) == ("callback", "block")
    assert stall.site is not None
    assert stall.site.call == "time.sleep"


# --- servers of tests, and several apps in one process --------------------------------------


def test_in_the_thread_of_the_test_client_it_is_the_request_s() -> None:
    with watched() as stalls, TestClient(APP) as client:
        client.get("/itself/7", headers={"x-request-id": "culprit"})
    (stall,) = stalls
    assert told_of(stall) == ("GET /itself/{id}", "culprit")


def test_a_websocket_is_named_by_its_route() -> None:
    with (
        watched() as stalls,
        TestClient(APP) as client,
        client.websocket_connect("/chat/7", headers={"x-request-id": "culprit"}) as socket,
    ):
        socket.send_text("hello")
        assert socket.receive_text() == "done"
    (stall,) = stalls
    assert told_of(stall) == ("WEBSOCKET /chat/{room}", "culprit")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_mounted_app_is_named_by_its_whole_path(loop: str) -> None:
    with watched() as stalls:
        run(loop, ask_in_company("/inner/itself/7"))
    (stall,) = stalls
    assert told_of(stall) == ("GET /inner/itself/{id}", "culprit")
    assert stall.waiting_in_flight == 3


@pytest.mark.parametrize("loop", LOOPS)
def test_of_two_apps_on_two_loops_only_the_one_that_stalls_is_accused_and_only_its_requests_suffer(
    loop: str,
) -> None:
    other = Starlette(routes=[Route("/patient/{id}", patient)])

    async def idles() -> None:
        await asyncio.gather(*(ask(f"/patient/{n}", "beside", other) for n in range(5)))

    with watched() as stalls:
        threads = [
            threading.Thread(target=run, args=(loop, work))
            for work in (ask_in_company("/itself/7"), idles())
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    (stall,) = stalls
    assert told_of(stall) == ("GET /itself/{id}", "culprit")
    assert stall.waiting_in_flight == 3


@pytest.mark.slow
def test_with_thousands_in_flight_a_look_is_short_and_the_count_is_a_lower_bound_or_right() -> None:
    async def work() -> None:
        others = []
        for n in range(2_500):
            others.append(asyncio.create_task(ask(f"/hangs/{n}", "other")))
            if n % 50 == 0:  # to start all of them at once would be a stall, too
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.2)
        await ask("/itself/7", "culprit")
        await asyncio.sleep(0.2)  # to end all of them is none of its stall
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    with watched() as stalls:
        run("asyncio", work())
    (stall,) = [s for s in stalls if told_of(s) == ("GET /itself/{id}", "culprit")]
    assert stall.waiting_in_flight == 2_500 or (stall.at_least and stall.waiting_in_flight > 0)
