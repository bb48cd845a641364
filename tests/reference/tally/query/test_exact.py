"""Aggregates of any events are what somebody would count by hand."""

from __future__ import annotations

import asyncio
import math
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any

import msgspec
import psycopg
import pytest

from tally import db
from tally.ingest.rows import Row
from tally.ingest.series import Series
from tally.ingest.writer import Writer
from tally.model import Status
from tally.query.ask import SPANS, Aggregate, query_of
from tally.query.far import Far
from tally.query.metrics import Metrics
from tally.settings import Limits, Settings

pytestmark = pytest.mark.live

_CUSTOMERS = count(90_001)
NOW = datetime.now(UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
EDGES = [MIDNIGHT - timedelta(days=d, hours=h) for d in range(3) for h in (0, 1, 23)]
ZONES = [timezone(timedelta(minutes=each)) for each in (0, 330, -720, 840, 1)]
DIMENSIONS = {
    "country": ["de", "fr", "\u00fc", ""],
    "plan": ["pro", "'\"\\\\"],
    "user": [str(n) for n in range(9)],
}
Told = dict[tuple[str, ...], dict[str, float | None]]


def at(chance: random.Random) -> datetime:
    """Anywhere, or within a microsecond of an edge; said in any zone."""
    found = chance.choice(EDGES) + timedelta(microseconds=chance.choice((-1, 0, 1)))
    if chance.random() < 0.5:
        found = MIDNIGHT - timedelta(seconds=chance.uniform(0, 3 * 86_400))
    return found.astimezone(chance.choice(ZONES))


def rows(chance: random.Random, customer: int) -> list[Row]:
    """Some ids come again: on the same day and on another."""
    found = []
    for _ in range(400):
        names = chance.sample(sorted(DIMENSIONS), chance.randrange(len(DIMENSIONS) + 1))
        given = {name: chance.choice(DIMENSIONS[name]) for name in sorted(names)}
        text = msgspec.json.encode(given).decode()
        value = chance.choice((1.0, -2.5, 0.1, 1e15, 0.0))
        event_id, name = f"e{chance.randrange(250)}", chance.choice(("view", "buy"))
        found.append(Row(customer, event_id, name, at(chance), value, text, "{}"))
    return found


def question(chance: random.Random) -> dict[str, Any]:
    granularity = chance.choice(("minute", "hour", "day"))
    end = MIDNIGHT + timedelta(minutes=chance.randrange(-1_440, 1_441))
    start = end - timedelta(minutes=chance.randrange(1, 2_800))
    zone = chance.choice(ZONES)
    return {
        "name": chance.choice(("view", "buy")),
        "granularity": granularity,
        "from": start.astimezone(zone).isoformat(),
        "to": end.astimezone(zone).isoformat(),
        "dimensions": chance.sample(sorted(DIMENSIONS), chance.randrange(3)),
        "filter": {
            name: chance.choice(DIMENSIONS[name])
            for name in chance.sample(sorted(DIMENSIONS), chance.randrange(3))
        },
        "unique_of": chance.choice(sorted(DIMENSIONS)),
    }


def by_hand(stored: list[Row], asked: dict[str, Any]) -> Told:
    span = SPANS[asked["granularity"]]
    start, end = (datetime.fromisoformat(asked[each]) for each in ("from", "to"))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start, end = epoch + (start - epoch) // span * span, epoch - (epoch - end) // span * span
    groups: dict[tuple[str, ...], list[tuple[float, dict[str, str]]]] = defaultdict(list)
    for row in stored:
        given = msgspec.json.decode(row.dimensions, type=dict[str, str])
        if row.name != asked["name"] or not start <= row.at < end:
            continue
        if any(given.get(name) != value for name, value in asked["filter"].items()):
            continue
        bucket = (epoch + (row.at - epoch) // span * span).strftime("%Y-%m-%dT%H:%M:%SZ")
        key = (bucket, *(repr(given.get(name)) for name in asked["dimensions"]))
        groups[key].append((row.value, given))
    return {key: _summed(each, asked["unique_of"]) for key, each in groups.items()}


def _summed(group: list[tuple[float, dict[str, str]]], unique_of: str) -> dict[str, float | None]:
    values = [value for value, _ in group]
    total = math.fsum(values)
    users = {given[unique_of] for _, given in group if unique_of in given}
    return {
        "count": len(values),
        "sum": total,
        "avg": total / len(values),
        "min": min(values),
        "max": max(values),
        "unique": len(users),
    }


async def told(metrics: Metrics, customer: int, asked: dict[str, Any]) -> Told:
    pairs = [(name, asked[name]) for name in ("name", "granularity", "from", "to", "unique_of")]
    pairs += [("dimensions", ",".join(asked["dimensions"])), ("aggregates", ",".join(Aggregate))]
    pairs += [("filter", f"{name}:{value}") for name, value in asked["filter"].items()]
    found = msgspec.json.decode(await metrics.document(query_of(customer, pairs, NOW, Limits())))
    assert found["folded"] == 0
    return {
        (row["bucket"], *(repr(row["dimensions"][name]) for name in asked["dimensions"])): {
            str(each): row[each] for each in Aggregate
        }
        for row in found["rows"]
    }


@pytest.mark.parametrize("seed", range(3))
def test_any_question_of_any_events_has_the_answer_of_a_count_by_hand(
    settings: Settings, seed: int
) -> None:
    chance, customer = random.Random(seed), next(_CUSTOMERS)

    async def main() -> None:
        async with db.async_pool(settings) as pool:
            writers = [Writer(pool, Series(1_000)) for _ in range(2)]
            for each in writers:
                await each.start()
            given, first, stored = rows(chance, customer), {}, []
            for row in given:  # as one client that waits for each answer would be told
                outcome = (await chance.choice(writers).write([row]))[0]
                new = row.identity not in first
                assert outcome is (Status.ACCEPTED if new else Status.DUPLICATE)
                if new:
                    first[row.identity] = row
                    stored.append(row)
            metrics = Metrics(pool, Far(None), cache_s=0.0, memory_s=0.0, most_rows=10_000)
            for _ in range(40):
                asked = question(chance)
                expected, found = by_hand(stored, asked), await told(metrics, customer, asked)
                assert found.keys() == expected.keys(), asked
                for key, values in expected.items():
                    assert found[key] == pytest.approx(values, rel=1e-9, abs=1e-3), (asked, key)
            for each in writers:
                await each.close()

    asyncio.run(main())


def test_one_id_from_everywhere_at_once_is_accepted_once(settings: Settings) -> None:
    """In one batch, in many, at other times of its day, and through three processes' writers."""
    customer = next(_CUSTOMERS)
    times = [MIDNIGHT - timedelta(seconds=each) for each in (1, 3_600, 86_399)]

    async def main() -> None:
        async with db.async_pool(settings) as pool:
            writers = [Writer(pool, Series(100)) for _ in range(3)]
            for each in writers:
                await each.start()
            batches = [
                [
                    Row(customer, f"e{n % 20}", "n", times[(n + b) % 3], 1.0, "{}", "{}")
                    for n in range(50)
                ]
                for b in range(12)
            ]
            answers = await asyncio.gather(
                *(writers[b % 3].write(batch) for b, batch in enumerate(batches))
            )
            for each in writers:
                await each.close()
        outcomes = [outcome for answer in answers for outcome in answer]
        assert outcomes.count(Status.ACCEPTED) == 20
        assert outcomes.count(Status.DUPLICATE) == 12 * 50 - 20

    asyncio.run(main())
    with psycopg.connect(settings.database_url) as connection:
        counts = [
            connection.execute(
                f"SELECT sum({column})::int FROM {table} WHERE customer_id = %s".encode(), (customer,)
            ).fetchall()
            for table, column in (
                ("events", "value"), ("rollup_minute", "count"), ("rollup_hour", "count"),
                ("usage_outbox", "events"),
            )
        ]  # fmt: skip
    assert counts == [[(20,)]] * 4
