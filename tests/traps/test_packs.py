"""What packs allow, shown with the real thing, each with a twin that is told of."""

from __future__ import annotations

import asyncio
import logging
import socket
import sqlite3
import time
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

import anyio.from_thread
import anyio.to_thread
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import unstall
from tests.support.trapped import ROOT, codes, trapped
from tests.traps import works
from unstall.traps import regions
from unstall.traps.events import TRAP_EVENTS
from unstall.traps.primitives import PRIMITIVES
from unstall.watch.audit import SKIP

DATAGRAMS = next(
    row.blocks for row in PRIMITIVES if "sendall" in row.names and row.module == "socket"
)


def test_a_time_zone_is_read_once_and_kept() -> None:
    zoneinfo.ZoneInfo.clear_cache()
    assert trapped(lambda: zoneinfo.ZoneInfo("Europe/Oslo")) == ()
    assert codes(trapped(works.read_file)) == ["US106"]


async def hello(request: Request) -> Response:
    if request.query_params:
        time.sleep(0.0001)
    return PlainTextResponse("hello")


@pytest.mark.parametrize(("query", "found"), [("", []), ("?nap=1", ["US101"])])
def test_a_client_of_the_test_in_a_coroutine_waits_for_nobody_in_production(
    query: str, found: list[str]
) -> None:
    app = Starlette(routes=[Route("/", hello)])
    assert codes(trapped(lambda: TestClient(app).get(f"/{query}"))) == found


def test_a_log_file_of_the_test_runner_is_not_there_in_production(tmp_path: Path) -> None:
    (blocks,) = (row.blocks for row in PRIMITIVES if row.module == "logging")
    for module, is_seen in (("_pytest.logging", False), ("shop.logs", True)):
        kind = type("FileHandler", (logging.FileHandler,), {"__module__": module})
        handler = kind(tmp_path / "log")
        try:
            assert (blocks((handler, None), {}) is not SKIP) == is_seen
        finally:
            handler.close()


@pytest.mark.parametrize(
    "name",
    [":memory:", b":memory:", "", "file::memory:?cache=shared", "file:?x=1", "file:a?mode=memory"],
)
def test_a_database_in_memory_is_silent(name: str | bytes) -> None:
    assert TRAP_EVENTS["sqlite3.connect"][1]((name,)) is SKIP


@pytest.mark.parametrize(
    "name", ["orders.db", "file:orders.db", "file:memory.db?mode=ro", b"orders.db"]
)
def test_one_in_a_file_is_not(name: str | bytes) -> None:
    assert TRAP_EVENTS["sqlite3.connect"][1]((name,)) is not SKIP


def test_a_connection_to_shared_memory_does_not_block() -> None:
    def connects() -> None:
        sqlite3.connect("file::memory:?cache=shared", uri=True).close()

    assert trapped(connects) == ()


@pytest.mark.parametrize(
    "data", [b"x", bytearray(b"x"), memoryview(b"x")], ids=lambda d: type(d).__name__
)
def test_datagrams_are_sent_without_consent_and_received_with(data: bytes) -> None:
    there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with there, here:
        there.bind(("127.0.0.1", 0))
        here.connect(there.getsockname())
        assert codes(trapped(lambda: here.send(data))) == []
        assert codes(trapped(lambda: there.recv_into(bytearray(8)))) == ["US108"]


def test_uvloop_removes_the_file_of_its_own_socket(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")
    (tmp_path / "file").write_text("x")

    async def main() -> tuple[object, object]:
        removed = TRAP_EVENTS["os.remove"][1]
        server = await asyncio.start_unix_server(lambda r, w: w.close(), str(tmp_path / "socket"))
        told = removed((str(tmp_path / "socket"),)), removed((str(tmp_path / "file"),))
        server.close()
        await server.wait_closed()
        return told

    with unstall.trap(threshold_ms=0, root=ROOT) as caught:
        socket_file, file = uvloop.run(main())
    assert caught.findings == ()
    assert socket_file is SKIP
    assert file == str(tmp_path / "file")


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as made:
        yield made


def test_a_call_into_another_threads_loop_waits_for_it(portal: BlockingPortal) -> None:
    # so long that it is not over before this thread, on a busy machine, comes to wait for it
    assert codes(trapped(lambda: portal.call(anyio.sleep, 0.1))) == ["US109"]


def test_a_call_from_a_worker_thread_into_its_loop_does_not() -> None:
    async def works_in_a_thread() -> None:
        await anyio.to_thread.run_sync(anyio.from_thread.run, anyio.sleep, 0.001)
        await anyio.to_thread.run_sync(lambda: anyio.from_thread.run_sync(time.monotonic))

    assert trapped(works_in_a_thread) == ()


# --- regions ----------------------------------------------------------------------------------------


def test_regions_too_short_to_excuse_a_stall_crowd_nobody_out() -> None:
    regions.SPANS.clear()
    with unstall.trap(threshold_ms=200):
        with unstall.allow("long enough"):
            time.sleep(0.12)
        for _ in range(3):
            with unstall.allow("too short"):
                time.sleep(0.003)
        assert len(regions.SPANS) == 1
    with unstall.trap(threshold_ms=10):
        with unstall.allow("long enough for such a trap"):
            time.sleep(0.006)
        assert len(regions.SPANS) == 2


def test_without_a_trap_no_region_is_kept() -> None:
    regions.SPANS.clear()
    with unstall.allow("nobody watches"):
        time.sleep(0.003)
    assert len(regions.SPANS) == 0
