"""What a gate adds to one slot of a pool: asked for, given, returned; for each library, with and without.

Nothing waits: every pool has a free slot, so what is measured is what the pool and the gate compute, in CPU
time of the thread. The gates are switched on and off in one process, in random order, and neighbouring
batches are compared. HTTP is spoken with a connection that answers from memory.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

import asyncpg
import httpcore
import httpcore2
import httpx
import httpx2
import psycopg_pool
import redis
import redis.asyncio
import sqlalchemy
import sqlalchemy.ext.asyncio

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.statistics import median_interval
from tests.support.postgres import running_postgres
from tests.support.valkey import running_valkey
from unstall.integrations.pools import Gates

GOAL_US = 3.0
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Use = Callable[[], Any]
AsyncUse = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Effort:
    pairs: int
    batch_s: float
    """How long one batch should take."""


FULL = Effort(pairs=60, batch_s=0.1)
QUICK = Effort(pairs=12, batch_s=0.05)


class Endless(list[bytes]):
    """Answers without end."""

    def __bool__(self) -> bool:
        return True

    def pop(self, index: Any = 0) -> bytes:
        return ANSWER


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU time for one use, by batch; neighbours belong together."""

    bare: list[float]
    gated: list[float]

    @property
    def added(self) -> list[float]:
        return [gated - bare for bare, gated in zip(self.bare, self.gated, strict=True)]


