"""Rollups say what the events say, and are made again where they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tally.ingest.normalise import fast
from tally.ingest.series import OVERFLOW, Series
from tally.model import event_of
from tally.settings import Limits
from tally.worker.load import stored
from tally.worker.rollups import Place, Rollups, Sums, folded, hourly
from tests.reference.tally.events import text_of
from tests.reference.tally.worker.conftest import OpenPool, Pool

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
SINCE, UNTIL = HOUR - timedelta(hours=1), HOUR + timedelta(hours=1)


def at(minute: int) -> str:
    return (HOUR + timedelta(minutes=minute)).isoformat()


async def ingested(pool: Pool, *texts: bytes, customer: int = 1, most: int = 100) -> None:
    rows = [fast(event_of(each, customer, datetime.now(UTC), Limits()), customer) for each in texts]
    async with pool.connection() as connection:
        await stored(connection, rows, Series(most))


async def table(pool: Pool, name: str) -> Sequence[Any]:
    query = f"SELECT customer_id, name, bucket, dims, count, sum, min, max FROM {name} ORDER BY 1, 2, 3, 4"
    async with pool.connection() as connection:
        return list(await (await connection.execute(query.encode())).fetchall())


async def both(pool: Pool) -> tuple[Sequence[Any], Sequence[Any]]:
    return await table(pool, "rollup_minute"), await table(pool, "rollup_hour")


TEXTS = [
    text_of(at=at(minute), value=value, dimensions=dimensions, name=name)
    for minute, value, dimensions, name in [
        (1, 0.1, {"plan": "pro", "country": "de"}, "view"),
        (1, 0.2, {"country": "de", "plan": "pro"}, "view"),
        (2, -3.5, {"country": "fr"}, "view"),
        (59, 7, {"größe": "ü"}, "view"),
        (59, 1e9, {}, "buy"),
    ]
]


@pytest.mark.live
def test_what_ingest_wrote_is_left_alone(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await ingested(pool, *TEXTS)
            before = await both(pool)
            assert await Rollups(pool, 100).repair(SINCE, UNTIL) == []
            assert await both(pool) == before

    asyncio.run(main())


@pytest.mark.live
@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM rollup_minute WHERE name = 'view'",
        "DELETE FROM rollup_hour WHERE name = 'view'",
        "UPDATE rollup_hour SET count = count + 1 WHERE name = 'view'",
        "UPDATE rollup_minute SET sum = sum * 2 WHERE name = 'view'",
        "UPDATE rollup_hour SET min = min - 1 WHERE name = 'view'",
        "UPDATE rollup_minute SET max = max + 100 WHERE name = 'view'",
    ],
)
def test_what_differs_is_made_again_as_ingest_would_have(open_pool: OpenPool, harm: str) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await ingested(pool, *TEXTS)
            before = await both(pool)
            async with pool.connection() as connection:
                await connection.execute(harm.encode())
            rollups = Rollups(pool, 100)
            assert await rollups.repair(SINCE, UNTIL) == [Place(1, "view", HOUR)]
            assert await both(pool) == before
            assert await rollups.different(SINCE, UNTIL) == []

    asyncio.run(main())


@pytest.mark.live
def test_only_the_minutes_that_are_asked_for_are_read(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await ingested(pool, *TEXTS)
            async with pool.connection() as connection:
                await connection.execute("DELETE FROM events WHERE name = 'buy'")  # minute 59
            rollups, minute = Rollups(pool, 100), timedelta(minutes=1)
            assert await rollups.different(HOUR, HOUR + 59 * minute) == []
            assert await rollups.different(HOUR + 59 * minute, UNTIL) == [Place(1, "buy", HOUR)]

    asyncio.run(main())


@pytest.mark.live
def test_hours_are_those_of_their_minutes_whichever_minutes_are_asked_for(
    open_pool: OpenPool,
) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await ingested(pool, *TEXTS)
            async with pool.connection() as connection:
                await connection.execute("DELETE FROM rollup_hour WHERE name = 'buy'")
            half = HOUR + timedelta(minutes=30)
            found = await Rollups(pool, 100).different(half, half + timedelta(minutes=2))
            assert found == [Place(1, "buy", HOUR)]

    asyncio.run(main())


@pytest.mark.live
def test_sums_of_events_that_are_gone_go_too(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await ingested(pool, *TEXTS)
            async with pool.connection() as connection:
                await connection.execute("DELETE FROM events WHERE name = 'buy'")
            assert await Rollups(pool, 100).repair(SINCE, UNTIL) == [Place(1, "buy", HOUR)]
            assert {row[1] for rows in await both(pool) for row in rows} == {"view"}

    asyncio.run(main())


@pytest.mark.live
def test_series_beyond_the_limit_are_no_difference(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            texts = [text_of(at=at(5), dimensions={"user": str(n)}) for n in range(20)]
            await ingested(pool, *texts, most=5)
            assert await Rollups(pool, 5).repair(SINCE, UNTIL) == []

    asyncio.run(main())


@pytest.mark.live
def test_ingest_is_not_held_up_for_it(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await ingested(pool, *TEXTS)
            async with pool.connection() as connection:
                await connection.execute("DELETE FROM rollup_hour")
            async with pool.connection() as busy, busy.transaction():
                await busy.execute("LOCK TABLE rollup_minute, rollup_hour IN ROW EXCLUSIVE MODE")
                assert len(await Rollups(pool, 100).repair(SINCE, UNTIL)) == 2

    asyncio.run(main())


@pytest.mark.live
def test_sums_that_somebody_is_changing_are_left_for_the_next_time(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await ingested(pool, *TEXTS)
            rollups = Rollups(pool, 100)
            async with pool.connection() as connection:
                await connection.execute("UPDATE rollup_hour SET count = count + 1")
            async with pool.connection() as busy, busy.transaction():
                await busy.execute("UPDATE rollup_hour SET sum = sum WHERE name = 'view'")
                assert await rollups.repair(SINCE, UNTIL) == [Place(1, "buy", HOUR)]
            assert await rollups.repair(SINCE, UNTIL) == [Place(1, "view", HOUR)]
            assert await rollups.different(SINCE, UNTIL) == []

    asyncio.run(main())


@pytest.mark.live
def test_beside_busy_writers_each_event_counts_once(open_pool: OpenPool) -> None:
    """New series and old ones, in the hour that is made again, from four connections."""

    async def main() -> None:
        async with open_pool() as pool:
            writing = True

            async def writer(number: int) -> None:
                for n in range(60):
                    texts = [
                        text_of(at=at(n), name="view", dimensions={"n": str(series)})
                        for series in (0, n, number * 1_000 + n)
                    ]
                    await ingested(pool, *texts)

            async def rebuilder() -> int:
                made = 0
                while writing:
                    made += len(await Rollups(pool, 1_000).make_again([Place(1, "view", HOUR)]))
                return made

            await ingested(pool, text_of(at=at(0), name="view", dimensions={"n": "0"}))
            async with pool.connection() as connection:
                await connection.execute("DELETE FROM rollup_minute")
                await connection.execute("UPDATE rollup_hour SET count = 1000")
            again = asyncio.create_task(rebuilder())
            await asyncio.gather(*(writer(number) for number in range(1, 5)))
            writing = False
            assert await again > 0
            assert [
                row[4] for row in await table(pool, "rollup_hour") if row[3] == '{"n":"0"}'
            ] == [
                245  # 4 writers of 60, once more each for n = 0, and the first
            ]
            assert await Rollups(pool, 1_000).different(SINCE, UNTIL) == []

    asyncio.run(main())


def sums(minute: int, dims: str, count: int) -> Sums:
    return Sums(HOUR + timedelta(minutes=minute), dims, count, float(count), 1.0, float(count))


def test_the_largest_series_of_the_hour_are_kept() -> None:
    found = folded(
        [sums(1, "a", 3), sums(2, "a", 3), sums(1, "b", 5), sums(1, "c", 1), sums(1, "d", 1)], 2
    )
    assert {(each.dims, each.count) for each in found} == {("a", 3), ("b", 5), (OVERFLOW, 2)}


def test_hours_are_summed_of_minutes() -> None:
    (hour,) = hourly([sums(1, "a", 3), sums(2, "a", 4)], HOUR)
    assert hour == Sums(HOUR, "a", 7, 7.0, 1.0, 4.0)
