"""The worker as a process: killed in the middle, told to stop, without a database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

from tally.schema import migrate
from tally.settings import Settings
from tally.stack import Stack
from tally.worker import records, service
from tally.worker.contents import Kind
from tally.worker.records import KIND, State, Upload
from tally.worker.service import Chore, again_and_again, lately
from tests.reference.tally.events import text_of
from tests.reference.tally.worker.archives import ndjson

CHUNKS = 20
TOTALS = """
SELECT lines, accepted, duplicates, rejected, (SELECT count(*) FROM events),
    (SELECT sum(count) FROM rollup_minute), (SELECT sum(count) FROM rollup_hour),
    (SELECT sum(events) FROM usage_outbox)
FROM imports
"""


@contextmanager
def process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(
        [sys.executable, "-m", "tally", "worker"],
        env={
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "TALLY_SPOOL": str(settings.spool),
        },
        stderr=subprocess.PIPE,
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def wait_for(connection: psycopg.Connection, query: str, value: object) -> None:
    until = time.monotonic() + 60
    while (row := connection.execute(query.encode()).fetchone()) is None or row[0] != value:
        assert time.monotonic() < until, f"{query} is {row}"
        time.sleep(0.005)


async def uploaded(settings: Settings, lines: int) -> UUID:
    number = uuid4()

    async def chunks() -> AsyncIterator[bytes]:
        yield ndjson(text_of() for _ in range(lines))

    async with service.worker(settings) as worker:
        stored = await worker.imports.spool.store(number, chunks(), 10**9)
        async with worker.imports.pool.connection() as connection, connection.transaction():
            upload = Upload(number, 7, "e.ndjson", Kind.NDJSON, stored.size, stored.sha256)
            await records.create(connection, upload)
            await worker.jobs.enqueue(connection, KIND, {"import": str(number)})
    return number


@pytest.mark.live
@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(settings: Settings) -> None:
    lines = 500 * CHUNKS
    asyncio.run(uploaded(settings, lines))
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        with process(settings) as first:
            wait_for(connection, "SELECT lines >= 1000 FROM imports", True)
            first.kill()
            first.wait()
        row = connection.execute("SELECT state, lines FROM imports").fetchone()
        assert row is not None
        assert row[0] == State.LOADING
        assert row[1] < lines
        with process(settings):
            wait_for(connection, "SELECT state FROM imports", State.DONE)
        row = connection.execute(TOTALS).fetchone()
    assert row == (lines, lines, 0, 0, lines, lines, lines, lines)


@pytest.mark.live
@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_stops_by_itself(settings: Settings) -> None:
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        with process(settings) as worker:
            wait_for(connection, "SELECT count(*) FROM procrastinate_workers", 1)
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)
        assert worker.returncode == 0
        wait_for(connection, "SELECT count(*) FROM procrastinate_workers", 0)


@pytest.mark.live
@pytest.mark.slow
def test_a_worker_goes_on_after_its_sessions_were_ended(settings: Settings) -> None:
    with (
        psycopg.connect(settings.database_url, autocommit=True) as connection,
        process(settings),
    ):
        wait_for(connection, "SELECT count(*) FROM procrastinate_workers", 1)
        connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )
        asyncio.run(uploaded(settings, 10))
        wait_for(connection, "SELECT state FROM imports", State.DONE)


@pytest.mark.live
@pytest.mark.slow
def test_a_worker_goes_on_when_the_server_was_killed(tmp_path: Path) -> None:
    lines = 500 * CHUNKS
    with Stack(scratch=True) as stack:
        server = stack.postgres
        assert server is not None
        settings = Settings(server.url, spool=tmp_path / "spool")
        migrate.to(settings)
        asyncio.run(uploaded(settings, lines))
        with process(settings):
            for share in (1, 2):
                with psycopg.connect(server.url, autocommit=True) as connection:
                    wait_for(connection, f"SELECT lines >= {share * lines // 3} FROM imports", True)
                server.kill()
                server.start()
            with psycopg.connect(server.url, autocommit=True) as connection:
                wait_for(connection, "SELECT state FROM imports", State.DONE)
                row = connection.execute(TOTALS).fetchone()
    assert row == (lines, lines, 0, 0, lines, lines, lines, lines)


def test_what_goes_wrong_is_said_once_until_it_goes_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = iter([OSError("away"), OSError("away"), None, OSError("away"), ValueError("ours")])

    async def do() -> None:
        if (answer := next(answers, asyncio.CancelledError())) is not None:
            raise answer

    with (
        caplog.at_level(logging.WARNING, "tally.worker"),
        contextlib.suppress(asyncio.CancelledError),
    ):
        asyncio.run(again_and_again(Chore("upkeep", 0.0, do), cast(Any, None)))
    assert [record.message for record in caplog.records] == ["upkeep is put off: away"] * 2


def test_connections_to_a_server_that_was_made_a_standby_are_thrown_away() -> None:
    """Each of them looks well, and a job that is given one fails."""
    drained: list[str] = []
    errors: list[Exception] = [
        psycopg.errors.lookup("57P01")(),
        psycopg.errors.lookup("25006")(),
    ]

    class Pool:
        async def drain(self) -> None:
            drained.append(f"before {len(errors)} more")

    async def do() -> None:
        if not errors:
            raise asyncio.CancelledError
        raise errors.pop(0)

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(again_and_again(Chore("billing", 0.0, do), cast(Any, Pool())))
    assert drained == ["before 0 more"]


def test_rollups_of_whole_minutes_that_have_settled_are_compared() -> None:
    since, until = lately(datetime(2026, 11, 21, 14, 44, 59, tzinfo=UTC))
    assert (since.minute, until.minute) == (40, 42)
    assert (since.second, until.second) == (0, 0)
