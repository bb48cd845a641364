"""More work than slots, on every kind of pool; a pool that loses slots is found out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import asyncpg
import httpx
import httpx2
import psycopg_pool
import pytest
import redis
import redis.asyncio
import sqlalchemy
from fastapi import FastAPI, HTTPException
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.gates import slow_server
from tests.support.postgres import Postgres
from tests.support.valkey import Valkey, running_valkey
from tests.testing.app import Service
from unstall import Lane
from unstall.errors import UsageError
from unstall.testing import Exhausted, exhaust


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with running_valkey() as server:
        yield server


def test_a_lane_refuses_what_is_too_much_and_has_all_slots_back() -> None:
    with Lane("billing", threads=2, queue=1) as lane:
        seen = asyncio.run(exhaust(lane))
    assert (seen.asked, seen.served, seen.refused) == (6, 3, 3)


def test_a_limiter_lets_all_wait() -> None:
    async def main() -> Exhausted:
        return await exhaust(anyio.CapacityLimiter(3), hold_s=0.01)

    assert asyncio.run(main()).served == 6


Make = Callable[[AsyncExitStack, str], Awaitable[Any]]


async def asyncpg_pool(stack: AsyncExitStack, dsn: str) -> Any:
    return await stack.enter_async_context(asyncpg.create_pool(dsn, min_size=2, max_size=2))


async def psycopg_async(stack: AsyncExitStack, dsn: str) -> Any:
    pool = psycopg_pool.AsyncConnectionPool(dsn, min_size=2, max_size=2, open=False, timeout=5)
    return await stack.enter_async_context(pool)


async def psycopg_sync(stack: AsyncExitStack, dsn: str) -> Any:
    return stack.enter_context(
        psycopg_pool.ConnectionPool(dsn, min_size=2, max_size=2, open=True, timeout=5)
    )


async def engine_async(stack: AsyncExitStack, dsn: str) -> Any:
    dsn = dsn.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(dsn, pool_size=1, max_overflow=1)
    stack.push_async_callback(engine.dispose)
    return engine


async def engine_sync(stack: AsyncExitStack, dsn: str) -> Any:
    dsn = dsn.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(dsn, pool_size=1, max_overflow=1)
    stack.callback(engine.dispose)
    return engine


@pytest.mark.live
@pytest.mark.parametrize(
    "make", [asyncpg_pool, psycopg_async, psycopg_sync, engine_async, engine_sync]
)
def test_a_database_pool_lets_all_wait_and_has_all_connections_back(
    make: Make, postgres: Postgres
) -> None:
    async def main() -> Exhausted:
        async with AsyncExitStack() as stack:
            return await exhaust(await make(stack, postgres.dsn), hold_s=0.02)

    seen = asyncio.run(main())
    assert (seen.asked, seen.served) == (4, 4)


@pytest.mark.live
def test_an_engine_that_times_out_says_so_and_that_is_controlled(postgres: Postgres) -> None:
    async def main() -> Exhausted:
        dsn = postgres.dsn.replace("postgresql://", "postgresql+asyncpg://")
        engine = create_async_engine(dsn, pool_size=1, max_overflow=0, pool_timeout=0.1)
        try:
            return await exhaust(engine, n=3, hold_s=0.5)
        finally:
            await engine.dispose()

    seen = asyncio.run(main())
    assert (seen.served, seen.refused) == (1, 2)


@pytest.mark.live
def test_redis_pools_that_refuse_and_that_wait(valkey: Valkey) -> None:
    async def main() -> list[Exhausted]:
        refusing = redis.asyncio.ConnectionPool.from_url(valkey.url, max_connections=2)
        waiting = redis.asyncio.BlockingConnectionPool.from_url(
            valkey.url, max_connections=2, timeout=5
        )
        plain = redis.BlockingConnectionPool.from_url(valkey.url, max_connections=2, timeout=5)
        try:
            return [await exhaust(pool) for pool in (refusing, waiting, plain)]
        finally:
            await refusing.disconnect()
            await waiting.disconnect()
            plain.disconnect()

    refusing, waiting, plain = asyncio.run(main())
    assert (refusing.served, refusing.refused) == (2, 2)
    assert (waiting.served, plain.served) == (4, 4)


@pytest.mark.live
def test_http_clients_hold_a_slot_while_they_read() -> None:
    async def main(url: str) -> list[Exhausted]:
        async with (
            httpx2.AsyncClient(limits=httpx2.Limits(max_connections=2)) as new,
            httpx.AsyncClient(limits=httpx.Limits(max_connections=2)) as old,
        ):
            with httpx2.Client(limits=httpx2.Limits(max_connections=2)) as plain:
                found = [await exhaust(each, url=url) for each in (new, old, plain)]
            with pytest.raises(UsageError, match="give url"):
                await exhaust(new)
        return found

    with slow_server() as server:
        assert [seen.served for seen in asyncio.run(main(f"{server}/0.01"))] == [4, 4, 4]


def test_a_route_over_a_lane_answers_503_and_the_lane_is_free_again(service: Service) -> None:
    seen = asyncio.run(exhaust(service.app, "GET /in-lane", free=[service.lane]))
    assert seen.asked == 8
    assert seen.refused > 0
    assert seen.served + seen.refused == 8


def leaky(limiter: anyio.CapacityLimiter) -> FastAPI:
    app = FastAPI()

    @app.get("/leaks")
    async def leaks() -> None:
        await limiter.acquire_on_behalf_of(object())
        raise HTTPException(503)

    return app


def test_slots_that_do_not_come_back_are_counted(service: Service) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(3)
        await exhaust(leaky(limiter), "GET /leaks", n=2, free=[limiter], grace_s=0.1)

    with pytest.raises(AssertionError, match="2 of 3 slots of the limiter did not come back"):
        asyncio.run(main())


def test_callers_that_wait_for_ever_are_told_with_who_holds(service: Service) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(3)
        await exhaust(leaky(limiter), "GET /leaks", n=4, within_s=0.8, free=[limiter])

    with pytest.raises(AssertionError) as caught:
        asyncio.run(main())
    assert "GET /leaks: 1 of 4 requests still wait after 0.8 s" in str(caught.value)
    assert "in leaky.<locals>.leaks for 0." in str(caught.value)


@pytest.mark.live
def test_a_connection_that_is_kept_is_named_by_its_line(postgres: Postgres) -> None:
    app = FastAPI()
    kept: list[Any] = []

    async def main() -> None:
        async with asyncpg.create_pool(postgres.dsn, min_size=2, max_size=2) as pool:

            @app.get("/keeps")
            async def keeps() -> None:
                kept.append(await pool.acquire())

            try:
                await exhaust(app, "GET /keeps", n=1, free=[pool], grace_s=0.1)
            finally:
                await pool.release(kept[0])

    with pytest.raises(AssertionError) as caught:
        asyncio.run(main())
    assert "1 of 2 slots of the asyncpg pool did not come back" in str(caught.value)
    assert "main.<locals>.keeps for 0." in str(caught.value)


def test_an_error_that_is_no_refusal_is_not_controlled(service: Service) -> None:
    with pytest.raises(AssertionError, match="3 of 3 answers are no controlled refusal: 3 x 500"):
        asyncio.run(exhaust(service.app, "GET /fails", n=3))


def test_what_has_no_slots_is_refused() -> None:
    with pytest.raises(UsageError, match="has no slots that are known: give a Lane"):
        asyncio.run(exhaust(object()))
    with pytest.raises(UsageError, match="cannot be exhausted"):
        asyncio.run(exhaust(sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.NullPool)))
    with pytest.raises(UsageError, match="give n"):
        asyncio.run(exhaust(FastAPI(), "GET /"))
