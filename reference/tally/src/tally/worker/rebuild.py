"""`tally rollups`: hours compared with their events, or made again of them, while the service goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from tally.db import conninfo
from tally.errors import Unable
from tally.schema.partitions import DROPPING, attached
from tally.schema.revisions import SchemaError, judge, revision_of
from tally.settings import Settings
from tally.worker.rollups import Place, Rollups

HOUR = dt.timedelta(hours=1)


async def compare(
    settings: Settings, since: dt.datetime, until: dt.datetime, say: Callable[[str], None]
) -> int:
    """How many sums of an hour and name differ from their events. Raises Unable."""
    found = 0
    async with _opened(settings, since, until) as rollups:
        for hour in hours(since, until):
            for place in await rollups.different(hour, hour + HOUR):
                say(f"{_told(place)}: not what the events say")
                found += 1
    return found


async def rebuild(
    settings: Settings, since: dt.datetime, until: dt.datetime, say: Callable[[str], None]
) -> int:
    """All sums of these hours are made again; how many were left, because of ingest. Raises Unable."""
    left = 0
    async with _opened(settings, since, until) as rollups:
        for hour in hours(since, until):
            places = await rollups.places(hour)
            made = await rollups.make_again(places)
            if places:
                say(f"{hour:%Y-%m-%dT%H}Z: {len(made)} made again")
            for place in sorted(set(places) - set(made), key=_told):
                say(f"{_told(place)}: left as it was, events come in all the time")
            left += len(places) - len(made)
    return left


def hours(since: dt.datetime, until: dt.datetime) -> list[dt.datetime]:
    """The whole hours that the time from `since` to before `until` touches."""
    first = since.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
    return [first + n * HOUR for n in range(-((first - until) // HOUR))]


def _told(place: Place) -> str:
    return f"{place.hour:%Y-%m-%dT%H}Z customer {place.customer} {place.name!r}"


@asynccontextmanager
async def _opened(
    settings: Settings, since: dt.datetime, until: dt.datetime
) -> AsyncIterator[Rollups]:
    """Nobody drops a day meanwhile: without its events, its sums would be made of nothing."""
    bare = conninfo(settings, statement_s=0)  # an hour takes what it takes
    try:
        async with (
            await AsyncConnection.connect(bare, autocommit=True) as keeper,
            AsyncConnectionPool(bare, min_size=1, max_size=1, open=False) as pool,
        ):
            await _check(keeper, since, until)
            yield Rollups(pool, settings.limits.series)
    except SchemaError as error:
        raise Unable(str(error)) from None
    except (psycopg.Error, OSError) as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise Unable(f"the database has broken it off: {first}") from None


async def _check(connection: AsyncConnection[Any], since: dt.datetime, until: dt.datetime) -> None:
    """Raises Unable, and SchemaError."""
    judge(await revision_of(connection))
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (DROPPING,))
    if await cursor.fetchone() != (True,):
        raise Unable("somebody opens and drops days, or makes rollups again: try it in a minute")
    days = await attached(connection)
    missing = sorted({each.date() for each in hours(since, until)} - days)
    if missing:
        kept = f"{min(days)} to {max(days)}" if days else "no day"
        raise Unable(
            f"there are no events of {missing[0]}, so its rollups stay as they are: there are those of {kept}"
        )
