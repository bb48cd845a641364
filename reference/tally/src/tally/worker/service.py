"""The worker's process: jobs, and what is due again and again.

Any number of workers may run. What they do again and again may be done by several at once, and a worker that
is killed in the middle leaves nothing that the next one does not finish.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from tally.db import RECONNECT_S, check, parameters
from tally.ingest.faults import Fault, fault_of
from tally.ingest.names import Names, forget
from tally.ingest.series import Series
from tally.readiness import Readiness
from tally.schema import partitions
from tally.settings import Settings
from tally.worker.contents import Bounds
from tally.worker.imports import Imports
from tally.worker.jobs import PostgresJobs
from tally.worker.load import Loader
from tally.worker.outbox import Outbox, pods
from tally.worker.records import KIND
from tally.worker.rollups import Rollups
from tally.worker.spool import Spool
from unstall import Lane

logger = logging.getLogger("tally.worker")

CONNECTIONS = 10
"""At most, with the one that listens for jobs; `tally.db` counts on it."""
STATEMENT_S = 60.0
ACQUIRE_S = 30.0
"""A job would rather wait for a database that restarts than fail."""
SCAN_S = 120.0
AT_ONCE = 2
"""Jobs of one worker. Each has a process to scan in, so that none waits for another's upload."""
LOOK_BACK = timedelta(minutes=2)
"""Of so many minutes rollups are compared with their events."""
SETTLED = timedelta(minutes=2)
"""They are older than that: autovacuum has been there, and who reads them has nothing to write."""


@dataclass(frozen=True, slots=True)
class Chore:
    """What is due `every_s` seconds, from the start on."""

    name: str
    every_s: float
    do: Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Worker:
    jobs: PostgresJobs
    imports: Imports
    chores: tuple[Chore, ...]

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            chores = [
                group.create_task(again_and_again(each, self.jobs.pool), name=each.name)
                for each in self.chores
            ]
            await self.jobs.run({KIND: self.imports}, stop)
            for chore in chores:
                chore.cancel()


@asynccontextmanager
async def worker(settings: Settings, *, scan_s: float = SCAN_S) -> AsyncIterator[Worker]:
    with (
        Lane("spool", threads=2, queue=16) as disk,
        Lane("scan", processes=AT_ONCE, deadline=scan_s) as scan,
        Lane("load", threads=AT_ONCE) as reading,
    ):
        names = Names(settings.limits.names)
        pool = pool_of(settings, names)
        await pool.open()
        try:
            yield composed(settings, pool, names, Spool(settings.spool, disk), scan, reading)
        finally:
            await pool.close()


def composed(
    settings: Settings,
    pool: AsyncConnectionPool[Any],
    names: Names,
    spool: Spool,
    scan: Lane,
    reading: Lane,
) -> Worker:
    series = Series(settings.limits.series)
    loader = Loader(
        pool,
        reading,
        series,
        names,
        Bounds(unpacked=settings.limits.unpacked_bytes),
        settings.limits,
    )
    imports = Imports(pool, spool, scan, loader, settings.clamd, settings.retention_days)
    outbox = Outbox(pool, pods(settings.billing_urls, settings.upstream_s))
    rollups = Rollups(pool, settings.limits.series)
    chores = (
        Chore("billing", 0.5, outbox.drain),
        Chore("usage", 3600.0, lambda: outbox.forget(settings.retention_days)),
        Chore("partitions", 3600.0, lambda: partitions.keep(settings)),
        Chore("names", 3600.0, lambda: forget(pool, settings.retention_days)),
        Chore("rollups", 60.0, lambda: rollups.repair(*lately())),
        Chore("spool", 3600.0, imports.clean),
    )
    return Worker(PostgresJobs(pool, slots=AT_ONCE), imports, chores)


def pool_of(settings: Settings, names: Names | None = None) -> AsyncConnectionPool[Any]:
    """Dead connections are replaced without an error, and the next server may know fewer `names`."""

    async def opened(_: AsyncConnection[Any]) -> None:
        if names is not None:
            names.clear()

    return AsyncConnectionPool(
        kwargs=parameters(settings, STATEMENT_S),
        min_size=1,
        max_size=CONNECTIONS - 1,
        timeout=ACQUIRE_S,
        reconnect_timeout=RECONNECT_S,
        configure=opened,
        check=check,
        open=False,
        name="worker",
    )


def lately(now: datetime | None = None) -> tuple[datetime, datetime]:
    minute = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    return minute - SETTLED - LOOK_BACK, minute - SETTLED


async def again_and_again(chore: Chore, pool: AsyncConnectionPool[Any]) -> None:
    """Whatever it raises is said once, until it goes well again. Connections to a server that was made a
    standby look well, and are of no use to anybody here.
    """
    well = True
    while True:
        try:
            await chore.do()
            well = True
        except (psycopg.Error, OSError) as error:
            if well:
                logger.warning("%s is put off: %s", chore.name, str(error).strip() or error)
            well = False
            if fault_of(error) is Fault.PLACE:
                await pool.drain()
        except Exception:
            if well:
                logger.exception("%s went wrong and is tried again", chore.name)
            well = False
        await asyncio.sleep(chore.every_s)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Until `stop` is set. Raises SchemaError if the database lacks migrations."""
    readiness = Readiness(settings)
    await readiness.start()
    try:
        async with worker(settings) as found:
            logger.info("worker %d is there", os.getpid())
            await found.run(stop)
    finally:
        await readiness.stop()


def main(settings: Settings) -> None:
    """Until SIGTERM or SIGINT: what it has begun it ends or hands on. A second signal ends it at once."""
    asyncio.run(_main(settings))


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told(sign: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(sign)  # the next one has its usual effect

    for sign in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(sign, told, sign)
    await serve(settings, stop)
