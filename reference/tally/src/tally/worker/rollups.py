"""Are the rollups what the events say? Where they are not, they are made again.

Ingest keeps them in its own transaction, so they differ only by what went around it: a restored backup, rows
deleted by hand, a mistake of ours. Looking takes no lock.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg import AsyncConnection, errors
from psycopg_pool import AsyncConnectionPool

from tally.ingest.series import OVERFLOW

logger = logging.getLogger("tally.rollups")

LOCK_MS = 200
"""How long ingest may be made to wait for us to get in; without success it is tried the next time."""

_canonical = msgspec.json.Encoder(order="sorted").encode

_SUMS = "sum(count) AS count, sum(sum) AS sum, min(min) AS min, max(max) AS max"
_DIFFER = """(a.count, a.min, a.max) IS DISTINCT FROM (b.count, b.min, b.max)
    OR abs(a.sum - b.sum) > 1e-9 * (abs(a.sum) + a.count)"""
_DIFFERENT = f"""
WITH raw AS (
    SELECT customer_id, name, date_trunc('minute', at, 'UTC') AS bucket,
        count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max
    FROM events WHERE at >= %(since)s AND at < %(until)s GROUP BY 1, 2, 3
), minutes AS (
    SELECT customer_id, name, bucket, {_SUMS}
    FROM rollup_minute WHERE bucket >= %(since)s AND bucket < %(until)s GROUP BY 1, 2, 3
), summed AS (
    SELECT customer_id, name, date_trunc('hour', bucket, 'UTC') AS bucket, {_SUMS}
    FROM rollup_minute WHERE bucket >= %(first)s AND bucket < %(last)s GROUP BY 1, 2, 3
), hours AS (
    SELECT customer_id, name, bucket, {_SUMS}
    FROM rollup_hour WHERE bucket >= %(first)s AND bucket < %(last)s GROUP BY 1, 2, 3
)
SELECT customer_id, name, date_trunc('hour', bucket, 'UTC') AS hour
FROM raw a FULL JOIN minutes b USING (customer_id, name, bucket) WHERE {_DIFFER}
UNION
SELECT customer_id, name, bucket
FROM summed a FULL JOIN hours b USING (customer_id, name, bucket) WHERE {_DIFFER}
ORDER BY 3, 1, 2
"""
"""One snapshot, and ingest is one transaction: what differs here is different. Sums of floats depend on their
order, hence the tolerance. Events are only read of the minutes that were asked for."""

_HOUR = timedelta(hours=1)


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
        for place in await self.different(since, until):
            if await self._made_again(place):
                repaired.append(place)
                logger.warning("rollups of %s were not those of the events", place)
        return repaired

    async def different(self, since: datetime, until: datetime) -> list[Place]:
        async with self.pool.connection() as connection:
            first = since.replace(minute=0)
            hours = {"first": first, "last": first + math.ceil((until - first) / _HOUR) * _HOUR}
            window = {"since": since, "until": until, **hours}
            cursor = await connection.execute(_DIFFERENT.encode(), window)
            return [Place(*row) for row in await cursor.fetchall()]

    async def _made_again(self, place: Place) -> bool:
        """False: ingest was too busy to be held up."""
        try:
            async with self.pool.connection() as connection, connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS}".encode())
                # Ingest locks both with its first word, so whoever stored an event has counted it by now.
                await connection.execute(
                    "LOCK TABLE rollup_minute, rollup_hour IN SHARE ROW EXCLUSIVE MODE"
                )
                minutes = await self._summed(connection, place)
                await _replace(connection, "rollup_minute", place, minutes)
                await _replace(connection, "rollup_hour", place, hourly(minutes, place.hour))
        except (errors.LockNotAvailable, errors.QueryCanceled):
            return False
        return True

    async def _summed(self, connection: AsyncConnection[Any], place: Place) -> list[Sums]:
        cursor = await connection.execute(
            """SELECT date_trunc('minute', at, 'UTC'), dimensions,
                count(*), sum(value), min(value), max(value)
            FROM events
            WHERE customer_id = %s AND name = %s AND at >= %s AND at < %s + interval '1 hour'
            GROUP BY 1, 2""",
            (place.customer, place.name, place.hour, place.hour),
        )
        found = [
            Sums(bucket, _canonical(dimensions).decode(), *sums)
            for bucket, dimensions, *sums in await cursor.fetchall()
        ]
        return folded(found, self.most)


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


_DELETE = """DELETE FROM {} WHERE customer_id = %s AND name = %s AND bucket >= %s
    AND bucket < %s + interval '1 hour'"""
_INSERT = """INSERT INTO {} (customer_id, name, bucket, dims, dimensions, count, sum, min, max)
    SELECT %s, %s, bucket, dims, dims::jsonb, count, sum, min, max
    FROM unnest(%s::timestamptz[], %s::text[], %s::bigint[], %s::float8[], %s::float8[], %s::float8[])
        AS each (bucket, dims, count, sum, min, max)"""


async def _replace(
    connection: AsyncConnection[Any], table: str, place: Place, rows: Sequence[Sums]
) -> None:
    await connection.execute(
        _DELETE.format(table).encode(), (place.customer, place.name, place.hour, place.hour)
    )
    await connection.execute(
        _INSERT.format(table).encode(),
        (
            *(place.customer, place.name),
            [each.bucket for each in rows],
            [each.dims for each in rows],
            [each.count for each in rows],
            [each.sum for each in rows],
            [each.min for each in rows],
            [each.max for each in rows],
        ),
    )
