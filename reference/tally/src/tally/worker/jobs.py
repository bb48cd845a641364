"""Background jobs on the PostgreSQL that is there anyway, behind four methods.

A job is a row. Whoever needs work done later enqueues it in the transaction of the row that the work
is about, so there is never one without the other, and no second system to lose it. The engine is
procrastinate; nothing outside this module knows that.

A job runs at least once: its worker may die at any line. So a handler must be able to run again, and
even beside itself: a worker that was cut off from the database counts as dead and may be alive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Any, Protocol

from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, ProcrastinateException
from procrastinate.jobs import Job
from procrastinate.jobs import Status as Stored
from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

logger = logging.getLogger("tally.jobs")

Payload = Mapping[str, Any]
"""What JSON can hold."""

QUEUE = "tally"
MOST_ATTEMPTS = 10
"""Over four minutes: what a job needs may have to restart."""
LONGEST_WAIT_S = 60
PAUSE_S = 1.0
"""Between attempts to reach a database that is away."""
KEPT_H = 72
"""How long a job that is done can be asked for."""
SWEEPS = 900
"""Sweeps for lost jobs between two sweeps for old ones."""


class Status(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


_STATUS = {
    Stored("todo"): Status.WAITING,
    Stored.DOING: Status.RUNNING,
    Stored.ABORTING: Status.RUNNING,
    Stored.SUCCEEDED: Status.DONE,
}
"""Everything else has come to a bad end."""


class Handler(Protocol):
    """What one kind of job does."""

    async def run(self, payload: Payload) -> None:
        """Does the work. Whatever it raises makes it run again, later."""

    async def give_up(self, payload: Payload, reason: str) -> None:
        """It failed or killed its worker too often and will not run again."""


class Jobs(Protocol):
    async def enqueue(
        self,
        connection: AsyncConnection[Any],
        kind: str,
        payload: Payload,
        *,
        key: str | None = None,
    ) -> int | None:
        """In the transaction of `connection`: the job's number, or None if one with `key` is waiting."""

    async def run(self, handlers: Mapping[str, Handler], stop: asyncio.Event) -> None:
        """Works until `stop` is set, through whatever happens to the database."""

    async def status(self, number: int) -> Status | None: ...

    async def retry(self, number: int) -> bool:
        """Lets a job that failed run again; False if there is none."""


