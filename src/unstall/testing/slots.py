"""How to take, keep and give back one slot of whatever has slots. One row for each kind of thing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from unstall.errors import LaneDeadline, LaneFull, LaneTimeout, UsageError
from unstall.gates.adapter import is_a
from unstall.gates.gate import Kind
from unstall.integrations.pools import ADAPTERS
from unstall.lanes.lane import Lane

Hold = Callable[[float], Awaitable[None]]
"""Takes a slot, keeps it for so many seconds, gives it back."""


@dataclass(frozen=True, slots=True)
class Slots:
    """A thing with slots, seen from outside."""

    name: str
    limit: int
    queue: int
    """How many may wait besides; more are refused. 0 where that is unbounded or unknown."""
    used: Callable[[], int]
    controlled: Callable[[BaseException], bool]
    """Whether an error is one that the thing raises on purpose when it is full."""


@dataclass(frozen=True, slots=True)
class _Use:
    """Of a library's things, by the names of package and class."""

    package: str
    cls: str
    blocking: bool
    hold: Callable[[Any, float, str], Any]
    """Is given the thing, the seconds and an address; a coroutine function unless `blocking`."""


# --- each kind of thing ---------------------------------------------------------------------


async def _engine_async(engine: Any, seconds: float, url: str) -> None:
    async with engine.connect():
        await asyncio.sleep(seconds)


def _engine(engine: Any, seconds: float, url: str) -> None:
    with engine.connect():
        time.sleep(seconds)


async def _asyncpg(pool: Any, seconds: float, url: str) -> None:
    async with pool.acquire():
        await asyncio.sleep(seconds)


async def _psycopg_async(pool: Any, seconds: float, url: str) -> None:
    async with pool.connection():
        await asyncio.sleep(seconds)


def _psycopg(pool: Any, seconds: float, url: str) -> None:
    with pool.connection():
        time.sleep(seconds)


async def _redis_async(pool: Any, seconds: float, url: str) -> None:
    pool = getattr(pool, "connection_pool", pool)
    connection = await pool.get_connection()
    try:
        await asyncio.sleep(seconds)
    finally:
        await pool.release(connection)


def _redis(pool: Any, seconds: float, url: str) -> None:
    pool = getattr(pool, "connection_pool", pool)
    connection = pool.get_connection()
    try:
        time.sleep(seconds)
    finally:
        pool.release(connection)


async def _http_async(client: Any, seconds: float, url: str) -> None:
    async with client.stream("GET", url):
        await asyncio.sleep(seconds)


def _http(client: Any, seconds: float, url: str) -> None:
    with client.stream("GET", url):
        time.sleep(seconds)


_USES = (
    _Use("sqlalchemy", "AsyncEngine", False, _engine_async),
    _Use("sqlalchemy", "Engine", True, _engine),
    _Use("asyncpg", "Pool", False, _asyncpg),
    _Use("psycopg_pool", "AsyncConnectionPool", False, _psycopg_async),
    _Use("psycopg_pool", "ConnectionPool", True, _psycopg),
    _Use("redis.asyncio", "Redis", False, _redis_async),
    _Use("redis.asyncio", "ConnectionPool", False, _redis_async),
    _Use("redis", "Redis", True, _redis),
    _Use("redis", "ConnectionPool", True, _redis),
    _Use("httpx2", "AsyncClient", False, _http_async),
    _Use("httpx2", "Client", True, _http),
    _Use("httpx", "AsyncClient", False, _http_async),
    _Use("httpx", "Client", True, _http),
)
TAKES = (
    "a Lane, an anyio CapacityLimiter, an engine of SQLAlchemy, a pool of asyncpg or psycopg_pool, "
    "a client or "
    "pool of redis-py, or a client of httpx or httpx2"
)


def slots_of(thing: Any) -> Slots:
    """Raises UsageError for what has no slots, or no limit."""
    if isinstance(thing, Lane):
        reading = thing.reading
        waiting = thing.statistics().queue
        full = (LaneFull, LaneTimeout, LaneDeadline)
        return Slots(
            f"the lane {thing.name!r}", reading().size, waiting,
            lambda: reading().held, lambda error: isinstance(error, full),
        )  # fmt: skip
    if is_a(thing, "anyio", "CapacityLimiter"):
        return Slots(
            "the limiter", _finite("the limiter", thing.total_tokens), 0,
            lambda: int(thing.borrowed_tokens), lambda error: False,
        )  # fmt: skip
    pools = [found for adapter in ADAPTERS for found in adapter.pools_of(thing)]
    if not pools:
        kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
        raise UsageError(f"a {kind} has no slots that are known: give {TAKES}")
    return _of_pool(*pools[0])


def _of_pool(pool: Any, kind: Kind) -> Slots:
    anchor = kind.anchor(pool)
    if anchor is None:
        raise UsageError(f"the {kind.name} pool is not open yet: open it first")
    name = f"the {kind.name} pool"

    def used() -> int:
        reading = kind.read(anchor)
        if reading.used is not None:
            return reading.used
        statistics = getattr(anchor, "get_stats", None)
        return int(statistics().get("pool_size", 0)) - reading.idle if statistics else 0

    return Slots(
        name, _finite(name, kind.read(anchor).limit), 0, used,
        lambda error: kind.timed_out(error, False) or kind.refused(error),
    )  # fmt: skip


def _finite(name: str, limit: float | None) -> int:
    if limit is None or limit == float("inf"):
        raise UsageError(f"{name} has no limit, so it cannot be exhausted: give it one")
    return int(limit)


@contextmanager
def holding(thing: Any, most: int, url: str | None) -> Iterator[Hold]:
    """How to hold one slot of it; `most` at the same time. Raises UsageError."""
    if isinstance(thing, Lane):
        yield lambda seconds: thing.run(time.sleep, seconds)
        return
    if is_a(thing, "anyio", "CapacityLimiter"):
        yield lambda seconds: _limited(thing, seconds)
        return
    use = next((use for use in _USES if is_a(thing, use.package, use.cls)), None)
    if use is None:
        kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
        raise UsageError(f"it is not known how a {kind} is used: give {TAKES}")
    if use.package.startswith("httpx") and url is None:
        raise UsageError(
            "a client holds a slot while it reads an answer: give url, what to ask for"
        )
    address = url or ""
    if not use.blocking:
        yield lambda seconds: use.hold(thing, seconds, address)
        return
    with ThreadPoolExecutor(most, "unstall-exhaust") as threads:
        loop = asyncio.get_running_loop()
        yield lambda seconds: loop.run_in_executor(threads, use.hold, thing, seconds, address)


async def _limited(limiter: Any, seconds: float) -> None:
    async with limiter:
        await asyncio.sleep(seconds)
