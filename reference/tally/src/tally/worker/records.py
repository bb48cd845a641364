"""Imports as rows: what the API shows of them, and how far a worker has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from tally.worker.contents import Kind

KIND = "import"
"""Of the job of an import; its payload is `{"import": id}`."""
MOST_LINES = 1000
"""Of an import whose lines are kept with their reasons; the counts are of all."""


class State(StrEnum):
    QUEUED = "queued"
    SCANNING = "scanning"
    LOADING = "loading"
    DONE = "done"
    REJECTED = "rejected"
    """The upload is not what may be loaded; `reason` says why."""
    FAILED = "failed"
    """It was tried too often."""


FINAL = (State.DONE, State.REJECTED, State.FAILED)


@dataclass(frozen=True, slots=True)
class Upload:
    """What is known of an upload when it has arrived."""

    id: UUID
    customer_id: int
    filename: str
    kind: Kind
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Import:
    id: UUID
    customer_id: int
    state: State
    filename: str
    kind: Kind
    bytes: int
    reason: str | None
    lines: int
    accepted: int
    duplicates: int
    rejected: int
    created_at: datetime
    finished_at: datetime | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", State(self.state))
        object.__setattr__(self, "kind", Kind(self.kind))


@dataclass(frozen=True, slots=True)
class Line:
    """One that was not accepted, by its number from 1."""

    line: int
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What one transaction adds."""

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    told: Sequence[Line] = ()


class Overtaken(Exception):
    """Somebody else works on this import and is further."""


Connection = AsyncConnection[Any]

_COLUMNS = """id, customer_id, state, filename, kind, bytes, reason, lines, accepted, duplicates, rejected,
    created_at, finished_at"""


async def create(connection: Connection, upload: Upload) -> None:
    await connection.execute(
        """INSERT INTO imports (id, customer_id, state, filename, kind, bytes, sha256)
        VALUES (%s, %s, %s, %s, %s, %s, decode(%s, 'hex'))""",
        (
            *(upload.id, upload.customer_id, State.QUEUED, upload.filename),
            *(upload.kind, upload.size, upload.sha256),
        ),
    )


async def read(connection: Connection, number: UUID) -> Import | None:
    async with connection.cursor(row_factory=class_row(Import)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM imports WHERE id = %s", (number,))
        return await cursor.fetchone()


async def lines_of(connection: Connection, number: UUID) -> list[Line]:
    async with connection.cursor(row_factory=class_row(Line)) as cursor:
        await cursor.execute(
            "SELECT line, status, reason FROM import_lines WHERE import_id = %s ORDER BY line",
            (number,),
        )
        return await cursor.fetchall()


async def enter(connection: Connection, number: UUID, state: State) -> None:
    """Raises Overtaken if it has ended."""
    await _changed(
        connection,
        "UPDATE imports SET state = %s WHERE id = %s AND NOT state = ANY(%s)",
        (state, number, list(FINAL)),
    )


async def finish(
    connection: Connection, number: UUID, state: State, reason: str | None = None
) -> None:
    """Raises Overtaken if it has ended."""
    await _changed(
        connection,
        """UPDATE imports SET state = %s, reason = %s, finished_at = now()
        WHERE id = %s AND NOT state = ANY(%s)""",
        (state, reason, number, list(FINAL)),
    )


async def advance(connection: Connection, number: UUID, since: int, step: Progress) -> None:
    """In the transaction of the events, so that nothing is counted twice, however often it is tried.

    Raises Overtaken if the lines from `since` on have been counted by somebody else.
    """
    await _changed(
        connection,
        """UPDATE imports SET lines = lines + %s, accepted = accepted + %s,
            duplicates = duplicates + %s, rejected = rejected + %s
        WHERE id = %s AND lines = %s AND state = %s""",
        (
            *(step.lines, step.accepted, step.duplicates, step.rejected),
            *(number, since, State.LOADING),
        ),
    )
    await connection.execute(
        """INSERT INTO import_lines (import_id, line, status, reason)
        SELECT %s, line, status, reason FROM unnest(%s::bigint[], %s::text[], %s::text[])
            AS told (line, status, reason)
        ORDER BY line
        LIMIT greatest(0, %s - (SELECT count(*) FROM import_lines WHERE import_id = %s))""",
        (
            number,
            [each.line for each in step.told],
            [each.status for each in step.told],
            [each.reason for each in step.told],
            MOST_LINES,
            number,
        ),
    )


async def _changed(connection: Connection, query: LiteralString, values: Sequence[Any]) -> None:
    cursor = await connection.execute(query, values)
    if cursor.rowcount != 1:
        raise Overtaken


async def forget(connection: Connection, days: int) -> int:
    """Imports that ended so long ago, with their lines; how many."""
    cursor = await connection.execute(
        "DELETE FROM imports WHERE finished_at < now() - make_interval(days => %s)", (days,)
    )
    return cursor.rowcount


async def unknown(connection: Connection, uploads: Sequence[UUID]) -> list[UUID]:
    """Those whose file nobody needs: there is no import, or it has ended."""
    cursor = await connection.execute(
        """SELECT each FROM unnest(%s::uuid[]) AS each WHERE NOT EXISTS (
            SELECT FROM imports WHERE id = each AND NOT state = ANY(%s))""",
        (list(uploads), list(FINAL)),
    )
    return [row[0] for row in await cursor.fetchall()]
