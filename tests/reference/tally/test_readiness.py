"""When a service says that it is ready, and when it refuses to start."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tally.db import async_pool
from tally.readiness import Readiness
from tally.schema.migrate import to
from tally.schema.revisions import NewerSchema, SchemaError
from tally.settings import Settings
from tests.support.postgres import Postgres

pytestmark = pytest.mark.live

WAIT_S = 60.0


async def becomes(readiness: Readiness, ready: bool) -> None:
    async with asyncio.timeout(WAIT_S):
        while readiness.state.ready is not ready:
            await asyncio.sleep(0.01)


def test_a_service_is_ready_when_its_database_is(
    own: Postgres, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tally.readiness.READY_S", 0.02)
    settings = Settings(own.url)
    to(settings)

    async def main() -> None:
        readiness = Readiness(settings)
        own.stop()
        await readiness.start()
        assert not readiness.state.ready
        assert "waiting for PostgreSQL: " in readiness.state.reason
        assert "\n" not in readiness.state.reason
        own.start()
        await becomes(readiness, True)
        own.kill()
        await becomes(readiness, False)
        own.start()
        await becomes(readiness, True)
        await readiness.stop()

    asyncio.run(main())
    said = [record.getMessage() for record in caplog.records if record.name == "tally"]
    assert sum("waiting for PostgreSQL" in each for each in said) <= 4, "not once for each look"


def test_a_service_refuses_a_database_without_migrations(empty: Settings) -> None:
    async def main() -> None:
        pool = async_pool(empty)
        await pool.open()
        with pytest.raises(SchemaError, match="run `tally migrate`"):
            await Readiness(empty, pool).start()
        assert pool.closed, "a pool that still connects keeps the process from ending"

    asyncio.run(main())


def test_where_somebody_else_migrates_it_waits(empty: Settings) -> None:
    async def main() -> None:
        readiness = Readiness(replace(empty, schema_wait_s=WAIT_S))
        starting = asyncio.create_task(readiness.start())
        while "run `tally migrate`" not in readiness.state.reason:
            await asyncio.sleep(0.01)
        assert not starting.done()
        await asyncio.to_thread(to, empty)
        await starting
        assert readiness.state.ready
        await readiness.stop()

    asyncio.run(main())


def test_who_runs_goes_on_when_a_later_release_migrates_and_who_starts_then_refuses(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tally.readiness.READY_S", 0.02)

    async def main() -> None:
        running = Readiness(settings)
        await running.start()
        async with async_pool(settings) as pool, pool.connection() as connection:
            await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        async with asyncio.timeout(WAIT_S):
            while "goes on until it is replaced" not in caplog.text:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert running.state.ready
        with pytest.raises(NewerSchema, match="deploy a newer tally"):
            await Readiness(settings).start()
        await running.stop()

    asyncio.run(main())
    assert caplog.text.count("goes on until it is replaced") == 1


def test_a_server_that_hangs_is_told_of_before_the_question_is_broken_off(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg asks the server to cancel, and waits for that, too."""
    monkeypatch.setattr("tally.readiness.READY_S", 0.02)

    async def main() -> None:
        readiness = Readiness(settings)
        await readiness.start()
        assert readiness.state.ready
        broken_off = asyncio.Event()

        async def ask() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await broken_off.wait()

        monkeypatch.setattr(readiness, "_ask", ask)
        monkeypatch.setattr("tally.readiness.ANSWER_S", 0.05)
        await becomes(readiness, False)
        assert readiness.state.reason == "waiting for PostgreSQL: no answer within 0.05 s"
        monkeypatch.undo()
        broken_off.set()
        await becomes(readiness, True)
        await readiness.stop()

    asyncio.run(main())
