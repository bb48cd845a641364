"""redis-py's pools, synchronous and asyncio, on a real Valkey."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.connection
import redis.connection

import unstall
from tests.support.gates import SOON_S, Watching, methods, until, watching
from tests.support.valkey import Valkey

# redis-py's pools are only half typed.
Blocking: Any = redis.BlockingConnectionPool

PLACES = [
    (getattr(module, cls), name)
    for module in (redis.connection, redis.asyncio.connection)
    for cls, name in (
        ("ConnectionPool", "get_connection"),
        ("ConnectionPool", "release"),
        ("BlockingConnectionPool", "get_connection"),
        ("BlockingConnectionPool", "release"),
        ("AbstractConnection", "connect"),
    )
]


def _blocking(valkey: Valkey, timeout: float = SOON_S) -> Any:
    return Blocking.from_url(valkey.url, max_connections=1, timeout=timeout)


def _aio(valkey: Valkey, timeout: float = 10) -> Any:
    return redis.asyncio.BlockingConnectionPool.from_url(
        valkey.url, max_connections=1, timeout=timeout
    )


@pytest.mark.live
def test_threads_that_contend_are_told_as_wait_and_hold(valkey: Valkey, watch: Watching) -> None:
    pool = _blocking(valkey)
    unstall.gate(redis.Redis(connection_pool=pool), name="redis threads")

    all_here = threading.Event()

    def use() -> None:
        connection = pool.get_connection()
        all_here.wait(SOON_S)
        time.sleep(0.2)
        pool.release(connection)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: watch.one("redis threads").pending == 2)
    all_here.set()
    for thread in threads:
        thread.join()
    seen = watch.one("redis threads")
    assert (seen.kind, seen.limit, seen.used, seen.idle) == ("redis", 1, 0, 1)
    assert (seen.acquired, seen.returned, seen.created, seen.pending) == (3, 3, 1, 0)
    assert 0.58 < seen.wait_s < 60
    assert 0.58 < seen.use_s < 60
    pool.disconnect()


@pytest.mark.live
def test_tasks_that_contend_are_told_as_wait_and_hold(valkey: Valkey, watch: Watching) -> None:
    async def main() -> None:
        pool = _aio(valkey)
        unstall.gate(pool, name="redis tasks")

        async def use() -> None:
            connection = await pool.get_connection()
            await asyncio.sleep(0.2)
            await pool.release(connection)

        await asyncio.gather(use(), use(), use())
        seen = watch.one("redis tasks")
        assert (seen.limit, seen.used, seen.idle) == (1, 0, 1)
        assert (seen.acquired, seen.returned, seen.created, seen.pending) == (3, 3, 1, 0)
        assert 0.58 < seen.wait_s < 60
        assert 0.58 < seen.use_s < 60
        await pool.aclose()

    asyncio.run(main())
    assert watch.findings == []


@pytest.mark.live
def test_a_time_out_is_counted_in_both(valkey: Valkey, watch: Watching) -> None:
    pool = _blocking(valkey, 0.2)
    unstall.gate(pool, name="redis late")
    held = pool.get_connection()

    def late() -> None:
        with pytest.raises(redis.ConnectionError):
            pool.get_connection()

    thread = threading.Thread(target=late)
    thread.start()
    thread.join()
    pool.release(held)
    pool.disconnect()
    assert watch.one("redis late").timeouts == 1

    async def main() -> None:
        pool = _aio(valkey, 0.2)
        unstall.gate(pool, name="redis late tasks")
        held = await pool.get_connection()
        with pytest.raises(redis.ConnectionError):
            await asyncio.create_task(pool.get_connection())
        await pool.release(held)
        await pool.aclose()

    asyncio.run(main())
    assert watch.one("redis late tasks").timeouts == 1


@pytest.mark.live
def test_the_default_pool_refuses_and_deadlocks_nobody(valkey: Valkey, watch: Watching) -> None:
    client = redis.Redis.from_url(valkey.url, max_connections=1)
    unstall.gate(client, name="redis default")
    with client.pipeline() as pipe:
        pipe.watch("key")  # type: ignore[no-untyped-call]
        with pytest.raises(redis.exceptions.MaxConnectionsError):
            client.get("key")
    seen = watch.one("redis default")
    assert (seen.refused, seen.timeouts, seen.nested, seen.pending) == (1, 0, 0, 0)
    assert watch.findings == []
    client.close()


@pytest.mark.live
def test_a_server_that_is_not_there_is_no_time_out(watch: Watching) -> None:
    pool = Blocking(host="127.0.0.1", port=1, max_connections=1, timeout=5)
    with pytest.raises(redis.ConnectionError):
        redis.Redis(connection_pool=pool).ping()
    seen = watch.one("redis://127.0.0.1:1/0")
    assert (seen.timeouts, seen.acquired, seen.used, seen.pending) == (0, 0, 0, 0)


@pytest.mark.live
def test_a_command_inside_a_transaction_is_reported(valkey: Valkey, watch: Watching) -> None:
    async def main() -> None:
        pool = _aio(valkey, 0.2)
        client = redis.asyncio.Redis(connection_pool=pool)
        async with client.pipeline() as pipe:
            await pipe.watch("key")
            with pytest.raises(redis.ConnectionError):
                await client.get("key")
        await pool.aclose()

    asyncio.run(main())
    finding = watch.found()
    assert finding.site is not None
    assert finding.site.file.endswith("test_redis.py")
    assert f"redis://127.0.0.1:{valkey.port}/0" in (finding.evidence[0].because or "")


@pytest.mark.live
def test_everything_is_put_back(valkey: Valkey) -> None:
    before = methods(*PLACES)
    client = redis.Redis.from_url(valkey.url)
    with watching() as watch:
        assert not set(methods(*PLACES)) & set(before)
        unstall.gate(client, name="redis back")
        client.ping()
    assert methods(*PLACES) == before
    client.ping()
    assert watch.one("redis back").acquired == 1
    client.close()
