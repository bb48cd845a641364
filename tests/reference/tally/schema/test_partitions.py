"""Days: opened ahead, dropped when they are old, and what makes an event the same event."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from tally.schema import partitions
from tally.schema.partitions import day_of, expired, keep
from tally.settings import Settings

TODAY = dt.date(2031, 3, 30)
"""A day on which clocks change in much of the world."""

live = pytest.mark.live


def test_a_partition_has_its_day_in_its_name() -> None:
    assert day_of("events_20310330") == TODAY
    assert day_of("rollup_minute_20310330") == TODAY
    for name in ("events", "events_20311330", "events_old", "other_20310330", "events_20310330_x"):
        assert day_of(name) is None


def test_old_is_what_ended_before_retention() -> None:
    names = [
        "events_20310331",
        "events_20310329",
        "events_20310328",
        "rollup_minute_20310101",
        "events_x",
    ]
    assert expired(names, TODAY, 1) == ("events_20310328", "rollup_minute_20310101")
    assert expired(names, TODAY, 365) == ()


@live
def test_days_are_opened_around_today_and_old_ones_dropped(settings: Settings) -> None:
    settings = replace(settings, retention_days=7)
    first = asyncio.run(keep(settings, TODAY))
    assert len(first.opened) == 2 * (7 + 1 + partitions.AHEAD_DAYS)
    assert {"events_20310323", "events_20310406", "rollup_minute_20310330"} <= set(first.opened)
    assert not any("2031" in name for name in first.dropped)
    assert len(first.dropped) == 2 * (7 + 1 + partitions.AHEAD_DAYS)  # those around the real today

    assert asyncio.run(keep(settings, TODAY)) == partitions.Kept()
    later = asyncio.run(keep(settings, TODAY + dt.timedelta(days=1)))
    assert later.opened == ("events_20310407", "rollup_minute_20310407")
    assert later.dropped == ("events_20310323", "rollup_minute_20310323")


@live
def test_a_day_ends_at_midnight_utc_whatever_the_session_says(settings: Settings) -> None:
    asyncio.run(keep(replace(settings, database_url=zoned(settings, "America/New_York")), TODAY))
    with connected(settings) as connection:
        put(connection, "late", "2031-03-30 23:59:59.999999+00")
        put(connection, "early", "2031-03-31 00:00:00+00")
        found = connection.execute(
            "SELECT event_id, tableoid::regclass::text FROM events ORDER BY at"
        )
        assert found.fetchall() == [("late", "events_20310330"), ("early", "events_20310331")]


@live
def test_an_event_is_its_customer_its_id_and_its_day(settings: Settings) -> None:
    asyncio.run(keep(settings, TODAY))
    with connected(settings) as connection:
        assert put(connection, "e-1", "2031-03-30 10:00+00")
        assert not put(connection, "e-1", "2031-03-30 10:00+00")
        assert not put(connection, "e-1", "2031-03-30 23:00+00"), "the same day"
        assert put(connection, "e-1", "2031-03-31 10:00+00"), "another day"
        assert put(connection, "e-1", "2031-03-30 10:00+00", customer=8), "somebody else's"


@live
def test_a_day_that_is_still_read_is_dropped_another_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LOCK_S", 0.2)
    settings = replace(settings, retention_days=7)
    asyncio.run(keep(settings, TODAY))
    tomorrow = TODAY + dt.timedelta(days=1)
    with connected(settings) as reader:
        reader.autocommit = False
        reader.execute("SELECT * FROM events_20310323")
        busy = asyncio.run(keep(settings, tomorrow))
        assert busy.busy == ("events_20310323",)
        assert busy.dropped == ("rollup_minute_20310323",)
        with connected(settings) as writer:
            assert put(writer, "e-1", "2031-03-30 10:00+00"), "nobody waits for it meanwhile"
    assert asyncio.run(keep(settings, tomorrow)).dropped == ("events_20310323",)


@live
def test_what_a_killed_worker_had_detached_is_dropped(settings: Settings) -> None:
    settings = replace(settings, retention_days=7)
    asyncio.run(keep(settings, TODAY))
    with connected(settings) as connection:
        connection.execute("ALTER TABLE events DETACH PARTITION events_20310323")
    dropped = asyncio.run(keep(settings, TODAY + dt.timedelta(days=1))).dropped
    assert "events_20310323" in dropped


@live
def test_two_workers_may_keep_at_once(settings: Settings) -> None:
    async def both() -> list[partitions.Kept]:
        return list(await asyncio.gather(keep(settings, TODAY), keep(settings, TODAY)))

    opened = [name for kept in asyncio.run(both()) for name in kept.opened]
    assert len(opened) == len(set(opened)) == 2 * (7 + 1 + partitions.AHEAD_DAYS)


@contextmanager
def connected(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        yield connection


def put(connection: psycopg.Connection, event_id: str, at: str, customer: int = 7) -> bool:
    """Whether it is new."""
    cursor = connection.execute(
        "INSERT INTO events (customer_id, event_id, name, at, value) VALUES (%s, %s, 'x', %s, 1)"
        " ON CONFLICT DO NOTHING RETURNING true",
        (customer, event_id, at),
    )
    return cursor.fetchone() is not None


def zoned(settings: Settings, zone: str) -> str:
    return f"{settings.database_url}?options=-c%20timezone%3D{zone}"
