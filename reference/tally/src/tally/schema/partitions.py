"""The days that events and minutes are kept in: opened ahead of time, dropped when they are old.

`keep` is called by the worker every hour, `open_days` also by whoever finds that a day is missing. Days
are opened and dropped without holding up those who write: a partition is attached, and detached
concurrently, which takes no lock that an insert waits for.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, sql

from tally.db import parameters
from tally.settings import Settings

AHEAD_DAYS = 7
PARENTS: tuple[LiteralString, ...] = ("events", "rollup_minute")
DROPPING = 7_411_250_116
"""Of PostgreSQL's advisory locks the one that whoever drops holds."""
LOCK_S = 10
"""How long one day's removal waits for those who still read it; the next hour tries again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one round did, as names of partitions."""

    opened: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    """Old, and still read by somebody."""


async def keep(settings: Settings, today: dt.date | None = None) -> Kept:
    """Open the days that events may belong to, drop those beyond retention. Days are UTC."""
    async with await AsyncConnection.connect(
        **parameters(settings, statement_s=0), autocommit=True
    ) as connection:
        day = today or await _today(connection)
        opened = await open_days(connection, settings.limits.past_s, day)
        dropped: list[str] = []
        busy: list[str] = []
        if not await _is_ours(connection):
            return Kept(opened)  # somebody else drops just now
        for name in expired(await names(connection), day, settings.retention_days):
            done = await _drop(connection, name)
            (dropped if done else busy).append(name)
    return Kept(opened, tuple(dropped), tuple(busy))


async def open_days(
    connection: AsyncConnection[Any], past_s: float, today: dt.date | None = None
) -> tuple[str, ...]:
    """Make what is missing between the oldest event that may come and a week from today."""
    day = today or await _today(connection)
    first = day - dt.timedelta(days=math.ceil(past_s / 86_400))
    last = day + dt.timedelta(days=AHEAD_DAYS)
    cursor = await connection.execute("SELECT tally_open_days(%s, %s)", (first, last))
    return tuple(name for (name,) in await cursor.fetchall())


def expired(partitions: Iterable[str], today: dt.date, retention_days: int) -> tuple[str, ...]:
    """Those of which the last moment is older than retention. What has no day in its name is not ours."""
    oldest = today - dt.timedelta(days=retention_days)
    dated = ((name, day_of(name)) for name in partitions)
    return tuple(sorted(name for name, day in dated if day is not None and day < oldest))


def day_of(partition: str) -> dt.date | None:
    found = re.fullmatch(rf"(?:{'|'.join(PARENTS)})_(\d{{8}})", partition)
    try:
        return dt.datetime.strptime(found[1], "%Y%m%d").date() if found else None
    except ValueError:
        return None


async def names(connection: AsyncConnection[Any]) -> tuple[str, ...]:
    """Also of tables that were detached and, because somebody died, not dropped."""
    cursor = await connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND pg_table_is_visible(oid) AND relname ~ %s",
        (rf"^({'|'.join(PARENTS)})_\d{{8}}$",),
    )
    return tuple(name for (name,) in await cursor.fetchall())


async def attached(connection: AsyncConnection[Any]) -> set[dt.date]:
    """The days of which there are both events and minutes."""
    cursor = await connection.execute(
        "SELECT inhparent::regclass::text, inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent::regclass::text = ANY(%s) AND NOT inhdetachpending",
        (list(PARENTS),),
    )
    found: dict[str, set[dt.date]] = {parent: set() for parent in PARENTS}
    for parent, child in await cursor.fetchall():
        if (day := day_of(child)) is not None:
            found[parent].add(day)
    return set.intersection(*found.values())


async def _is_ours(connection: AsyncConnection[Any]) -> bool:
    """Whether we are the only one who drops, from now to the end of the connection."""
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (DROPPING,))
    return await cursor.fetchone() == (True,)


async def _drop(connection: AsyncConnection[Any], name: str) -> bool:
    """False: somebody still reads it."""
    try:
        await connection.execute(f"SET statement_timeout = '{LOCK_S}s'".encode())
        if parent := await _parent(connection, name):
            await _detach(connection, parent, name)
        await connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
        return False
    finally:
        await connection.execute("SET statement_timeout = 0")
    return True


async def _parent(connection: AsyncConnection[Any], name: str) -> tuple[str, bool] | None:
    """The table it is a part of, and whether a detaching was begun and not ended."""
    cursor = await connection.execute(
        "SELECT inhparent::regclass::text, inhdetachpending FROM pg_inherits WHERE inhrelid = %s::regclass",
        (name,),
    )
    row = await cursor.fetchone()
    return (str(row[0]), bool(row[1])) if row else None


async def _detach(connection: AsyncConnection[Any], parent: tuple[str, bool], name: str) -> None:
    table, pending = parent
    how = sql.SQL("FINALIZE") if pending else sql.SQL("CONCURRENTLY")
    await connection.execute(
        sql.SQL("ALTER TABLE {} DETACH PARTITION {} {}").format(
            sql.Identifier(table), sql.Identifier(name), how
        )
    )


async def _today(connection: AsyncConnection[Any]) -> dt.date:
    cursor = await connection.execute("SELECT tally_today()")
    row = await cursor.fetchone()
    assert row is not None
    day: dt.date = row[0]
    return day
