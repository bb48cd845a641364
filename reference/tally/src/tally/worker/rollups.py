"""Are the rollups what the events say? Where they are not, they are made again.

Ingest keeps them in its own transaction, so they differ only by what went around it: a restored backup,
rows deleted by hand, a mistake of ours. Looking takes no lock, and one processor for a moment at a time: a
query over two busy minutes kept three of them for a second and a half, and ingest had to do without. Making
again is a transaction of one snapshot: it reads the events and puts the sums of just these in place of the
rows of just then. An event that is stored meanwhile changes one of these rows, and the transaction fails
and is tried again, or adds to them after it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection, errors
from psycopg_pool import AsyncConnectionPool

from tally.ingest.series import OVERFLOW

logger = logging.getLogger("tally.rollups")

TRIES = 3
BESIDE: LiteralString = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SET LOCAL lock_timeout = 200;
"""
"""Less than the second after which PostgreSQL looks for a deadlock: of us and ingest, we give way."""
ALONE: LiteralString = """
SET LOCAL lock_timeout = 200;
SET LOCAL statement_timeout = 2000;
LOCK TABLE rollup_minute, rollup_hour IN SHARE ROW EXCLUSIVE MODE;
"""
"""Ingest locks both with its first word, so whoever stored an event has counted it by now. It may be made to
wait for us to get in, and for three statements; without success it is tried the next time.
"""
_MET = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,  # a series that somebody has just begun
    errors.LockNotAvailable,
    errors.QueryCanceled,
)

_canonical = msgspec.json.Encoder(order="sorted").encode

_SUMS = "sum(count) AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max"
_DIFFER = """(a.count, a.min, a.max) IS DISTINCT FROM (b.count, b.min, b.max)
    OR abs(a.sum - b.sum) > 1e-9 * (abs(a.sum) + a.count)"""
_NOT_PARALLEL: LiteralString = "SET LOCAL max_parallel_workers_per_gather = 0"
_MINUTES = f"""
WITH raw AS (
    SELECT customer_id, name, date_trunc('minute', at, 'UTC') AS bucket,
        count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max
    FROM events WHERE at >= %(since)s AND at < %(until)s GROUP BY 1, 2, 3
), minutes AS (
    SELECT customer_id, name, bucket, {_SUMS}
    FROM rollup_minute WHERE bucket >= %(since)s AND bucket < %(until)s GROUP BY 1, 2, 3
)
SELECT customer_id, name, date_trunc('hour', bucket, 'UTC')
FROM raw a FULL JOIN minutes b USING (customer_id, name, bucket) WHERE {_DIFFER}
"""
_HOURS = f"""
WITH summed AS (
    SELECT customer_id, name, date_trunc('hour', bucket, 'UTC') AS bucket, {_SUMS}
    FROM rollup_minute WHERE bucket >= %(since)s AND bucket < %(until)s GROUP BY 1, 2, 3
), hours AS (
    SELECT customer_id, name, bucket, {_SUMS}
    FROM rollup_hour WHERE bucket >= %(since)s AND bucket < %(until)s GROUP BY 1, 2, 3
)
SELECT customer_id, name, bucket
FROM summed a FULL JOIN hours b USING (customer_id, name, bucket) WHERE {_DIFFER}
"""
"""A statement is one snapshot, and ingest is one transaction: what differs here is different. Sums of floats
depend on their order, hence the tolerance. Events are only read of the minutes that were asked for."""

_PLACES = """
SELECT customer_id, name FROM events WHERE at >= %(since)s AND at < %(until)s
UNION SELECT customer_id, name FROM rollup_minute WHERE bucket >= %(since)s AND bucket < %(until)s
UNION SELECT customer_id, name FROM rollup_hour WHERE bucket >= %(since)s AND bucket < %(until)s
ORDER BY 1, 2
"""

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_PAUSES = 4
"""So many times what a look took is waited after it."""


