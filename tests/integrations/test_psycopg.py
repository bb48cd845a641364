"""psycopg's pools on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
import time

import psycopg_pool
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import unstall
from tests.support.gates import SOON_S, Watching, methods, until, watching
from tests.support.postgres import Postgres

NAMES = ("getconn", "_getconn_unchecked", "_connect", "putconn")
PLACES = [(cls, name) for cls in (ConnectionPool, AsyncConnectionPool) for name in NAMES]


@pytest.mark.live
def test_threads_that_contend_are_told_as_wait_and_hold(
    postgres: Postgres, watch: Watching
) -> None:
    with ConnectionPool(postgres.dsn, min_size=1, max_size=1, open=True) as pool:
        pool.wait()
        unstall.gate(pool, name="psycopg threads")

        all_here = threading.Event()

        def use() -> None:
            with pool.connection():
                all_here.wait(SOON_S)
                time.sleep(0.2)

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: watch.one("psycopg threads").pending == 2)
        all_here.set()
        for thread in threads:
            thread.join()
        seen = watch.one("psycopg threads")
        assert (seen.kind, seen.limit, seen.used, seen.idle) == ("psycopg", 1, 0, 1)
        assert (seen.acquired, seen.returned, seen.pending) == (3, 3, 0)
        assert 0.58 < seen.wait_s < 60
        assert 0.58 < seen.use_s < 60
    assert watch.findings == []


@pytest.mark.live
def test_tasks_that_contend_are_told_as_wait_and_hold(postgres: Postgres, watch: Watching) -> None:
    async def main() -> None:
        async with AsyncConnectionPool(
            postgres.dsn, min_size=1, max_size=1, name="psycopg tasks", open=False
        ) as pool:
            await pool.wait()

            async def use() -> None:
                async with pool.connection():
                    await asyncio.sleep(0.2)

            await asyncio.gather(use(), use(), use())
            seen = watch.one("psycopg tasks")  # the name it was given is its name
            assert (seen.acquired, seen.returned, seen.created) == (3, 3, 1)
            assert 0.58 < seen.wait_s < 60
            assert 0.58 < seen.use_s < 60

    asyncio.run(main())
    assert watch.findings == []


@pytest.mark.live
def test_a_time_out_and_a_refusal_are_counted_apart(postgres: Postgres, watch: Watching) -> None:
    with ConnectionPool(
        postgres.dsn, min_size=1, max_size=1, max_waiting=1, name="psycopg late", open=True
    ) as pool:
        held = pool.getconn()
        late = threading.Thread(target=_fails, args=(pool, psycopg_pool.PoolTimeout, 0.5))
        late.start()
        until(lambda: watch.one("psycopg late").pending)
        _fails(pool, psycopg_pool.TooManyRequests, 0.5)
        late.join()
        pool.putconn(held)
        seen = watch.one("psycopg late")
        assert (seen.timeouts, seen.refused, seen.pending, seen.used) == (1, 1, 0, 0)


def _fails(pool: ConnectionPool, kind: type[Exception], seconds: float) -> None:
    with pytest.raises(kind):
        pool.getconn(timeout=seconds)


@pytest.mark.live
def test_a_pool_is_named_after_its_database(postgres: Postgres, watch: Watching) -> None:
    dsn = f"postgresql://postgres:secret@127.0.0.1:{postgres.port}/postgres"
    with ConnectionPool(dsn, min_size=1, max_size=1, open=True) as pool, pool.connection():
        (seen,) = [s for s in watch.gates.statistics() if s.kind == "psycopg" and s.used]
    assert seen.name == f"postgresql://127.0.0.1:{postgres.port}/postgres"


@pytest.mark.live
def test_a_second_slot_of_one_task_is_reported(postgres: Postgres, watch: Watching) -> None:
    async def main() -> None:
        async with (
            AsyncConnectionPool(
                postgres.dsn, min_size=1, max_size=1, name="psycopg nested", open=False
            ) as pool,
            pool.connection(),
        ):
            with pytest.raises(psycopg_pool.PoolTimeout):
                await pool.getconn(timeout=0.2)

    asyncio.run(main())
    finding = watch.found()
    assert (finding.code, finding.severity, finding.runs_on) == ("US405", "error", "loop")
    assert finding.site is not None
    assert finding.site.call.endswith("getconn")


@pytest.mark.live
def test_everything_is_put_back(postgres: Postgres) -> None:
    before = methods(*PLACES)
    with ConnectionPool(postgres.dsn, min_size=1, max_size=1, name="psycopg back", open=True) as p:
        with watching() as watch:
            assert not set(methods(*PLACES)) & set(before)
            with p.connection():
                pass
        assert methods(*PLACES) == before
        with p.connection():
            pass
        assert watch.one("psycopg back").acquired == 1
