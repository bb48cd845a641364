"""A request's deadline goes on to whoever it calls, and calls wait no longer than it lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import httpx2
import pytest
from fastapi import FastAPI, Request

from tests.support.gates import slow_server, until
from tests.support.serving import served
from unstall import Deadline, Lane
from unstall.errors import DeadlinePassed, UsageError
from unstall.guard.budget import CURRENT, Budget, left_of
from unstall.integrations.propagate import propagate

LIBRARIES = [httpx, httpx2]


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    token = CURRENT.set(Budget(time.monotonic_ns() + int(seconds * 1e9), 1, "/"))
    try:
        yield
    finally:
        CURRENT.reset(token)


class Echo:
    """A transport that keeps what it was asked."""

    def __init__(self, library: Any) -> None:
        self.requests: list[Any] = []
        self.library = library

    def client(self, cls: str, **options: Any) -> Any:
        def handler(request: Any) -> Any:
            self.requests.append(request)
            return self.library.Response(200)

        transport = self.library.MockTransport(handler)
        return propagate(getattr(self.library, cls)(transport=transport, **options))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("cls", ["Client", "AsyncClient"])
def test_a_call_carries_the_deadline_and_its_time_outs_are_cut(library: Any, cls: str) -> None:
    echo = Echo(library)

    async def main() -> None:
        client = echo.client(cls, timeout=library.Timeout(5.0, read=None, connect=0.5))
        for seconds in (None, 2.0):
            if seconds is None:
                found = client.get("http://billing/")
                await found if cls == "AsyncClient" else found
            else:
                with budget(seconds):
                    found = client.get("http://billing/")
                    await found if cls == "AsyncClient" else found

        async def late() -> None:
            found = client.get("http://billing/")
            await found if cls == "AsyncClient" else found

        with budget(-1), pytest.raises(DeadlinePassed, match="GET billing was not sent"):
            await late()

    asyncio.run(main())
    free, bound = echo.requests
    assert "x-request-deadline" not in free.headers
    assert free.extensions["timeout"]["read"] is None
    assert 1 < left_of(bound.headers["x-request-deadline"], time.time()) <= 2.0
    times = bound.extensions["timeout"]
    assert times["connect"] == 0.5
    assert 1 < times["read"] <= 2.0
    assert 1 < times["pool"] <= 2.0


def test_a_header_that_is_there_stays_and_a_hook_is_put_in_once() -> None:
    echo = Echo(httpx2)
    client = propagate(echo.client("Client"))
    assert len(client.event_hooks["request"]) == 1
    with budget(2):
        client.get("http://billing/", headers={"x-request-deadline": "1s"})
    assert echo.requests[0].headers["x-request-deadline"] == "1s"


def test_what_is_no_client_is_refused() -> None:
    with pytest.raises(UsageError, match=r"given a builtins\.object: give a client"):
        propagate(object())


@pytest.mark.live
def test_from_server_to_server_and_into_a_thread_of_a_lane() -> None:
    below = FastAPI()
    seen: list[float] = []

    @below.get("/")
    async def inner(request: Request) -> dict[str, bool]:
        seen.append(left_of(request.headers["x-request-deadline"], time.time()))
        return {"ok": True}

    above = FastAPI()
    plain = propagate(httpx2.Client(timeout=None))
    told: list[object] = []

    with served(below) as inner_url, slow_server() as slow_url, Lane("hop", threads=1) as lane:

        @above.get("/")
        async def outer() -> dict[str, bool]:
            return dict((await lane.run(plain.get, inner_url)).json())

        @above.get("/hangs")
        async def hangs() -> None:
            await lane.run(plain.get, f"{slow_url}/2")

        above.add_middleware(Deadline, default=30, routes={"/hangs": 0.3}, told=told.append)
        with served(above) as url:
            assert httpx2.get(url).json() == {"ok": True}
            assert httpx2.get(f"{url}/hangs").status_code in (500, 504)
            # The call gives up with its request: the lane's only thread is free again.
            until(lambda: httpx2.get(url).status_code == 200)
    plain.close()
    assert all(0 < left <= 30 for left in seen)
