"""The pools of httpx and httpx2 against a real server."""

from __future__ import annotations

import asyncio
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

import unstall
from tests.support.gates import Watching, methods, until, watching

LIBRARIES = (httpx, httpx2)
PLACES = [
    (getattr(import_module(f"{core}.{module}"), cls), name)
    for core in ("httpcore", "httpcore2")
    for module, cls, name in (
        ("_sync.connection_pool", "ConnectionPool", "handle_request"),
        ("_sync.connection_pool", "PoolRequest", "wait_for_connection"),
        ("_sync.connection_pool", "PoolByteStream", "close"),
        ("_sync.connection", "HTTPConnection", "_connect"),
        ("_async.connection_pool", "AsyncConnectionPool", "handle_async_request"),
        ("_async.connection_pool", "AsyncPoolRequest", "wait_for_connection"),
        ("_async.connection_pool", "PoolByteStream", "aclose"),
        ("_async.connection", "AsyncHTTPConnection", "_connect"),
    )
]


def _options(library: ModuleType, slots: int = 1, pool_s: float = 10) -> dict[str, Any]:
    limits = library.Limits(max_connections=slots)
    return {"limits": limits, "timeout": library.Timeout(10, pool=pool_s)}


@pytest.mark.live
@pytest.mark.parametrize("library", LIBRARIES)
def test_tasks_that_contend_are_told_as_wait_and_hold(
    library: ModuleType, upstream: str, watch: Watching
) -> None:
    name = f"{library.__name__} tasks"

    async def main() -> None:
        async with library.AsyncClient(base_url=upstream, **_options(library)) as client:
            unstall.gate(client, name=name)
            await asyncio.gather(*(client.get("/0.2") for _ in range(3)))
            seen = watch.one(name)
            assert (seen.kind, seen.limit, seen.used) == (library.__name__, 1, 0)
            assert (seen.acquired, seen.returned, seen.pending) == (3, 3, 0)
            assert seen.created >= 1
            assert 0.58 < seen.wait_s < 60
            assert 0.58 < seen.use_s < 60

    asyncio.run(main())
    assert watch.findings == []


@pytest.mark.live
@pytest.mark.parametrize("library", LIBRARIES)
def test_threads_that_contend_are_told_as_wait_and_hold(
    library: ModuleType, upstream: str, watch: Watching
) -> None:
    name = f"{library.__name__} threads"
    with library.Client(base_url=upstream, **_options(library)) as client:
        unstall.gate(client, name=name)
        threads = [threading.Thread(target=client.get, args=("/0.2",)) for _ in range(3)]
        with client.stream("GET", "/0"):  # holds the only slot until all have asked
            for thread in threads:
                thread.start()
            until(lambda: watch.one(name).pending == 3)
        for thread in threads:
            thread.join()
        seen = watch.one(name)
        assert (seen.acquired, seen.returned, seen.pending, seen.used) == (4, 4, 0, 0)
        assert 0.58 < seen.wait_s < 60
        assert 0.58 < seen.use_s < 60


@pytest.mark.live
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_time_out_of_the_pool_is_counted_and_another_is_not(
    library: ModuleType, upstream: str, watch: Watching
) -> None:
    name = f"{library.__name__} late"

    async def main() -> None:
        async with library.AsyncClient(base_url=upstream, **_options(library, 1, 0.1)) as client:
            unstall.gate(client, name=name)
            first = asyncio.create_task(client.get("/1"))
            await asyncio.sleep(0.1)
            with pytest.raises(library.PoolTimeout):
                await client.get("/0")
            assert (await first).status_code == 200
            with pytest.raises(library.ReadTimeout):
                await client.get("/0.3", timeout=library.Timeout(10, read=0.05))
            seen = watch.one(name)
            assert (seen.timeouts, seen.pending, seen.used) == (1, 0, 0)
            assert (seen.acquired, seen.returned) == (3, 2)

    asyncio.run(main())


@pytest.mark.live
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_applications_own_trace_is_not_disturbed(
    library: ModuleType, upstream: str, watch: Watching
) -> None:
    events: list[str] = []
    with library.Client(base_url=upstream) as client:
        client.get("/0", extensions={"trace": lambda name, info: events.append(name)})
    assert events[0] == "connection.connect_tcp.started"
    assert "http11.receive_response_headers.complete" in events
    assert len(events) == len(set(events))


@pytest.mark.live
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_client_is_named_after_its_base_address_else_after_its_library(
    library: ModuleType, upstream: str, watch: Watching
) -> None:
    with library.Client(base_url=f"{upstream}/v1") as based, library.Client() as free:
        based.get("/0")
        free.get(f"{upstream}/0")
        mine = {s.name for s in watch.gates.statistics() if s.kind == library.__name__}
    assert {upstream, library.__name__} <= mine


@pytest.mark.live
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_call_while_an_answer_is_still_streamed_is_reported(
    library: ModuleType, upstream: str, watch: Watching
) -> None:
    async def main() -> None:
        async with library.AsyncClient(base_url=upstream, **_options(library, 1, 0.1)) as client:
            unstall.gate(client, name=f"{library.__name__} nested")
            async with client.stream("GET", "/0"):
                with pytest.raises(library.PoolTimeout):
                    await client.get("/0")

    asyncio.run(main())
    finding = watch.found()
    assert finding.site is not None
    assert finding.site.file.endswith("test_httpx.py")
    assert finding.site.call.endswith("AsyncClient.get")
    assert finding.severity == "error"


@pytest.mark.live
@pytest.mark.parametrize("library", LIBRARIES)
def test_calls_one_after_the_other_are_fine(
    library: ModuleType, upstream: str, watch: Watching
) -> None:
    async def main() -> None:
        async with library.AsyncClient(base_url=upstream, **_options(library)) as client:
            unstall.gate(client, name=f"{library.__name__} in turn")
            for _ in range(3):
                await client.get("/0")
            async with client.stream("GET", "/0") as response:
                await response.aread()
            await client.get("/0")
            assert watch.one(f"{library.__name__} in turn").nested == 0

    asyncio.run(main())
    assert watch.findings == []


@pytest.mark.live
def test_everything_is_put_back(upstream: str) -> None:
    before = methods(*PLACES)
    assert None not in before
    with httpx2.Client(base_url=upstream) as client:
        with watching() as watch:
            assert not set(methods(*PLACES)) & set(before)
            unstall.gate(client, name="httpx2 back")
            client.get("/0")
        assert methods(*PLACES) == before
        client.get("/0")
        assert watch.one("httpx2 back").acquired == 1