@dataclass(frozen=True, slots=True)
class Place:
    customer: int
    name: str
    hour: datetime


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one series in one bucket."""

    bucket: datetime
    dims: str
    count: int
    sum: float
    min: float
    max: float

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.bucket,
            self.dims,
            self.count + other.count,
            self.sum + other.sum,
            min(self.min, other.min),
            max(self.max, other.max),
        )


@dataclass(frozen=True, slots=True)
class Rollups:
    """`most` is how many series of one name are kept in an hour; the others count together."""

    pool: AsyncConnectionPool[Any]
    most: int

    async def repair(self, since: datetime, until: datetime) -> list[Place]:
        """Looks at whole minutes and at their hours; what was made again is whole hours."""
        repaired = []
        for _, places in groupby(await self.different(since, until), key=lambda each: each.hour):
            for place in await self.make_again(list(places)):
                repaired.append(place)
                logger.warning("rollups of %s were not those of the events", place)
        return repaired

    async def different(self, since: datetime, until: datetime) -> list[Place]:
        found = set()
        for minute in minutes_of(since, until):
            began = time.monotonic()
            found |= await self._looked(_MINUTES, minute, minute + _MINUTE)
            await asyncio.sleep(_PAUSES * (time.monotonic() - began))
        first = since.replace(minute=0)
        last = first + math.ceil((until - first) / _HOUR) * _HOUR
        found |= await self._looked(_HOURS, first, last)
        return sorted(found, key=lambda place: (place.hour, place.customer, place.name))

    async def _looked(self, question: str, since: datetime, until: datetime) -> set[Place]:
        async with self.pool.connection() as connection, connection.transaction():
            await connection.execute(_NOT_PARALLEL)
            window = {"since": since, "until": until}
            cursor = await connection.execute(question.encode(), window)
            return {Place(*row) for row in await cursor.fetchall()}

    async def places(self, hour: datetime) -> list[Place]:
        """All of which there are events or sums."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(_PLACES, {"since": hour, "until": hour + _HOUR})
            return [Place(customer, name, hour) for customer, name in await cursor.fetchall()]

    async def make_again(self, places: Sequence[Place]) -> list[Place]:
        """Those of one hour that were made again. The others are written to all the time, and were left.

        First beside ingest, which then waits for a row at the most; who meets it tries again, with half of
        them. What remains alone keeps ingest out, for a moment.
        """
        if not places:
            return []
        for _ in range(TRIES):
            if await self._made_again(places, BESIDE):
                return list(places)
        if len(places) == 1:
            return list(places) if await self._made_again(places, ALONE) else []
        middle = len(places) // 2
        return await self.make_again(places[:middle]) + await self.make_again(places[middle:])

    async def _made_again(self, places: Sequence[Place], how: LiteralString) -> bool:
        try:
            async with self.pool.connection() as connection, connection.transaction():
                await connection.execute(how)
                minutes = await self._summed(connection, places)
                hours = {place: hourly(sums, place.hour) for place, sums in minutes.items()}
                await _replace(connection, "rollup_minute", places, minutes)
                await _replace(connection, "rollup_hour", places, hours)
        except _MET:
            return False
        return True

    async def _summed(
        self, connection: AsyncConnection[Any], places: Sequence[Place]
    ) -> dict[Place, list[Sums]]:
        hour = places[0].hour
        cursor = await connection.execute(_SUMMED, _these(places))
        found: dict[Place, list[Sums]] = {}
        for customer, name, bucket, dimensions, *sums in await cursor.fetchall():
            of_it = found.setdefault(Place(customer, name, hour), [])
            of_it.append(Sums(bucket, _canonical(dimensions).decode(), *sums))
        return {place: folded(sums, self.most) for place, sums in found.items()}


def minutes_of(since: datetime, until: datetime) -> Iterator[datetime]:
    """The minutes that begin there; both ends are whole ones."""
    while since < until:
        yield since
        since += _MINUTE


def folded(minutes: Iterable[Sums], most: int) -> list[Sums]:
    """With the largest `most` series of the hour kept, and the others as one."""
    found = list(minutes)
    counts: dict[str, int] = {}
    for each in found:
        counts[each.dims] = counts.get(each.dims, 0) + each.count
    kept = set(sorted(counts, key=lambda dims: (-counts[dims], dims))[:most])
    return _grouped(
        each
        if each.dims in kept
        else Sums(each.bucket, OVERFLOW, each.count, each.sum, each.min, each.max)
        for each in found
    )


def hourly(minutes: Iterable[Sums], hour: datetime) -> list[Sums]:
    return _grouped(
        Sums(hour, each.dims, each.count, each.sum, each.min, each.max) for each in minutes
    )


def _grouped(found: Iterable[Sums]) -> list[Sums]:
    groups: dict[tuple[datetime, str], Sums] = {}
    for each in found:
        key = each.bucket, each.dims
        groups[key] = groups[key] + each if key in groups else each
    return list(groups.values())


_IN: LiteralString = (
    """(customer_id, name) IN (SELECT * FROM unnest(%(customers)s::bigint[], %(names)s::text[]))"""
)
_SUMMED: LiteralString = f"""
SELECT customer_id, name, date_trunc('minute', at, 'UTC'), dimensions,
    count(*), sum(value), min(value), max(value)
FROM events WHERE {_IN} AND at >= %(since)s AND at < %(until)s
GROUP BY 1, 2, 3, 4
"""
_OWN: LiteralString = (
    """
SELECT FROM {} WHERE """
    + _IN
    + """ AND bucket >= %(since)s AND bucket < %(until)s
ORDER BY customer_id, name, bucket, dims FOR UPDATE
"""
)
"""In the order of ingest, so that neither waits for the other for good."""
_DELETE: LiteralString = (
    "DELETE FROM {} WHERE " + _IN + " AND bucket >= %(since)s AND bucket < %(until)s"
)
_INSERT: LiteralString = """
INSERT INTO {} (customer_id, name, bucket, dims, dimensions, count, sum, min, max)
SELECT customer_id, name, bucket, dims, dims::jsonb, count, sum, min, max
FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::text[], %s::bigint[], %s::float8[], %s::float8[],
    %s::float8[]) AS each (customer_id, name, bucket, dims, count, sum, min, max)
"""


def _these(places: Sequence[Place]) -> dict[str, Any]:
    hour = places[0].hour
    return {
        "customers": [each.customer for each in places],
        "names": [each.name for each in places],
        "since": hour,
        "until": hour + _HOUR,
    }


async def _replace(
    connection: AsyncConnection[Any],
    table: LiteralString,
    places: Sequence[Place],
    found: Mapping[Place, Sequence[Sums]],
) -> None:
    given = _these(places)
    await connection.execute(_OWN.format(table), given)
    await connection.execute(_DELETE.format(table), given)
    rows = [(place, each) for place, sums in found.items() for each in sums]
    await connection.execute(
        _INSERT.format(table),
        (
            [place.customer for place, _ in rows],
            [place.name for place, _ in rows],
            [each.bucket for _, each in rows],
            [each.dims for _, each in rows],
            [each.count for _, each in rows],
            [each.sum for _, each in rows],
            [each.min for _, each in rows],
            [each.max for _, each in rows],
        ),
    )
