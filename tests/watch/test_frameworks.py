"""Requests are counted once, however many monitors count them, and a lifespan is none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.testclient import TestClient
from starlette.types import Message

from unstall.watch.discover import ImportHooks
from unstall.watch.frameworks import Frameworks
from unstall.watch.scope import REQUESTS


@pytest.fixture(autouse=True)
def _original() -> Iterator[None]:
    before = ServerErrorMiddleware.__call__
    yield
    assert ServerErrorMiddleware.__call__ is before


def counted(kind: str) -> int:
    """By how much one scope of this kind moves the counter."""

    async def receive() -> Message:
        return {"type": f"{kind}.{'startup' if kind == 'lifespan' else 'disconnect'}"}

    async def send(message: Message) -> None:
        pass

    asked = {"method": "GET", "path": "/", "headers": [], "query_string": b""}
    scope = {"type": kind, "asgi": {"version": "3.0"}, **({} if kind == "lifespan" else asked)}
    before = REQUESTS.begun
    asyncio.run(Starlette()(scope, receive, send))
    return REQUESTS.begun - before


def test_a_request_is_counted_and_a_lifespan_is_not() -> None:
    frameworks = Frameworks(ImportHooks())
    frameworks.start()
    try:
        assert [counted("http"), counted("lifespan")] == [1, 0]
    finally:
        frameworks.stop()
    assert counted("http") == 0


@pytest.mark.parametrize("first_to_stop", [0, 1])
def test_two_that_count_are_one_count(first_to_stop: int) -> None:
    both = [Frameworks(ImportHooks()), Frameworks(ImportHooks())]
    for each in both:
        each.start()
    original = sys.modules["starlette.middleware.errors"].ServerErrorMiddleware.__call__.__wrapped__
    try:
        assert counted("http") == 1
        both[first_to_stop].stop()
        assert counted("http") == 1
    finally:
        for each in both:
            each.stop()
        ServerErrorMiddleware.__call__ = original.__wrapped__  # type: ignore[method-assign]


def test_a_server_that_asks_still_hears_that_it_is_asynchronous() -> None:
    """As Starlette's test client and uvicorn do, of whatever app they are given."""
    frameworks = Frameworks(ImportHooks())
    frameworks.start()
    try:
        with TestClient(ServerErrorMiddleware(Starlette())) as client:
            assert client.get("/").status_code == 404
    finally:
        frameworks.stop()