@dataclass(slots=True)
class PostgresJobs:
    """Jobs in the database of `pool`.

    `slots` jobs run at once. A worker gives a sign of life every `beat_s` seconds; after `dead_after_s`
    without one its jobs are given to others.
    """

    pool: AsyncConnectionPool[Any]
    slots: int = 2
    beat_s: float = 2.0
    dead_after_s: float = 10.0
    _app: App = field(init=False)
    _running: set[int] = field(init=False, default_factory=set)
    _worker: int | None = field(init=False, default=None)
    _away: bool = field(init=False, default=False)
    """Whether it was said that the database is."""

    def __post_init__(self) -> None:
        self._app = App(connector=PsycopgConnector())

    async def enqueue(
        self,
        connection: AsyncConnection[Any],
        kind: str,
        payload: Payload,
        *,
        key: str | None = None,
    ) -> int | None:
        deferrer = self._app.configure_task(
            kind, queue=QUEUE, queueing_lock=key, connection=connection
        )
        try:
            async with connection.transaction():  # a savepoint: a key that waits already must not
                return await deferrer.defer_async(**payload)  # spoil what else the caller wrote
        except AlreadyEnqueued:
            return None
        except (
            ConnectorException
        ) as error:  # the transaction is the caller's, and so are its errors
            raise error.__cause__ or error from None

    async def status(self, number: int) -> Status | None:
        await self._open()
        async with self.pool.connection() as connection:
            found = await connection.execute(
                "SELECT status::text FROM procrastinate_jobs WHERE id = %s", (number,)
            )
            row = await found.fetchone()
        return _STATUS.get(Stored(row[0]), Status.FAILED) if row else None

    async def retry(self, number: int) -> bool:
        await self._open()
        found = list(await self._app.job_manager.list_jobs_async(id=number))
        if not found or _STATUS.get(Stored(found[0].status)) is not None:
            return False
        await self._app.job_manager.retry_job(found[0], retry_at=datetime.now(UTC))
        return True

    async def run(self, handlers: Mapping[str, Handler], stop: asyncio.Event) -> None:
        for kind, handler in handlers.items():
            self._register(kind, handler)
        while not stop.is_set():
            try:
                await self._open()
                await self._work(handlers, stop)
            except (ProcrastinateException, OperationalError, PoolTimeout, OSError) as error:
                if not self._away:
                    self._away = True
                    logger.warning("jobs wait: the database is away (%s)", error)
            if not stop.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), PAUSE_S)

    async def _open(self) -> None:
        await self._app.open_async(self.pool)

    def _register(self, kind: str, handler: Handler) -> None:
        async def task(context: JobContext, /, **payload: Any) -> None:
            number = context.job.id
            assert number is not None
            self._worker = context.job.worker_id
            self._running.add(number)
            try:
                await handler.run(payload)
            except Exception as error:
                if context.job.attempts + 1 >= MOST_ATTEMPTS:
                    await _give_up(handler, payload, f"{type(error).__name__}: {error}")
                raise
            finally:
                self._running.discard(number)

        self._app.task(name=kind, queue=QUEUE, pass_context=True, retry=_Later())(task)

    async def _work(self, handlers: Mapping[str, Handler], stop: asyncio.Event) -> None:
        """Until told to stop, or until the engine has lost the database and given up."""
        engine = asyncio.create_task(
            self._app.run_worker_async(
                queues=[QUEUE],
                concurrency=self.slots,
                install_signal_handlers=False,
                fetch_job_polling_interval=self.beat_s,  # of jobs that run again nobody is told
                update_heartbeat_interval=self.beat_s,
                stalled_worker_timeout=self.dead_after_s,
                shutdown_graceful_timeout=self.dead_after_s,
            )
        )
        sweeper = asyncio.create_task(self._sweep_again_and_again(handlers))
        told = asyncio.create_task(stop.wait())
        tasks = (engine, sweeper, told)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()  # the engine takes this as a request to finish what it runs
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ended:
            if isinstance(end, Exception):
                raise end

    async def _sweep_again_and_again(self, handlers: Mapping[str, Handler]) -> None:
        lost: set[int] = set()
        for sweep in count():
            await asyncio.sleep(self.beat_s)
            if sweep % SWEEPS == 0:
                await self._app.job_manager.delete_old_jobs(KEPT_H, queue=QUEUE)
            for job in await self._app.job_manager.get_stalled_jobs(
                queue=QUEUE, seconds_since_heartbeat=self.dead_after_s
            ):
                await self._rescue(job, handlers)
            lost = await self._rescue_lost(lost, handlers)
            self._away = False

    async def _rescue_lost(self, before: set[int], handlers: Mapping[str, Handler]) -> set[int]:
        """Jobs that are ours and that nobody here runs: their end could not be written down.

        One that is seen twice is rescued; once may be a job that is just beginning or ending.
        """
        if self._worker is None:
            return set()
        ours = await self._app.job_manager.list_jobs_async(
            worker_id=self._worker, status=Stored.DOING.value
        )
        lost = {job.id: job for job in ours if job.id is not None and job.id not in self._running}
        for number in before & lost.keys():
            await self._rescue(lost[number], handlers)
        return lost.keys() - before

    async def _rescue(self, job: Job, handlers: Mapping[str, Handler]) -> None:
        manager = self._app.job_manager
        with suppress(ProcrastinateException):  # a sibling was faster
            if job.attempts + 1 < MOST_ATTEMPTS:
                await manager.retry_job(job, retry_at=datetime.now(UTC))
                logger.warning("job %s (%s) of a lost worker runs again", job.id, job.task_name)
                return
            logger.error("job %s (%s) lost its worker too often", job.id, job.task_name)
            if handler := handlers.get(job.task_name):
                await handler.give_up(job.task_kwargs, "its worker died again and again")
            await manager.finish_job(job, Stored.FAILED, delete_job=False)


class _Unsaid(Exception):
    """A job cannot end, because its handler could not be told that it is given up."""


async def _give_up(handler: Handler, payload: Payload, reason: str) -> None:
    try:
        await handler.give_up(payload, reason)
    except Exception as error:
        raise _Unsaid(reason) from error


class _Later(BaseRetryStrategy):
    """After 1, 2, 4 ... 60 seconds; a worker that is told to stop hands its job to the next at once."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_at=datetime.now(UTC))
        if job.attempts + 1 >= MOST_ATTEMPTS and not isinstance(exception, _Unsaid):
            return None
        wait = timedelta(seconds=min(LONGEST_WAIT_S, 2**job.attempts))
        return RetryDecision(retry_at=datetime.now(UTC) + wait)


def schema() -> str:
    """The engine's tables and functions, for the migrations."""
    return App(connector=PsycopgConnector()).schema_manager.get_schema()
