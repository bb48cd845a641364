"""`tally rollups` tells what differs, makes it again, and never makes sums of events that are gone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tally.errors import Unable
from tally.ingest.normalise import fast
from tally.ingest.series import Series
from tally.model import event_of
from tally.schema.partitions import DROPPING, keep
from tally.settings import Limits, Settings
from tally.worker import service
from tally.worker.load import stored
from tally.worker.rebuild import compare, hours, rebuild
from tests.reference.tally.events import text_of

pytestmark = pytest.mark.live

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
DAY = timedelta(days=1)
BREAKDOWN = "SELECT dims, count, sum, min, max FROM {} ORDER BY bucket, dims"


def filled(settings: Settings) -> None:
    """Two names in three hours."""

    async def main() -> None:
        async with service.pool_of(settings) as pool, pool.connection() as connection:
            texts = [
                text_of(
                    name=name,
                    at=(HOUR + timedelta(minutes=25 * n)).isoformat(),
                    value=n / 3,
                    dimensions={"n": n % 2},
                )
                for name in ("view", "buy")
                for n in range(7)
            ]
            rows = [fast(event_of(each, 1, datetime.now(UTC), Limits()), 1) for each in texts]
            await stored(connection, rows, Series(100))

    asyncio.run(main())


def tables(settings: Settings) -> list[object]:
    with psycopg.connect(settings.database_url) as connection:
        return [
            connection.execute(BREAKDOWN.format(table).encode()).fetchall()
            for table in ("rollup_minute", "rollup_hour")
        ]


def harm(settings: Settings, *statements: str) -> None:
    with psycopg.connect(settings.database_url) as connection:
        for each in statements:
            connection.execute(each.encode())


def test_what_differs_is_told_and_what_does_not_is_silent(settings: Settings) -> None:
    filled(settings)
    said: list[str] = []
    assert asyncio.run(compare(settings, HOUR, HOUR + DAY / 6, said.append)) == 0
    assert said == []
    harm(settings, "UPDATE rollup_hour SET count = count + 1 WHERE name = 'buy'")
    assert asyncio.run(compare(settings, HOUR, HOUR + DAY / 6, said.append)) == 3
    assert said[0] == f"{HOUR:%Y-%m-%dT%H}Z customer 1 'buy': not what the events say"


def test_rebuilt_sums_are_those_of_ingest_and_a_second_time_changes_nothing(
    settings: Settings,
) -> None:
    filled(settings)
    before = tables(settings)
    harm(
        settings,
        "UPDATE rollup_minute SET dims = '{}', dimensions = '{}' WHERE name = 'buy'",  # totals agree
        "DELETE FROM rollup_hour WHERE name = 'view'",
        "INSERT INTO rollup_hour SELECT 9, 'none', bucket, dims, dimensions, 1, 1, 1, 1 FROM rollup_hour",
    )
    assert tables(settings) != before
    for _ in range(2):
        said: list[str] = []
        assert asyncio.run(rebuild(settings, HOUR, HOUR + 3 * DAY / 24, said.append)) == 0
        assert tables(settings) == before
    assert said == [f"{HOUR + n * DAY / 24:%Y-%m-%dT%H}Z: 2 made again" for n in range(3)]


def test_hours_outside_stay_as_they_are(settings: Settings) -> None:
    filled(settings)
    harm(settings, "UPDATE rollup_hour SET count = 99")
    asyncio.run(rebuild(settings, HOUR + DAY / 24, HOUR + 2 * DAY / 24, print))
    with psycopg.connect(settings.database_url) as connection:
        rows = connection.execute(
            "SELECT bucket, count = 99 FROM rollup_hour GROUP BY 1, 2 ORDER BY 1"
        ).fetchall()
    assert [wrong for _, wrong in rows] == [True, False, True]


def test_hours_whose_events_are_gone_keep_their_sums(settings: Settings) -> None:
    filled(settings)
    before = tables(settings)[1]
    asyncio.run(keep(settings, (HOUR + 31 * DAY).date()))
    with pytest.raises(Unable, match=r"there are no events of .*, so its rollups stay as they are"):
        asyncio.run(rebuild(settings, HOUR, HOUR + DAY, print))
    assert tables(settings)[1] == before


def test_nobody_drops_a_day_meanwhile(settings: Settings) -> None:
    with psycopg.connect(settings.database_url, autocommit=True) as dropper:
        dropper.execute("SELECT pg_advisory_lock(%s)", (DROPPING,))
        with pytest.raises(Unable, match="try it in a minute"):
            asyncio.run(rebuild(settings, HOUR, HOUR + DAY, print))


def test_a_database_without_tables_and_one_that_is_away_are_told(empty: Settings) -> None:
    with pytest.raises(Unable, match="run `tally migrate`"):
        asyncio.run(compare(empty, HOUR, HOUR + DAY, print))
    with pytest.raises(Unable, match="the database has broken it off"):
        asyncio.run(compare(Settings("postgresql://nobody@127.0.0.1:1/none"), HOUR, HOUR, print))


def test_hours_are_whole() -> None:
    ten = datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert hours(ten, ten + timedelta(hours=2)) == [ten, ten + timedelta(hours=1)]
    assert hours(ten + timedelta(minutes=59), ten + timedelta(minutes=61)) == [
        ten,
        ten + timedelta(hours=1),
    ]
