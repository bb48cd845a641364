"""A client goes: what stays behind is named."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pytest
from fastapi import FastAPI, Request

from tests.lanes import work
from tests.lanes.test_interpreters import PRESENT
from tests.support.serving import served
from tests.testing.app import Service
from unstall import Lane, Monitor, Settings
from unstall.errors import UsageError
from unstall.testing import Asked, cancelled

LATER_S = 0.3
"""By then a handler is at work, on a busy machine, too."""


def test_a_tidy_handler_frees_its_lock_and_says_so(service: Service) -> None:
    asyncio.run(
        cancelled(
            service.app,
            "GET /tidy",
            after_s=LATER_S,
            by="time-out",
            free=[service.lock, service.lane],
            logged="cancelled",
            logger="shop",
        )
    )


def test_one_that_says_nothing_is_told(service: Service) -> None:
    with pytest.raises(AssertionError, match="no record from warning upwards was written"):
        asyncio.run(
            cancelled(service.app, "GET /silent", after_s=LATER_S, by="time-out", grace_s=0.1)
        )
    asyncio.run(cancelled(service.app, "GET /silent", after_s=LATER_S, by="time-out", logged=None))


def test_a_lock_that_stays_locked_is_told(service: Service) -> None:
    with pytest.raises(AssertionError, match=r"the asyncio\.locks\.Lock is locked"):
        asyncio.run(
            cancelled(
                service.app,
                "GET /leaks-lock",
                after_s=LATER_S,
                by="time-out",
                free=[service.lock],
                grace_s=0.1,
            )
        )


def test_a_thread_that_stays_is_named(service: Service) -> None:
    async def main() -> None:
        try:
            await cancelled(
                service.app, "GET /leaves-thread", after_s=LATER_S, by="time-out", grace_s=0.1
            )
        finally:
            service.let_go.set()

    with pytest.raises(AssertionError) as caught:
        asyncio.run(main())
    assert "thread 'asyncio_0' was at tests/testing/app.py:" in str(caught.value)
    assert "in Service.hang for " in str(caught.value)


def waits_in_c(go: threading.Event, socket_: socket.socket) -> Callable[[], Awaitable[object]]:
    return lambda: asyncio.to_thread(socket_.recv, 1)


def waits_in_a_library(
    go: threading.Event, socket_: socket.socket
) -> Callable[[], Awaitable[object]]:
    return lambda: anyio.to_thread.run_sync(go.wait, abandon_on_cancel=True)


def waits_in_a_lane(go: threading.Event, socket_: socket.socket) -> Callable[[], Awaitable[object]]:
    return lambda: Lane("hangs", threads=1).run(go.wait)


@pytest.mark.parametrize(
    ("waits", "said"),
    [
        (waits_in_c, "thread 'asyncio_0' was at socket.recv for "),
        (waits_in_a_library, "in Event.wait for "),
        (waits_in_a_lane, "thread 'lane hangs 0' was at"),
    ],
)
def test_a_thread_of_a_pool_that_runs_nothing_of_the_application_is_named_too(
    waits: Callable[[threading.Event, socket.socket], Callable[[], Awaitable[object]]], said: str
) -> None:
    app, go = FastAPI(), threading.Event()
    ours, theirs = socket.socketpair()
    wait = waits(go, ours)

    @app.get("/hangs")
    async def hangs() -> None:
        await wait()

    async def main() -> None:
        await asyncio.to_thread(int)  # threads that wait for work are there before, and no work
        await anyio.to_thread.run_sync(int)
        try:
            await cancelled(
                app, "GET /hangs", after_s=LATER_S, by="time-out", logged=None, grace_s=0.1
            )
        finally:
            go.set()
            theirs.send(b"x")

    with ours, theirs, pytest.raises(AssertionError) as caught:
        asyncio.run(main())
    assert said in str(caught.value)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(
    "run",
    [
        asyncio.to_thread,
        anyio.to_thread.run_sync,
        lambda function: Lane("polls", threads=1).run(function),
    ],
)
def test_what_the_service_does_in_threads_beside_is_not_the_request_s(
    run: Callable[[Callable[[], object]], Awaitable[object]], watched: bool
) -> None:
    polled, go = threading.Event(), threading.Event()

    async def main() -> None:
        async def consume() -> None:
            for poll in (polled.wait, go.wait):
                await run(poll)

        async def goes_on(scope: Any, receive: Any, send: Any) -> None:
            polled.set()
            if scope["path"] == "/hangs":
                await run(lambda: go.wait() and None)  # a line of ours
            await asyncio.sleep(30)

        async def left(path: str) -> None:
            await cancelled(
                goes_on, f"GET {path}", after_s=LATER_S, by="time-out", logged=None, grace_s=0.1
            )

        consuming = asyncio.create_task(consume())
        await asyncio.sleep(0.05)
        try:
            await left("/tidy")
            with pytest.raises(AssertionError, match=r"^GET /hangs was left .* thread '.*<lambda>"):
                await left("/hangs")
        finally:
            go.set()
            await consuming

    with Monitor(Settings(measure=True)) if watched else nullcontext():
        asyncio.run(main())


def test_threads_that_wait_for_work_are_no_work(service: Service) -> None:
    async def main() -> None:
        await asyncio.to_thread(int)
        await anyio.to_thread.run_sync(int)
        await cancelled(service.app, "GET /silent", after_s=LATER_S, by="time-out", logged=None)

    asyncio.run(main())


@pytest.mark.parametrize(
    "make",
    [
        lambda: asyncio.Semaphore(2),
        lambda: anyio.Semaphore(2),
        lambda: threading.BoundedSemaphore(2),
        threading.RLock,
    ],
)
def test_one_permit_of_several_and_a_reentrant_lock_are_told(make: Callable[[], Any]) -> None:
    app = FastAPI()
    things: list[Any] = []

    @app.get("/leaks")
    async def leaks() -> None:
        got = things[0].acquire()
        if asyncio.iscoroutine(got):
            await got
        await asyncio.sleep(30)

    @app.get("/tidy")
    async def tidy() -> None:
        await asyncio.sleep(30)

    async def main(path: str) -> None:
        things[:] = [make()]
        await cancelled(
            app,
            f"GET {path}",
            after_s=LATER_S,
            by="time-out",
            free=things,
            logged=None,
            grace_s=0.1,
        )

    asyncio.run(main("/tidy"))
    with pytest.raises(
        AssertionError, match=r"1 permits of the .*Semaphore are held|RLock is locked"
    ):
        asyncio.run(main("/leaks"))


def test_where_no_thread_can_be_seen_it_is_not_said_that_none_was_left(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = SimpleNamespace(list_all=lambda: ["main", "another"])
    monkeypatch.setattr("unstall.threads._INTERPRETERS", two)

    async def left(path: str, *free: object) -> None:
        asked, how = f"GET {path}", {"by": "time-out", "logged": None, "grace_s": 0.1}
        try:
            await cancelled(service.app, asked, after_s=LATER_S, free=free, **how)  # type: ignore[arg-type]
        finally:
            service.let_go.set()

    with pytest.raises(UsageError, match=r"whether GET /leaves-thread left a thread .* not known"):
        asyncio.run(left("/leaves-thread"))
    with pytest.raises(AssertionError, match="Lock is locked"):
        asyncio.run(left("/leaks-lock", service.lock))


@pytest.mark.skipif(not PRESENT, reason="this Python has no subinterpreters")
def test_beside_a_lane_of_subinterpreters_it_is_not_said_that_no_thread_was_left() -> None:
    async def goes_on(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(30)

    async def main() -> None:
        with Lane("numbers", interpreters=1) as lane:
            assert await lane.run(work.double, 21) == 42
            await cancelled(goes_on, "GET /", after_s=LATER_S, by="time-out", logged=None)

    with pytest.raises(UsageError, match="this process has subinterpreters"):
        asyncio.run(main())


def test_a_task_that_does_not_end_is_named(service: Service) -> None:
    async def main() -> None:
        try:
            await cancelled(service.app, "GET /stubborn", after_s=LATER_S, grace_s=0.2)
        finally:
            service.let_go.set()

    with pytest.raises(AssertionError) as caught:
        asyncio.run(main())
    assert "its task goes on" in str(caught.value)
    assert "in Service._locked.<locals>.stubborn for " in str(caught.value)


def test_a_request_that_was_quicker_was_not_cancelled(service: Service) -> None:
    with pytest.raises(AssertionError, match=r"GET /livez had ended \(200\) before it was left"):
        asyncio.run(cancelled(service.app, "GET /livez", after_s=1.0))


def test_what_cannot_be_tried_is_refused(service: Service) -> None:
    with pytest.raises(UsageError, match="can only be left"):
        asyncio.run(cancelled("http://127.0.0.1:9", "GET /", after_s=0.1, by="time-out"))
    with pytest.raises(UsageError, match="by is 'timeout': give 'disconnect' or 'time-out'"):
        asyncio.run(cancelled(service.app, "GET /tidy", after_s=0.1, by="timeout"))  # type: ignore[arg-type]


@pytest.mark.live
def test_a_client_of_a_real_server_hangs_up() -> None:
    app = FastAPI()
    lock = threading.Lock()

    @app.post("/orders")
    async def orders(request: Request) -> None:
        with lock:
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
        logging.getLogger("shop").warning("the client has gone")

    @app.post("/deaf")
    async def deaf() -> None:
        with lock:
            await asyncio.sleep(1.0)

    with served(app) as url:
        order = Asked("POST", "/orders", {"json": {"number": 7}})
        asyncio.run(cancelled(url, order, after_s=0.3, free=[lock], logged="has gone"))
        with pytest.raises(AssertionError, match="lock is locked"):
            asyncio.run(
                cancelled(url, "POST /deaf", after_s=0.3, free=[lock], logged=None, grace_s=0.1)
            )
