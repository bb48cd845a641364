"""From lines to events in the database: a chunk is one transaction, with the count of its lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from tally.ingest.faults import BLAMED, Fault, fault_of, refused
from tally.ingest.names import USE, Names
from tally.ingest.normalise import fast
from tally.ingest.rows import Identity, Row, firsts
from tally.ingest.series import Series
from tally.ingest.statement import INGEST, in_order, parameters
from tally.model import Rejected, Status, event_of
from tally.schema.partitions import open_days
from tally.settings import Limits
from tally.worker import records
from tally.worker.contents import Bounds, kind_of, lines, pieces
from tally.worker.enrich import enriched
from tally.worker.records import Import, Line, Progress
from unstall import Lane

CHUNK = 500
"""Lines of a transaction."""
ATTEMPTS = 5
"""At one chunk, when it meets other transactions."""

Outcome: TypeAlias = "Status | Rejected"
_NOBODY: Final[Mapping[Identity, Rejected]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Chunk:
    lines: int
    rows: Sequence[tuple[int, Row]]
    """With the number of its line, from 1."""
    refused: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Loader:
    """`lane` reads, parses and normalises; the loop only talks to the database."""

    pool: AsyncConnectionPool[Any]
    lane: Lane
    series: Series
    names: Names
    bounds: Bounds
    limits: Limits

    async def load(self, record: Import, path: Path) -> None:
        """What is not loaded yet. Raises Refused, Overtaken, and what the database raises."""
        found = chunks(path, record, self.bounds, self.limits)
        since = record.lines
        async with aclosing(self.lane.iterate(found)) as read:
            async for chunk in read:
                await self._commit(record, since, chunk)
                since += chunk.lines

    async def _commit(self, record: Import, since: int, chunk: Chunk) -> None:
        blamed: Sequence[Fault] = (Fault.ROW,)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self.pool.connection() as connection:
                    await self._committed(connection, record, since, chunk, blamed)
                return
            except psycopg.Error as error:
                fault = fault_of(error)
                if fault is Fault.DAY and attempt < ATTEMPTS:
                    await self._open_days()
                    blamed = BLAMED
                elif fault is not Fault.TURN or attempt == ATTEMPTS:
                    raise

    async def _committed(
        self,
        connection: AsyncConnection[Any],
        record: Import,
        since: int,
        chunk: Chunk,
        blamed: Sequence[Fault],
    ) -> None:
        rows = [row for _, row in chunk.rows]
        beyond = await self._beyond(connection, firsts(rows))
        async with connection.transaction():
            outcomes = await stored(connection, rows, self.series, blamed, beyond)
            await records.advance(connection, record.id, since, progress(chunk, outcomes))

    async def _beyond(
        self, connection: AsyncConnection[Any], rows: Mapping[Identity, Row]
    ) -> Mapping[Identity, Rejected]:
        """Those whose name is one too many. What is known is of the connection's server, or of none."""
        look = self.names.look(rows)
        if not look.asked:
            return look.refused
        async with connection.transaction():
            cursor = await connection.execute(USE, self.names.question(look.asked))
            answers = await cursor.fetchall()
        return {**look.refused, **self.names.learn(look.asked, answers)}

    async def _open_days(self) -> None:
        async with self.pool.connection() as connection:
            await open_days(connection, self.limits.past_s)


def chunks(path: Path, record: Import, bounds: Bounds, limits: Limits) -> Iterator[Chunk]:
    """Lines beyond those that are loaded. An event's age is judged by when the upload came."""
    rows: list[tuple[int, Row]] = []
    refused: list[Line] = []
    found = pieces(path, kind_of(path), bounds)
    number = first = record.lines
    for number, line in enumerate(lines(found, limits.event_bytes), 1):
        if number <= record.lines:
            continue
        if line.strip():
            try:
                event = event_of(line, record.customer_id, record.created_at, limits)
                rows.append((number, fast(enriched(event), record.customer_id)))
            except Rejected as error:
                refused.append(Line(number, Status.REJECTED, reason_of(error)))
        if number - first >= CHUNK:
            yield Chunk(number - first, rows, refused)
            rows, refused, first = [], [], number
    if number > first:
        yield Chunk(number - first, rows, refused)


def reason_of(error: Rejected) -> str:
    return f"{error.reason}: {error.detail}"


def progress(chunk: Chunk, outcomes: Sequence[Outcome]) -> Progress:
    counts = dict.fromkeys(Status, 0)
    told = list(chunk.refused)
    for (number, _), outcome in zip(chunk.rows, outcomes, strict=True):
        status = Status.REJECTED if isinstance(outcome, Rejected) else outcome
        counts[status] += 1
        if status is not Status.ACCEPTED:
            reason = reason_of(outcome) if isinstance(outcome, Rejected) else None
            told.append(Line(number, status, reason))
    return Progress(
        lines=chunk.lines,
        accepted=counts[Status.ACCEPTED],
        duplicates=counts[Status.DUPLICATE],
        rejected=counts[Status.REJECTED] + len(chunk.refused),
        told=sorted(told, key=lambda each: each.line),
    )


async def stored(
    connection: AsyncConnection[Any],
    rows: Sequence[Row],
    series: Series,
    blamed: Sequence[Fault] = BLAMED,
    beyond: Mapping[Identity, Rejected] = _NOBODY,
) -> list[Outcome]:
    """One outcome for each row, in the caller's transaction; a fault that is `blamed` on a row is its own.
    Those `beyond` a limit are not stored.
    """
    ordered = in_order([row for of, row in firsts(rows).items() if of not in beyond])
    found: dict[Identity, Outcome] = dict(beyond)
    if ordered:
        found |= await _halved(connection, ordered, series, blamed)
    outcomes: list[Outcome] = []
    for row in rows:
        outcome = found[row.identity]
        outcomes.append(outcome)
        if outcome is Status.ACCEPTED:
            found[row.identity] = Status.DUPLICATE  # the next with this identity is the same event
    return outcomes


async def _halved(
    connection: AsyncConnection[Any], rows: Sequence[Row], series: Series, blamed: Sequence[Fault]
) -> dict[Identity, Outcome]:
    """A row that the database does not take is found by halves, and fails alone."""
    try:
        async with connection.transaction():  # a savepoint
            given = parameters(rows, [series.of(row) for row in rows])
            new = {place for (place,) in await (await connection.execute(INGEST, given)).fetchall()}
    except psycopg.Error as error:
        if fault_of(error) not in blamed:
            raise
        if len(rows) == 1:
            return {rows[0].identity: refused(error)}
        middle = len(rows) // 2
        return {
            **await _halved(connection, rows[:middle], series, blamed),
            **await _halved(connection, rows[middle:], series, blamed),
        }
    return {
        row.identity: Status.ACCEPTED if place in new else Status.DUPLICATE
        for place, row in enumerate(rows, 1)
    }
