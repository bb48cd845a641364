"""Drivers against real servers: caught while they are fast; their asynchronous twins are not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg
import psycopg2
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from tests.support.postgres import Postgres
from tests.support.trapped import codes, trapped

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def old(postgres: Postgres) -> Any:
    """Connections that were there before the trap."""
    engine = sqlalchemy.create_engine(postgres.dsn.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
    kept = SimpleNamespace(
        psycopg2=psycopg2.connect(postgres.dsn),
        psycopg=psycopg.connect(postgres.dsn),
        engine=engine,
    )
    yield kept
    kept.psycopg2.close()
    kept.psycopg.close()
    engine.dispose()


def sites(work: Callable[[], Any], **options: Any) -> list[tuple[str, str]]:
    found = trapped(work, **options)
    assert all(
        each.site is not None and each.site.file.endswith("test_drivers.py") for each in found
    )
    return [(each.code, each.site.call) for each in found if each.site is not None]


def test_psycopg2_on_a_connection_that_was_there_before(old: Any) -> None:
    def ask() -> None:
        cursor = old.psycopg2.cursor()
        cursor.execute("select 1")
        old.psycopg2.rollback()

    expected = [("US103", "psycopg2.extensions.cursor.execute")]
    if sys.version_info >= (3, 12):
        expected.append(("US103", "psycopg2.extensions.connection.rollback"))
    assert sites(ask) == expected


def test_psycopg2_on_a_connection_of_its_own(postgres: Postgres) -> None:
    def ask() -> None:
        connection = psycopg2.connect(postgres.dsn)
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        connection.close()

    found = sites(ask)
    assert ("US103", "psycopg2.connect") in found
    assert ("US103", "psycopg2.extensions.cursor.execute") in found
    assert len(found) == 2


def test_psycopg_in_both_ways(old: Any, postgres: Postgres) -> None:
    def ask() -> None:
        old.psycopg.execute("select 1")
        psycopg.connect(postgres.dsn).close()

    assert [code for code, _ in sites(ask)] == ["US103", "US103"]


def test_sqlalchemy_above_them(old: Any) -> None:
    def ask() -> None:
        with Session(old.engine) as session:
            session.execute(sqlalchemy.text("select 1"))

    found = sites(ask)
    assert {code for code, _ in found} == {"US103"}
    assert "sqlalchemy.orm.session.Session.execute" in [call for _, call in found]


def test_the_asynchronous_twins_are_silent(postgres: Postgres) -> None:
    async def ask() -> None:
        async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
            await connection.execute("select 1")
        engine = create_async_engine(postgres.dsn.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as connected:
            await connected.execute(sqlalchemy.text("select 1"))
        await engine.dispose()

    assert codes(trapped(ask)) == []


def test_nor_is_a_thread_that_asks(old: Any) -> None:
    def ask() -> None:
        old.psycopg2.cursor().execute("select 1")
        old.psycopg.execute("select 1")

    assert codes(trapped(lambda: asyncio.to_thread(ask))) == []


def test_requests_and_redis_by_their_own_names(postgres: Postgres) -> None:
    redis = pytest.importorskip("redis")
    requests = pytest.importorskip("requests")

    def ask() -> None:
        with pytest.raises(redis.ConnectionError):
            redis.Redis(port=1, retry=None).ping()
        with pytest.raises(requests.ConnectionError):
            requests.get("http://127.0.0.1:1/", timeout=1)

    assert sorted(code for code, _ in sites(ask)) == ["US102", "US104"]