async def compared(harness: Harness, effort: Effort, use: AsyncUse) -> Cost:
    times = 50
    while (took := await _batch(use, times)) * times < effort.batch_s * 1e6:
        times = max(times + 1, int(min(times * 10, effort.batch_s * 1e6 / max(took, 0.01))) + 1)
    cost = Cost([], [])
    for _ in range(effort.pairs):
        gated_first = harness.chance.random() < 0.5
        for gated in (gated_first, not gated_first):
            if gated:
                with Gates():
                    await _batch(use, times // 10 + 1)
                    cost.gated.append(await _batch(use, times))
            else:
                await _batch(use, times // 10 + 1)
                cost.bare.append(await _batch(use, times))
    return cost


async def _batch(use: AsyncUse, times: int) -> float:
    """Without a turn of the loop, if the use needs none."""
    before = time.thread_time_ns()
    for _ in range(times):
        await use()
    return (time.thread_time_ns() - before) / times / 1e3


def plainly(use: Use) -> AsyncUse:
    async def call() -> None:
        use()

    return call


# --- one use of each ------------------------------------------------------------------------


async def uses(stack: AsyncExitStack, dsn: str, url: str) -> dict[str, AsyncUse]:
    return {
        **await _sqlalchemy(stack),
        **await _postgres(stack, dsn),
        **await _redis(stack, url),
        **await _http(stack, httpx, httpcore),
        **await _http(stack, httpx2, httpcore2),
    }


async def _sqlalchemy(stack: AsyncExitStack) -> dict[str, AsyncUse]:
    def connect() -> Any:
        return sqlite3.connect(":memory:", check_same_thread=False)

    engine = sqlalchemy.create_engine(
        "sqlite://", creator=connect, poolclass=sqlalchemy.QueuePool, pool_reset_on_return=None
    )
    stack.callback(engine.dispose)

    def use() -> None:
        engine.connect().close()

    pool = sqlalchemy.AsyncAdaptedQueuePool(connect, reset_on_return=None)
    stack.callback(pool.dispose)

    def checked_out() -> None:
        pool.connect().close()

    async def use_async() -> None:
        await sqlalchemy.util.greenlet_spawn(checked_out)

    return {"sqlalchemy Engine": plainly(use), "sqlalchemy async pool": use_async}


async def _postgres(stack: AsyncExitStack, dsn: str) -> dict[str, AsyncUse]:
    async def no_reset(connection: Any) -> None:
        """Saves the round trip, which is none of ours."""

    pool = await stack.enter_async_context(
        asyncpg.create_pool(dsn, min_size=1, max_size=2, reset=no_reset)
    )
    plain = stack.enter_context(psycopg_pool.ConnectionPool(dsn, min_size=1, open=True))
    plain.wait()
    tasks = psycopg_pool.AsyncConnectionPool(dsn, min_size=1, open=False)
    await stack.enter_async_context(tasks)
    await tasks.wait()

    async def use_asyncpg() -> None:
        async with pool.acquire():
            pass

    async def use_tasks() -> None:
        await tasks.putconn(await tasks.getconn())

    return {
        "asyncpg": use_asyncpg,
        "psycopg": plainly(lambda: plain.putconn(plain.getconn())),
        "psycopg async": use_tasks,
    }


async def _redis(stack: AsyncExitStack, url: str) -> dict[str, AsyncUse]:
    plain: Any = redis.BlockingConnectionPool.from_url(url)
    stack.callback(plain.disconnect)
    tasks: Any = redis.asyncio.BlockingConnectionPool.from_url(url)
    stack.push_async_callback(tasks.aclose)

    async def use_tasks() -> None:
        await tasks.release(await tasks.get_connection())

    return {
        "redis": plainly(lambda: plain.release(plain.get_connection())),
        "redis asyncio": use_tasks,
    }


class _Backend:
    """Connections that answer from memory."""

    def __init__(self, core: ModuleType) -> None:
        self._core = core

    def connect_tcp(self, *args: Any, **named: Any) -> Any:
        stream = self._core.MockStream([])
        stream._buffer = Endless()
        return stream


class _AsyncBackend(_Backend):
    async def connect_tcp(self, *args: Any, **named: Any) -> Any:
        stream = self._core.AsyncMockStream([])
        stream._buffer = Endless()
        return stream


async def _http(
    stack: AsyncExitStack, library: ModuleType, core: ModuleType
) -> dict[str, AsyncUse]:
    transport, tasks_transport = library.HTTPTransport(), library.AsyncHTTPTransport()
    transport._pool = core.ConnectionPool(network_backend=_Backend(core))
    tasks_transport._pool = core.AsyncConnectionPool(network_backend=_AsyncBackend(core))
    plain = stack.enter_context(library.Client(base_url="http://app", transport=transport))
    tasks = library.AsyncClient(base_url="http://app", transport=tasks_transport)
    await stack.enter_async_context(tasks)

    async def use_tasks() -> None:
        await tasks.get("/")

    return {
        f"{library.__name__} Client": plainly(lambda: plain.get("/")),
        f"{library.__name__} AsyncClient": use_tasks,
    }


# --- all of it ------------------------------------------------------------------------------


async def measured(harness: Harness, effort: Effort) -> dict[str, Cost]:
    with running_postgres() as postgres, running_valkey() as valkey:
        async with AsyncExitStack() as stack:
            found = {}
            for name, use in (await uses(stack, postgres.dsn, valkey.url)).items():
                found[name] = await compared(harness, effort, use)
                harness.progress(name)
            return found


def main() -> int:
    harness = Harness(parser(__doc__).parse_args())
    effort = QUICK if harness.quick else FULL
    harness.section(f"CPU us for one slot asked for and returned: {effort.pairs} pairs of batches")
    found = asyncio.run(measured(harness, effort))
    harness.raw["us"] = {name: {"bare": c.bare, "gated": c.gated} for name, c in found.items()}
    added = {name: median_interval(cost.added) for name, cost in found.items()}
    rows = [
        (
            name,
            median_interval(cost.bare).text("{:.1f}".format),
            median_interval(cost.gated).text("{:.1f}".format),
            added[name].text("{:.2f}".format),
        )
        for name, cost in found.items()
    ]
    print(table(("pool", "bare", "with its gate", "added"), rows))
    worst = max(added, key=lambda name: added[name].median)
    figure = f"{added[worst].text('{:.2f}'.format)} us ({worst})"
    return harness.finish(
        [Bar("gate_added_us", figure, f"< {GOAL_US:g} us", added[worst].median < GOAL_US)]
    )


if __name__ == "__main__":
    sys.exit(main())
