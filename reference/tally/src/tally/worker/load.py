"""From lines to events in the database: a chunk is one transaction, with the count of its lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from tally.ingest.faults import Fault, fault_of
from tally.ingest.normalise import fast
from tally.ingest.rows import Row
from tally.ingest.series import Series
from tally.ingest.statement import INGEST, in_order, parameters
from tally.model import Rejected, Status, event_of
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
Identity: TypeAlias = "tuple[int, str, int]"


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
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self.pool.connection() as connection, connection.transaction():
                    rows = [row for _, row in chunk.rows]
                    outcomes = await stored(connection, rows, self.series)
                    step = progress(chunk, outcomes)
                    await records.advance(connection, record.id, since, step)
                return
            except psycopg.Error as error:
                if fault_of(error) is not Fault.TURN or attempt == ATTEMPTS:
                    raise


def chunks(path: Path, record: Import, bounds: Bounds, limits: Limits) -> Iterator[Chunk]:
    """Lines beyond those that are loaded. An event's age is judged by when the upload came."""
    rows: list[tuple[int, Row]] = []
    refused: list[Line] = []
    found = pieces(path, kind_of(path), bounds)
    number = first = record.lines
    for number, line in enumerate(lines(found, limits.event_bytes), 1):
        if number <= record.lines:
            continue
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if text.strip():
            try:
                event = event_of(text, record.customer_id, record.created_at, limits)
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
    connection: AsyncConnection[Any], rows: Sequence[Row], series: Series
) -> list[Outcome]:
    """One outcome for each row, in the caller's transaction."""
    first: dict[Identity, Row] = {}
    for row in rows:
        first.setdefault(row.identity, row)
    found = await _halved(connection, in_order(list(first.values())), series) if first else {}
    outcomes: list[Outcome] = []
    for row in rows:
        outcome = found[row.identity]
        outcomes.append(outcome)
        if outcome is Status.ACCEPTED:
            found[row.identity] = Status.DUPLICATE  # the next with this identity is the same event
    return outcomes


async def _halved(
    connection: AsyncConnection[Any], rows: Sequence[Row], series: Series
) -> dict[Identity, Outcome]:
    """A row that the database does not take is found by halves, and fails alone."""
    try:
        async with connection.transaction():  # a savepoint
            given = parameters(rows, [series.of(row) for row in rows])
            new = {place for (place,) in await (await connection.execute(INGEST, given)).fetchall()}
    except psycopg.Error as error:
        if fault_of(error) is not Fault.ROW:
            raise
        if len(rows) == 1:
            refused = Rejected("not-storable", error.diag.message_primary or type(error).__name__)
            return {rows[0].identity: refused}
        middle = len(rows) // 2
        return {
            **await _halved(connection, rows[:middle], series),
            **await _halved(connection, rows[middle:], series),
        }
    return {
        row.identity: Status.ACCEPTED if place in new else Status.DUPLICATE
        for place, row in enumerate(rows, 1)
    }
