"""Group commit: what waits while one transaction runs goes into the next, and all are answered after it.

One task writes, over one connection that it keeps from the pool. Alone, a request is a transaction of its own
and waits for nobody; under load transactions begin so far apart that dozens share one, for it costs as much
as ten of its events do.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from tally.db import Pool
from tally.ingest.faults import BLAMED, Fault, Unavailable, fault_of, refused
from tally.ingest.names import USE, Names
from tally.ingest.rows import Identity, Row, firsts
from tally.ingest.series import Series
from tally.ingest.statement import INGEST, in_order, parameters
from tally.model import Rejected, Status
from tally.schema.partitions import open_days
from tally.settings import Limits

T = TypeVar("T")

Connection: TypeAlias = AsyncConnection[TupleRow]
Outcome: TypeAlias = Status | Rejected

_LOG = logging.getLogger("tally.ingest")
_ROWS: Final = 200
_ATTEMPTS: Final = 3
_PACE_S: Final = 0.005
_LEAST_PAUSE_S: Final = 0.1
_MOST_PAUSE_S: Final = 2.0
_LOOK_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class _Waiting:
    rows: Sequence[Row]
    told: asyncio.Future[list[Outcome]]


class Writer:
    """The pool's connections commit by themselves. Transactions of less than `rows` begin `pace_s` apart.

    `most_waiting` rows may wait for one, and none if it has taken `patience_s` already. Events may be
    `past_s` old.
    """

    def __init__(
        self,
        pool: Pool,
        series: Series,
        names: Names | None = None,
        *,
        rows: int = _ROWS,
        most_waiting: int = 10_000,
        pace_s: float = _PACE_S,
        patience_s: float = 6.0,
        past_s: float = Limits().past_s,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._series = series
        self._names = names or Names(Limits().names)
        self._rows = rows
        self._most_waiting = most_waiting
        self._pace_s = pace_s
        self._patience_s = patience_s
        self._past_s = past_s
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._more = asyncio.Event()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self.waiting = 0
        """Rows."""
        self._writing = False
        self._since = -math.inf
        """When the last transaction was begun."""
        self.away: str | None = None
        """Why there is no connection."""
        self._met = False
        """Whether there ever was one."""

    async def start(self) -> None:
        """Serves whether or not the database can be reached."""
        self._task = asyncio.create_task(self._run(), name="tally-writer")

    async def close(self) -> None:
        """After what waits has been written."""
        if self._task is None:
            return
        while (self._queue or self._writing) and self.away is None:
            await asyncio.sleep(_LOOK_S)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._refuse("the service ends")
        await self._leave()

    async def write(self, rows: Sequence[Row]) -> list[Outcome]:
        """One outcome for each, when they are committed. Raises Unavailable: then nothing is known.

        A client that gave up does not keep its events from being stored: it will send them again, and be
        told that they are there.
        """
        if not rows:
            return []
        if self.away is not None:
            raise Unavailable(f"the database cannot be reached: {self.away}")
        if self._writing and self._clock() - self._since > self._patience_s:
            raise Unavailable("the database does not answer")
        if self.waiting + len(rows) > self._most_waiting:
            raise Unavailable(f"{self.waiting} events wait for the database already")
        told: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(rows, told))
        self.waiting += len(rows)
        self._more.set()
        return await told

    # --- the task ----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            if self._connection is None:
                await self._reconnect()
            await self._more.wait()
            if self._queue:
                await self._gather()
            taken = self._take()
            if not taken:
                self._more.clear()
                continue
            self._writing, self._since = True, self._clock()
            try:
                found = await self._stored([row for each in taken for row in each.rows])
            except Unavailable as error:
                _fail(taken, error)
            except asyncio.CancelledError:
                _fail(taken, Unavailable("the service ends"))
                raise
            except Exception as error:  # a mistake of ours must not end the writer
                _LOG.exception("events were not written")
                _fail(taken, Unavailable(f"{type(error).__name__}: {error}"))
            else:
                _tell(taken, found)
            finally:
                self._writing = False

    async def _gather(self) -> None:
        """Lets more come, if the last transaction was begun just now and few wait by then. Those who come
        meanwhile do not end the pause.
        """
        pause_s = self._since + self._pace_s - self._clock()
        if pause_s > 0 and self.waiting < self._rows:
            await asyncio.sleep(pause_s)

    def _take(self) -> list[_Waiting]:
        """Whole requests, up to `rows` events, or one longer request."""
        taken: list[_Waiting] = []
        count = 0
        while self._queue and (not taken or count + len(self._queue[0].rows) <= self._rows):
            each = self._queue.popleft()
            self.waiting -= len(each.rows)
            if not each.told.done():
                taken.append(each)
                count += len(each.rows)
        return taken

    async def _reconnect(self) -> None:
        pause_s = _LEAST_PAUSE_S
        while True:
            try:
                self._connection = await self._pool.getconn()
            except (psycopg.Error, OSError) as error:
                why = str(error).strip() or type(error).__name__
                if self.away is None:
                    self._say_away(why)
                self.away = why
                self._refuse(why)
                await asyncio.sleep(pause_s)
                pause_s = min(_MOST_PAUSE_S, pause_s * 2)
            else:
                if self.away is not None and self._met:
                    _LOG.warning("the database can be reached again, events are taken")
                self.away, self._met = None, True
                return

    def _say_away(self, why: str) -> None:
        """A service that starts may be earlier than its database: that is told by `Readiness`, if it should
        not be."""
        if self._met:
            _LOG.warning("the database cannot be reached, events are refused: %s", why)
        else:
            _LOG.info("the database is not there yet, events are refused until it is: %s", why)

    async def _leave(self) -> None:
        """The pool takes a broken connection, too, and opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.putconn(connection)

    def _refuse(self, why: str) -> None:
        refused = list(self._queue)
        self._queue.clear()
        self.waiting = 0
        _fail(refused, Unavailable(f"the database cannot be reached: {why}"))

    # --- transactions ------------------------------------------------------------------------------

    async def _stored(self, rows: Sequence[Row]) -> dict[Identity, Outcome]:
        """Raises Unavailable. A row that cannot be stored is found by halves, and fails alone."""
        first = firsts(rows)
        beyond = await self._beyond(first)
        kept = [row for identity, row in first.items() if identity not in beyond]
        return {**beyond, **(await self._halved(in_order(kept)) if kept else {})}

    async def _beyond(self, rows: Mapping[Identity, Row]) -> Mapping[Identity, Rejected]:
        """Those whose name is one too many. Asks the database only for names that are new here."""
        look = self._names.look(rows)
        if not look.asked:
            return look.refused
        question = self._names.question(look.asked)

        async def asked() -> Sequence[TupleRow]:
            return await (await (await self._connected()).execute(USE, question)).fetchall()

        return {**look.refused, **self._names.learn(look.asked, await self._tried(asked))}

    async def _halved(self, rows: Sequence[Row]) -> dict[Identity, Outcome]:
        try:
            return await self._committed(rows)
        except psycopg.Error as error:
            if fault_of(error) not in BLAMED:
                raise
            if len(rows) == 1:
                return {rows[0].identity: refused(error)}
        middle = len(rows) // 2
        return await self._halved(rows[:middle]) | await self._halved(rows[middle:])

    async def _committed(self, rows: Sequence[Row]) -> dict[Identity, Outcome]:
        """Raises Unavailable, and psycopg's error for what a row is to blame for."""
        given = parameters(rows, [self._series.of(row) for row in rows])
        new = await self._tried(lambda: self._new(given))
        return {
            row.identity: Status.ACCEPTED if place in new else Status.DUPLICATE
            for place, row in enumerate(rows, 1)
        }

    async def _tried(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Raises Unavailable, and psycopg's error for what a row is to blame for."""
        opens = False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if opens:
                    await self._open_days()
                return await ask()
            except (psycopg.Error, OSError) as error:
                fault = fault_of(error)
                if fault is Fault.ROW or (fault is Fault.DAY and opens):
                    raise
                opens = fault is Fault.DAY
                if fault is Fault.PLACE:
                    await self._pool.drain()  # they would all be handed out as good
                if fault in (Fault.CONNECTION, Fault.PLACE):
                    self._names.clear()  # the next server may know less
                    await self._leave()
                if attempt == _ATTEMPTS or fault is Fault.SERVER:
                    raise Unavailable(str(error).strip() or type(error).__name__) from error
        raise AssertionError("the last attempt returns or raises")

    async def _new(self, given: Mapping[str, object]) -> set[int]:
        """Where a connection is lost, the transaction may have been committed: then the next attempt calls
        its rows duplicates. They are stored once, and that is what both words say.
        """
        cursor = await (await self._connected()).execute(INGEST, given)
        return {place for (place,) in await cursor.fetchall()}

    async def _open_days(self) -> None:
        """The worker does that ahead of time, if there is one."""
        with suppress(psycopg.errors.InsufficientPrivilege):  # then rows of such a day fail alone
            if await open_days(await self._connected(), self._past_s):
                _LOG.warning("days were missing and have been opened: is there a worker?")

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await self._pool.getconn()
        return self._connection


def _tell(taken: Sequence[_Waiting], found: dict[Identity, Outcome]) -> None:
    """The first of several with one identity is the one that was stored."""
    for each in taken:
        outcomes: list[Outcome] = []
        for row in each.rows:
            outcome = found[row.identity]
            outcomes.append(outcome)
            if outcome is Status.ACCEPTED:
                found[row.identity] = Status.DUPLICATE
        if not each.told.done():
            each.told.set_result(outcomes)


def _fail(taken: Sequence[_Waiting], error: Unavailable) -> None:
    for each in taken:
        if not each.told.done():
            each.told.set_exception(error)
