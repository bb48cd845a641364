"""Pools that survive their server."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import psycopg
import pytest
from psycopg_pool import PoolTimeout, TooManyRequests
from sqlalchemy import text

from tally import db
from tally.settings import Settings
from tally.stack.postgres import Postgres

pytestmark = pytest.mark.live

WAIT_S = 60.0


async def ask(pool: db.Pool, question: str = "SELECT 1") -> object:
    async with pool.connection() as connection:
        row = await (await connection.execute(question.encode())).fetchone()
        assert row is not None
        return row[0]


async def ask_until_it_answers(pool: db.Pool) -> int:
    """How often it had to be asked."""
    for tries in range(1, 1000):
        try:
            await ask(pool)
            return tries
        except (psycopg.OperationalError, PoolTimeout):
            await asyncio.sleep(0.05)
    raise AssertionError("it never came back")


def test_every_wait_has_a_bound(settings: Settings) -> None:
    async def main() -> None:
        settings_ = replace(settings, statement_s=0.2, acquire_s=1.0, pool_size=2, pool_waiting=1)
        async with db.async_pool(settings_) as pool:
            assert await ask(pool, "SHOW statement_timeout") == "200ms"
            with pytest.raises(psycopg.errors.QueryCanceled):
                await ask(pool, "SELECT pg_sleep(60)")
            async with pool.connection(), pool.connection():
                waiting = asyncio.create_task(ask(pool))
                await asyncio.sleep(0)
                with pytest.raises(TooManyRequests):
                    await ask(pool)
                with pytest.raises(PoolTimeout):
                    await waiting

    asyncio.run(main())


def test_the_synchronous_engine_has_the_same_bounds(settings: Settings) -> None:
    engine = db.engine(replace(settings, statement_s=0.2, pool_size=3))
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "200ms"
        assert connection.scalar(text("SHOW application_name")) == "tally"
    assert engine.pool.size() == 3  # type: ignore[attr-defined]
    engine.dispose()


def test_options_of_the_url_stay(settings: Settings) -> None:
    given = replace(settings, database_url=f"{settings.database_url}?options=-c%20work_mem%3D8MB")
    with psycopg.connect(db.conninfo(given)) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("8MB",)
        assert connection.execute("SHOW statement_timeout").fetchone() == ("5s",)


def test_a_pool_survives_a_restart_and_nobody_gets_a_dead_connection(own: Postgres) -> None:
    async def main() -> None:
        settings = Settings(own.url, pool_size=4)
        async with db.async_pool(settings) as pool:
            connections = [await pool.getconn() for _ in range(4)]
            for connection in connections:
                await pool.putconn(connection)
            for end in (own.stop, own.kill):
                before = own.pid
                end()
                own.start()
                assert own.pid != before
                # Not one of the four dead connections is given to anybody.
                assert await ask_until_it_answers(pool) == 1

    asyncio.run(main())


def test_who_leaves_while_the_dead_are_sorted_out_takes_no_slot_with_them(own: Postgres) -> None:
    async def main() -> None:
        async with db.async_pool(Settings(own.url, pool_size=3, acquire_s=WAIT_S)) as pool:
            for connection in [await pool.getconn() for _ in range(3)]:
                await pool.putconn(connection)
            own.restart()
            for turns in range(6):
                asking = asyncio.create_task(ask(pool))
                for _ in range(turns):
                    await asyncio.sleep(0)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
            together = [await pool.getconn() for _ in range(3)]
            for connection in together:
                await pool.putconn(connection)

    asyncio.run(main())


def test_a_pool_that_found_nobody_works_as_soon_as_somebody_is_there(own: Postgres) -> None:
    async def main() -> None:
        settings = Settings(own.url, acquire_s=0.2)
        own.stop()
        pool = db.async_pool(settings)
        await pool.open()
        with pytest.raises(PoolTimeout):
            await ask(pool)
        own.start()
        await ask_until_it_answers(pool)
        await pool.close()

    asyncio.run(main())


def test_of_several_hosts_the_one_that_takes_writes_is_used(
    own: Postgres, settings: Settings
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused
        hosts = f"127.0.0.1:{nobody.getsockname()[1]},127.0.0.1:{own.port}"
        several = replace(settings, database_url=f"postgresql://postgres@{hosts}/postgres")

        async def main() -> None:
            async with db.async_pool(several) as pool:
                assert await ask(pool, "SHOW port") == str(own.port)
                read_only(own, True)
                try:
                    with pytest.raises(psycopg.OperationalError, match="read-only"):
                        await psycopg.AsyncConnection.connect(db.conninfo(several))
                finally:
                    read_only(own, False)

        asyncio.run(main())
        engine = db.engine(several)
        with engine.connect() as connection:
            assert connection.scalar(text("SHOW port")) == str(own.port)
        engine.dispose()


def test_when_one_address_goes_the_pool_moves_to_the_other(
    own: Postgres, postgres: Postgres
) -> None:
    hosts = f"127.0.0.1:{own.port},127.0.0.1:{postgres.port}"
    several = Settings(f"postgresql://postgres@{hosts}/postgres")

    async def main() -> None:
        async with db.async_pool(several) as pool:
            assert await ask(pool, "SHOW port") == str(own.port)
            own.kill()
            try:
                assert await ask(pool, "SHOW port") == str(postgres.port)
            finally:
                own.start()

    asyncio.run(main())


def read_only(server: Postgres, on: bool) -> None:
    """As a standby is: connections that want to write go elsewhere."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {on}".encode())
        connection.execute("SELECT pg_reload_conf()")
    for _ in range(1000):
        with psycopg.connect(server.url) as connection:
            row = connection.execute("SHOW default_transaction_read_only").fetchone()
            if row == ("on" if on else "off",):
                return
    raise AssertionError("the setting was not taken")
