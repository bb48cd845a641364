"""asyncpg's pool on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextvars
import socket

import asyncpg
import asyncpg.pool
import pytest

import unstall
from tests.support.gates import Watching, methods, watching
from tests.support.postgres import Postgres
from unstall.gates.registry import Thinning

PLACES = [
    (asyncpg.pool.Pool, "_acquire"),
    (asyncpg.pool.PoolConnectionHolder, "acquire"),
    (asyncpg.pool.PoolConnectionHolder, "connect"),
    (asyncpg.pool.PoolConnectionHolder, "_release"),
]


@pytest.mark.live
def test_contention_is_told_as_wait_and_hold(postgres: Postgres, watch: Watching) -> None:
    async def use(pool: asyncpg.Pool, seconds: float) -> None:
        async with pool.acquire():
            await asyncio.sleep(seconds)

    async def main() -> None:
        async with asyncpg.create_pool(postgres.dsn, min_size=0, max_size=1) as pool:
            unstall.gate(pool, name="asyncpg contention")
            await asyncio.gather(*(use(pool, 0.2) for _ in range(3)))
            seen = watch.one("asyncpg contention")
            assert (seen.kind, seen.limit, seen.used, seen.pending) == ("asyncpg", 1, 0, 0)
            assert (seen.acquired, seen.returned, seen.created) == (3, 3, 1)
            assert 0.58 < seen.wait_s < 60  # 0, 0.2 and 0.4 s
            assert 0.58 < seen.use_s < 60

    asyncio.run(main())
    assert watch.findings == []


@pytest.mark.live
def test_who_waits_is_seen_and_a_time_out_is_counted(postgres: Postgres, watch: Watching) -> None:
    async def main() -> None:
        async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1) as pool:
            unstall.gate(pool, name="asyncpg time-out")
            async with pool.acquire():
                waiter = asyncio.create_task(pool._acquire(0.3))
                while not (seen := watch.one("asyncpg time-out")).pending:
                    await asyncio.sleep(0)
                assert (seen.pending, seen.used, seen.idle) == (1, 1, 0)
                with pytest.raises(TimeoutError):
                    await waiter
            seen = watch.one("asyncpg time-out")
            assert (seen.pending, seen.used, seen.idle, seen.timeouts) == (0, 0, 1, 1)

    asyncio.run(main())


@pytest.mark.live
def test_a_database_that_does_not_answer_is_no_time_out_of_the_pool(watch: Watching) -> None:
    async def main(port: int) -> None:
        dsn = f"postgresql://nobody:secret@127.0.0.1:{port}/none"
        pool = await asyncpg.create_pool(dsn, min_size=0, max_size=1)
        with pytest.raises(TimeoutError):
            await pool.acquire(timeout=0.2)
        pool.terminate()
        seen = watch.one(f"postgresql://127.0.0.1:{port}/none")
        assert (seen.timeouts, seen.acquired, seen.pending, seen.used) == (0, 0, 0, 0)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(main(silent.getsockname()[1]))


@pytest.mark.live
def test_a_pool_is_named_after_its_database(postgres: Postgres, watch: Watching) -> None:
    async def main() -> None:
        async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=2) as pool:
            await pool.fetchval("select 1")
            names = {s.name for s in watch.gates.statistics() if s.kind == "asyncpg"}
            assert f"postgresql://127.0.0.1:{postgres.port}/postgres" in names

    asyncio.run(main())


@pytest.mark.live
def test_a_second_slot_is_reported_before_the_deadlock(postgres: Postgres, watch: Watching) -> None:
    async def create(pool: asyncpg.Pool) -> None:
        async with pool.acquire():
            await asyncio.wait_for(pool.fetchval("select 1"), 30)

    async def main() -> None:
        async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1) as pool:
            unstall.gate(pool, name="asyncpg nested")
            request = asyncio.create_task(create(pool))
            async with asyncio.timeout(30):
                while not watch.findings:
                    await asyncio.sleep(0.01)
            assert not request.done()  # it hangs, and we know already
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)

    asyncio.run(main())
    finding = watch.found()
    assert finding.code == "US405"
    assert finding.site is not None
    assert finding.site.file.endswith("test_asyncpg.py")
    assert finding.site.function.endswith("create")
    because = finding.evidence[0].because or ""
    assert "the only slot of asyncpg nested" in because
    assert f"taken at {finding.site.file}:" in because


@pytest.mark.live
def test_nothing_is_counted_for_a_pool_that_nobody_uses(
    postgres: Postgres, watch: Watching
) -> None:
    async def main() -> None:
        async with asyncpg.create_pool(postgres.dsn, min_size=2, max_size=2) as pool:
            unstall.gate(pool, name="asyncpg idle")
            await asyncio.sleep(0.05)
            seen = watch.one("asyncpg idle")
            assert (seen.idle, seen.used, seen.limit) == (2, 0, 2)
            assert (seen.acquired, seen.returned, seen.timeouts, seen.pending) == (0, 0, 0, 0)

    asyncio.run(main())


@pytest.mark.live
def test_a_pool_made_before_is_seen_and_everything_is_put_back(postgres: Postgres) -> None:
    before = methods(*PLACES)

    async def main() -> None:
        async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1) as pool:
            with watching() as watch:
                assert methods(*PLACES) != before
                unstall.gate(pool, name="asyncpg before")
                await pool.fetchval("select 1")
                assert watch.one("asyncpg before").acquired == 1
            assert methods(*PLACES) == before
            await pool.fetchval("select 1")
            assert watch.one("asyncpg before").acquired == 1

    asyncio.run(main())


@pytest.mark.live
def test_who_goes_by_unseen_is_not_counted_and_whose_time_is_out_is(
    postgres: Postgres, watch: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1) as pool:
            unstall.gate(pool, name="asyncpg rush")
            monkeypatch.setattr(Thinning, "passes", lambda self, now: True)
            async with pool.acquire():
                with pytest.raises(TimeoutError):
                    await pool.acquire(timeout=0.05)
            await pool.fetchval("select 1")
            seen = watch.one("asyncpg rush")
            assert (seen.acquired, seen.timeouts, seen.pending) == (0, 1, 0)
            monkeypatch.undo()
            await pool.fetchval("select 1")
            assert watch.one("asyncpg rush").acquired == 1

    contextvars.Context().run(asyncio.run, main())  # of no flow that holds a slot
