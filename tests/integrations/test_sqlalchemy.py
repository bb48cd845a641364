"""SQLAlchemy's pools, synchronous and asynchronous, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from sqlalchemy import Engine, NullPool, QueuePool, create_engine, event, exc, text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import base

import unstall
from tests.support.gates import SOON_S, Watching, methods, until, watching
from tests.support.postgres import Postgres

PLACES = [
    *(
        (cls, n)
        for cls in (QueuePool, NullPool)
        for n in ("_do_get", "_do_return_conn", "recreate")
    ),
    (base._ConnectionRecord, "_ConnectionRecord__connect"),
]
ONE = text("select 1")


def _sync(postgres: Postgres, **options: object) -> Engine:
    return create_engine(_url(postgres, "psycopg2"), **options)


def _async(postgres: Postgres, driver: str = "asyncpg", **options: object) -> AsyncEngine:
    return create_async_engine(_url(postgres, driver), **options)


def _url(postgres: Postgres, driver: str) -> str:
    return postgres.dsn.replace("postgresql://postgres@", f"postgresql+{driver}://postgres:secret@")


@pytest.mark.live
def test_threads_that_contend_are_told_as_wait_and_hold(
    postgres: Postgres, watch: Watching
) -> None:
    engine = _sync(postgres, pool_size=1, max_overflow=0)
    unstall.gate(engine, name="engine threads")

    all_here = threading.Event()

    def use() -> None:
        with engine.connect() as connection:
            connection.execute(ONE)
            all_here.wait(SOON_S)
            time.sleep(0.2)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: watch.one("engine threads").pending == 2)
    all_here.set()
    for thread in threads:
        thread.join()
    seen = watch.one("engine threads")
    assert (seen.kind, seen.limit, seen.used, seen.idle) == ("sqlalchemy", 1, 0, 1)
    assert (seen.acquired, seen.returned, seen.created, seen.pending) == (3, 3, 1, 0)
    assert 0.58 < seen.wait_s < 60
    assert 0.58 < seen.use_s < 60
    assert watch.findings == []
    engine.dispose()


@pytest.mark.live
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_tasks_that_contend_are_told_as_wait_and_hold(
    driver: str, postgres: Postgres, watch: Watching
) -> None:
    name = f"async engine {driver}"

    async def main() -> None:
        engine = _async(postgres, driver, pool_size=1, max_overflow=0)
        unstall.gate(engine, name=name)
        session = async_sessionmaker(engine)

        async def use() -> None:
            async with session() as unit:
                await unit.execute(ONE)
                await asyncio.sleep(0.2)

        await asyncio.gather(use(), use(), use())
        seen = watch.one(name)
        assert (seen.limit, seen.used, seen.idle, seen.created) == (1, 0, 1, 1)
        assert (seen.acquired, seen.returned, seen.pending) == (3, 3, 0)
        assert 0.58 < seen.wait_s < 60
        assert 0.58 < seen.use_s < 60
        await engine.dispose()

    asyncio.run(main())
    assert watch.findings == []


@pytest.mark.live
def test_opening_a_connection_is_told_apart_from_the_wait(
    postgres: Postgres, watch: Watching
) -> None:
    engine = _sync(postgres, pool_size=1, max_overflow=0)
    unstall.gate(engine, name="engine slow connect")

    @event.listens_for(engine, "do_connect")
    def slow(*_: object) -> None:
        time.sleep(0.3)

    with engine.connect() as connection:
        connection.execute(ONE)
    seen = watch.one("engine slow connect")
    assert seen.create_s > 0.29
    assert seen.wait_s < seen.create_s
    engine.dispose()


@pytest.mark.live
def test_a_time_out_is_counted(postgres: Postgres, watch: Watching) -> None:
    engine = _sync(postgres, pool_size=1, max_overflow=0, pool_timeout=0.2)
    unstall.gate(engine, name="engine late")

    def late() -> None:
        with pytest.raises(exc.TimeoutError):
            engine.connect()

    with engine.connect():
        thread = threading.Thread(target=late)
        thread.start()
        thread.join()
    seen = watch.one("engine late")
    assert (seen.timeouts, seen.acquired, seen.returned) == (1, 2, 1)
    assert watch.findings == []
    engine.dispose()


@pytest.mark.live
def test_a_database_that_refuses_is_no_time_out(watch: Watching) -> None:
    engine = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    with pytest.raises(exc.OperationalError):
        engine.connect()
    seen = watch.one("postgresql://127.0.0.1:1/none")
    assert (seen.timeouts, seen.acquired, seen.pending, seen.used) == (0, 0, 0, 0)


@pytest.mark.live
def test_an_engine_is_named_after_its_database_and_keeps_the_name(
    postgres: Postgres, watch: Watching
) -> None:
    engine = _sync(postgres, pool_size=3, max_overflow=2)
    with engine.connect():
        (seen,) = [s for s in watch.gates.statistics() if s.kind == "sqlalchemy" and s.used]
    assert seen.name == f"postgresql://127.0.0.1:{postgres.port}/postgres"
    assert seen.limit == 5
    unstall.gate(engine, name="engine kept")
    engine.dispose()
    with engine.connect():
        assert [s.used for s in watch.gates.statistics() if s.name == "engine kept"][-1] == 1
    engine.dispose()


@pytest.mark.live
@pytest.mark.parametrize(
    "options", [{"poolclass": NullPool}, {"pool_size": 0}, {"max_overflow": -1}]
)
def test_a_pool_without_limit_says_so_and_deadlocks_nobody(
    options: dict[str, object], postgres: Postgres, watch: Watching
) -> None:
    engine = _sync(postgres, **options)
    name = f"engine {sorted(options)}"
    unstall.gate(engine, name=name)
    with engine.connect() as one, engine.connect():
        one.execute(ONE)
        seen = watch.one(name)
        assert (seen.limit, seen.used) == (None, 2)
    seen = watch.one(name)
    assert (seen.used, seen.returned, seen.created, seen.nested) == (0, 2, 2, 0)
    assert watch.findings == []
    engine.dispose()


@pytest.mark.live
def test_a_second_session_of_one_request_is_reported(postgres: Postgres, watch: Watching) -> None:
    async def audit(engine: AsyncEngine) -> None:
        async with engine.connect():
            pass

    async def main() -> None:
        engine = _async(postgres, pool_size=1, max_overflow=0, pool_timeout=0.2)
        unstall.gate(engine, name="engine nested")
        async with engine.connect():
            with pytest.raises(exc.TimeoutError):
                await audit(engine)
        await engine.dispose()

    asyncio.run(main())
    finding = watch.found()
    assert finding.site is not None
    assert finding.site.function.endswith("audit")
    assert "the only slot of engine nested" in (finding.evidence[0].because or "")
    assert "test_sqlalchemy.py:" in (finding.evidence[0].because or "")


@pytest.mark.live
def test_everything_is_put_back(postgres: Postgres) -> None:
    before = methods(*PLACES)
    engine = _sync(postgres)
    with watching() as watch:
        assert not set(methods(*PLACES)) & set(before)
        unstall.gate(engine, name="engine back")
        with engine.connect():
            pass
    assert methods(*PLACES) == before
    with engine.connect():
        pass
    assert watch.one("engine back").acquired == 1
    engine.dispose()
