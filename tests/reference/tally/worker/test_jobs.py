"""Jobs run, run again, and are not lost, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from procrastinate.jobs import Job

from tally.worker import jobs as module
from tally.worker.jobs import Handler, Payload, PostgresJobs, Status
from tests.reference.tally.worker.conftest import OpenPool, Pool

pytestmark = pytest.mark.live

KIND = "greet"


class Notes:
    """A handler that writes down what it is asked, and fails as often as it is told."""

    def __init__(self, failures: int = 0, *, hold: bool = False) -> None:
        self.ran: list[Payload] = []
        self.gave_up: list[tuple[Payload, str]] = []
        self.did = asyncio.Event()
        self.failures = failures
        self.hold = hold

    async def run(self, payload: Payload) -> None:
        self.ran.append(payload)
        self.did.set()
        if self.hold:
            await asyncio.Event().wait()
        if len(self.ran) <= self.failures:
            raise RuntimeError(f"failure {len(self.ran)}")

    async def give_up(self, payload: Payload, reason: str) -> None:
        self.gave_up.append((payload, reason))
        self.did.set()


@asynccontextmanager
async def working(jobs: PostgresJobs, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(jobs.run(handlers, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def until(jobs: PostgresJobs, number: int, status: Status) -> None:
    async with asyncio.timeout(20):
        while await jobs.status(number) is not status:
            await asyncio.sleep(0.02)


async def enqueued(jobs: PostgresJobs, pool: Pool, **more: Any) -> int | None:
    async with pool.connection() as connection, connection.transaction():
        return await jobs.enqueue(connection, KIND, {"name": "Ada"}, **more)


def fast(pool: Pool) -> PostgresJobs:
    return PostgresJobs(pool, beat_s=0.1, dead_after_s=0.5)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0)
    monkeypatch.setattr(module, "PAUSE_S", 0.05)


def test_a_job_runs_with_what_it_was_given(open_pool: OpenPool) -> None:
    async def main() -> None:
        notes = Notes()
        async with open_pool() as pool:
            jobs = fast(pool)
            async with working(jobs, {KIND: notes}):
                number = await enqueued(jobs, pool)
                assert number is not None
                await until(jobs, number, Status.DONE)
        assert notes.ran == [{"name": "Ada"}]

    asyncio.run(main())


def test_a_job_comes_and_goes_with_the_transaction(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            jobs = fast(pool)
            async with (
                pool.connection() as connection,
                connection.transaction(force_rollback=True),
            ):
                number = await jobs.enqueue(connection, KIND, {})
            assert number is not None
            assert await jobs.status(number) is None

    asyncio.run(main())


def test_one_key_waits_once_and_spoils_nothing(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            jobs = fast(pool)
            async with pool.connection() as connection, connection.transaction():
                first = await jobs.enqueue(connection, KIND, {}, key="nightly")
                assert await jobs.enqueue(connection, KIND, {}, key="nightly") is None
                other = await jobs.enqueue(connection, KIND, {}, key="hourly")
            assert first is not None
            assert other is not None
            assert [await jobs.status(each) for each in (first, other)] == [Status.WAITING] * 2

    asyncio.run(main())


def test_one_that_fails_runs_again(open_pool: OpenPool) -> None:
    async def main() -> None:
        notes = Notes(failures=2)
        async with open_pool() as pool:
            jobs = fast(pool)
            async with working(jobs, {KIND: notes}):
                number = await enqueued(jobs, pool)
                assert number is not None
                await until(jobs, number, Status.DONE)
        assert len(notes.ran) == 3
        assert notes.gave_up == []

    asyncio.run(main())


def test_one_that_fails_too_often_is_given_up_and_can_be_asked_for_again(
    open_pool: OpenPool,
) -> None:
    async def main() -> None:
        notes = Notes(failures=module.MOST_ATTEMPTS)
        async with open_pool() as pool:
            jobs = fast(pool)
            async with working(jobs, {KIND: notes}):
                number = await enqueued(jobs, pool)
                assert number is not None
                await until(jobs, number, Status.FAILED)
                last = f"RuntimeError: failure {module.MOST_ATTEMPTS}"
                assert notes.gave_up == [({"name": "Ada"}, last)]
                assert not await jobs.retry(number + 1)
                assert await jobs.retry(number)
                await until(jobs, number, Status.DONE)
                assert not await jobs.retry(number)

    asyncio.run(main())


def test_a_job_does_not_end_before_its_handler_knows(open_pool: OpenPool) -> None:
    class Deaf(Notes):
        deaf = True

        async def give_up(self, payload: Payload, reason: str) -> None:
            if self.deaf:
                self.deaf = False
                raise OSError("the database is away")
            await super().give_up(payload, reason)

    async def main() -> None:
        notes = Deaf(failures=100)
        async with open_pool() as pool:
            jobs = fast(pool)
            async with working(jobs, {KIND: notes}):
                number = await enqueued(jobs, pool)
                assert number is not None
                await until(jobs, number, Status.FAILED)
        assert len(notes.gave_up) == 1
        assert len(notes.ran) == module.MOST_ATTEMPTS + 1

    asyncio.run(main())


def test_the_job_of_a_dead_worker_is_run_by_another(open_pool: OpenPool) -> None:
    async def main() -> None:
        notes = Notes()
        async with open_pool() as pool:
            jobs = fast(pool)
            number = await taken_by_the_dead(jobs, pool)
            async with working(jobs, {KIND: notes}):
                await until(jobs, number, Status.DONE)
        assert len(notes.ran) == 1

    asyncio.run(main())


def test_one_that_kills_its_workers_is_given_up(open_pool: OpenPool) -> None:
    async def main() -> None:
        notes = Notes()
        async with open_pool() as pool:
            jobs = fast(pool)
            number = await taken_by_the_dead(jobs, pool, attempts=module.MOST_ATTEMPTS - 1)
            async with working(jobs, {KIND: notes}):
                await until(jobs, number, Status.FAILED)
        assert notes.ran == []
        assert [reason for _, reason in notes.gave_up] == ["its worker died again and again"]

    asyncio.run(main())


async def taken_by_the_dead(jobs: PostgresJobs, pool: Pool, attempts: int = 0) -> int:
    number = await enqueued(jobs, pool)
    assert number is not None
    async with pool.connection() as connection:
        cursor = await connection.execute(
            """INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')
            RETURNING id"""
        )
        row = await cursor.fetchone()
        assert row is not None
        await connection.execute(
            """UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s, attempts = %s
            WHERE id = %s""",
            (row[0], attempts, number),
        )
    return number


def test_one_whose_end_could_not_be_written_down_runs_again(open_pool: OpenPool) -> None:
    async def main() -> None:
        notes = Notes()
        async with open_pool() as pool:
            jobs = fast(pool)
            async with working(jobs, {KIND: notes}):
                number = await enqueued(jobs, pool)
                assert number is not None
                await until(jobs, number, Status.DONE)
                async with pool.connection() as connection:  # as if the server had been away then
                    await connection.execute(
                        "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", (number,)
                    )
                await until(jobs, number, Status.DONE)
        assert len(notes.ran) == 2

    asyncio.run(main())


def test_a_worker_that_is_told_to_stop_hands_its_job_on(open_pool: OpenPool) -> None:
    async def main() -> None:
        held, notes = Notes(hold=True), Notes()
        async with open_pool() as pool:
            jobs = PostgresJobs(pool, beat_s=0.1, dead_after_s=0.2)
            async with working(jobs, {KIND: held}):
                number = await enqueued(jobs, pool)
                assert number is not None
                await held.did.wait()
            assert await jobs.status(number) is Status.WAITING
            other = fast(pool)
            async with working(other, {KIND: notes}):
                await until(other, number, Status.DONE)
        assert len(notes.ran) == 1

    asyncio.run(main())


def test_who_is_cut_off_is_not_to_blame() -> None:
    job = Job(
        id=1,
        queue=module.QUEUE,
        lock=None,
        queueing_lock=None,
        task_name=KIND,
        attempts=module.MOST_ATTEMPTS,
    )
    later = module._Later()
    assert later.get_retry_decision(exception=ValueError(), job=job) is None
    assert later.get_retry_decision(exception=asyncio.CancelledError(), job=job) is not None


def test_sessions_that_the_server_ends_are_made_anew(open_pool: OpenPool) -> None:
    async def main() -> None:
        notes = Notes()
        async with open_pool() as pool:
            jobs = fast(pool)
            async with working(jobs, {KIND: notes}):
                first = await enqueued(jobs, pool)
                assert first is not None
                await until(jobs, first, Status.DONE)
                async with pool.connection() as connection:
                    await connection.execute(
                        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND pid <> pg_backend_pid()"""
                    )
                    second = await jobs.enqueue(connection, KIND, {})
                assert second is not None
                await until(jobs, second, Status.DONE)

    asyncio.run(main())
