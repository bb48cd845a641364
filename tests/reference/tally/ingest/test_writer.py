"""What is acknowledged is committed, once, and one bad row harms no other."""

from __future__ import annotations

import asyncio
import json
import random
import string
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from tally import db
from tally.ingest.faults import Fault, Unavailable, fault_of
from tally.ingest.rows import Row
from tally.ingest.series import OVERFLOW, Series
from tally.ingest.writer import Writer
from tally.model import Rejected, Status, problem_of
from tally.schema.migrate import to
from tally.settings import Settings
from tests.support.postgres import Postgres

pytestmark = pytest.mark.live

_CUSTOMERS = count(70_001)
ACCEPTED, DUPLICATE = Status.ACCEPTED, Status.DUPLICATE


def row(event_id: str, customer: int = 1, **changed: Any) -> Row:
    at = changed.pop("at", datetime.now(UTC) - timedelta(seconds=1))
    fields: dict[str, Any] = {
        "name": "n",
        "value": 1.0,
        "dimensions": "{}",
        "properties": "{}",
    } | changed
    return Row(customer, event_id, at=at, **fields)


class Counted(Writer):
    """Counts its transactions."""

    transactions = 0

    async def _new(self, given: Any) -> set[int]:
        self.transactions += 1
        return await super()._new(given)


def written(
    settings: Settings,
    work: Callable[[Counted], Awaitable[None]],
    *,
    series: int = 100,
    **options: Any,
) -> None:
    async def run() -> None:
        async with db.async_pool(settings) as pool:
            writer = Counted(pool, Series(series), **options)
            await writer.start()
            try:
                await work(writer)
            finally:
                await writer.close()

    asyncio.run(run())


def asked(settings: Settings, question: str, customer: int) -> list[Any]:
    with psycopg.connect(settings.database_url) as connection:
        return connection.execute(question.encode(), {"customer": customer}).fetchall()


@pytest.fixture
def customer() -> int:
    """Nobody else's."""
    return next(_CUSTOMERS)


def test_a_row_is_new_once(settings: Settings, customer: int) -> None:
    async def work(writer: Counted) -> None:
        one = row("a", customer)
        assert await writer.write([one]) == [ACCEPTED]
        assert await writer.write([one]) == [DUPLICATE]
        assert await writer.write([row("b", customer), one]) == [ACCEPTED, DUPLICATE]

    written(settings, work)
    found = asked(
        settings, "SELECT count(*) FROM events WHERE customer_id = %(customer)s", customer
    )
    assert found == [(2,)]


def test_of_equal_rows_in_one_transaction_the_first_is_new(
    settings: Settings, customer: int
) -> None:
    async def work(writer: Counted) -> None:
        found = await asyncio.gather(
            *(writer.write([row("a", customer), row("a", customer)]) for _ in range(3))
        )
        assert found == [[ACCEPTED, DUPLICATE], [DUPLICATE] * 2, [DUPLICATE] * 2]

    written(settings, work)


def test_the_same_id_is_another_event_on_another_day(settings: Settings, customer: int) -> None:
    noon = datetime.now(UTC).replace(hour=12) - timedelta(days=2)

    async def work(writer: Counted) -> None:
        assert await writer.write([row("a", customer, at=noon)]) == [ACCEPTED]
        later = noon + timedelta(hours=3)
        assert await writer.write([row("a", customer, at=later)]) == [DUPLICATE]
        tomorrow = noon + timedelta(days=1)
        assert await writer.write([row("a", customer, at=tomorrow)]) == [ACCEPTED]

    written(settings, work)


def test_rollups_and_usage_are_of_new_rows_alone(settings: Settings, customer: int) -> None:
    at = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=2)
    rows = [row(f"e{n}", customer, at=at, value=float(n)) for n in range(4)]

    async def work(writer: Counted) -> None:
        await writer.write(rows[:3])
        await writer.write(rows)

    written(settings, work)
    for table in ("rollup_minute", "rollup_hour"):
        question = f"SELECT count, sum, min, max FROM {table} WHERE customer_id = %(customer)s"
        assert asked(settings, question, customer) == [(4, 6.0, 0.0, 3.0)]
    usage = "SELECT events FROM usage_outbox WHERE customer_id = %(customer)s ORDER BY id"
    assert asked(settings, usage, customer) == [(3,), (1,)]


def test_those_who_wait_share_a_transaction(settings: Settings, customer: int) -> None:
    async def work(writer: Counted) -> None:
        found = await asyncio.gather(*(writer.write([row(f"e{n}", customer)]) for n in range(100)))
        assert found == [[ACCEPTED]] * 100
        assert writer.transactions <= 2

    written(settings, work)


def test_an_event_alone_is_written_at_once_and_those_after_it_share_a_transaction(
    settings: Settings, customer: int
) -> None:
    async def work(writer: Counted) -> None:
        await writer.write([row("alone", customer)])
        assert writer.transactions == 1
        late = asyncio.create_task(writer.write([row("first", customer)]))
        await asyncio.sleep(0.05)
        assert await writer.write([row("second", customer)]) == await late == [ACCEPTED]
        assert writer.transactions == 2

    written(settings, work, pace_s=1.0)


def test_enough_rows_for_a_transaction_wait_for_no_others(
    settings: Settings, customer: int
) -> None:
    booted = time.monotonic()

    async def work(writer: Counted) -> None:
        async with asyncio.timeout(60):
            await writer.write([row("alone", customer)])
            await writer.write([row("a", customer), row("b", customer)])

    # The machine runs for less than that.
    written(settings, work, pace_s=3_600.0, rows=2, clock=lambda: time.monotonic() - booted)


def test_a_row_that_cannot_be_stored_fails_alone(settings: Settings, customer: int) -> None:
    async def work(writer: Counted) -> None:
        good = [row(f"e{n}", customer) for n in range(20)]
        bad = row("bad", customer, dimensions="{")
        found = await asyncio.gather(*(writer.write([each]) for each in [*good, bad]))
        assert found[:20] == [[ACCEPTED]] * 20
        (told,) = found[20]
        assert isinstance(told, Rejected)
        assert told.reason == "not-storable"

    written(settings, work)


def test_a_row_that_fits_into_no_index_fails_alone(settings: Settings, customer: int) -> None:
    noise = "".join(random.Random(1).choices(string.printable, k=9_000))
    large = row("large", customer, dimensions=json.dumps({"a": noise}))

    async def work(writer: Counted) -> None:
        found = await asyncio.gather(
            *(writer.write([each]) for each in (row("a", customer), large, row("b", customer)))
        )
        (refused,) = found[1]
        assert (found[0], found[2]) == ([ACCEPTED], [ACCEPTED])
        assert isinstance(refused, Rejected)
        assert (refused.reason, refused.status) == ("not-storable", 422)

    written(settings, work)


def day_of(at: datetime) -> str:
    return f"events_{at:%Y%m%d}"


def test_a_day_that_is_missing_is_opened(
    settings: Settings, customer: int, caplog: pytest.LogCaptureFixture
) -> None:
    at = datetime.now(UTC) + timedelta(days=6)
    with psycopg.connect(settings.database_url) as connection:
        connection.execute(f"DROP TABLE {day_of(at)}".encode())

    async def work(writer: Counted) -> None:
        assert await writer.write([row("a", customer, at=at), row("b", customer)]) == [ACCEPTED] * 2
        assert await writer.write([row("a", customer, at=at)]) == [DUPLICATE]

    written(settings, work)
    (said,) = [each.getMessage() for each in caplog.records if each.name == "tally.ingest"]
    assert said.startswith("days were missing")


def test_an_event_whose_day_cannot_be_opened_fails_alone(settings: Settings, customer: int) -> None:
    late = row("late", customer, at=datetime.now(UTC) - timedelta(days=40))

    async def work(writer: Counted) -> None:
        found = await asyncio.gather(
            *(writer.write([each]) for each in (row("a", customer), late, row("b", customer)))
        )
        (refused,) = found[1]
        assert (found[0], found[2]) == ([ACCEPTED], [ACCEPTED])
        assert isinstance(refused, Rejected)
        assert (refused.reason, refused.status) == ("day-not-open", 503)
        assert problem_of(refused).retry_after

    written(settings, work)


def test_series_beyond_the_limit_are_counted_as_one(settings: Settings, customer: int) -> None:
    async def work(writer: Counted) -> None:
        await writer.write(
            [row(f"e{n}", customer, dimensions=f'{{"user":"{n}"}}') for n in range(10)]
        )

    written(settings, work, series=3)
    question = "SELECT count(*), sum(count) FROM rollup_hour WHERE customer_id = %(customer)s"
    assert asked(settings, question, customer) == [(4, 10)]
    folded = (
        f"SELECT count FROM rollup_hour WHERE customer_id = %(customer)s AND dims = '{OVERFLOW}'"
    )
    assert asked(settings, folded, customer) == [(7,)]


def test_a_lost_connection_is_replaced(settings: Settings, customer: int) -> None:
    """As when PostgreSQL restarts between two requests."""

    async def work(writer: Counted) -> None:
        await writer.write([row("a", customer)])
        assert writer._connection is not None
        pid = writer._connection.info.backend_pid
        with psycopg.connect(settings.database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        assert await writer.write([row("b", customer)]) == [ACCEPTED]

    written(settings, work)


def test_nothing_is_acknowledged_while_the_database_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(writer: Counted) -> None:
        with pytest.raises(Unavailable):
            await writer.write([row("a")])
        with pytest.raises(Unavailable, match="cannot be reached"):
            await writer.write([row("b")])

    nobody = Settings("postgresql://nobody@127.0.0.1:1/none", acquire_s=0.2)
    with caplog.at_level("INFO", "tally.ingest"):
        written(nobody, work)
    (said,) = [each for each in caplog.records if each.name == "tally.ingest"]
    assert said.levelname == "INFO", "a service may start before its database"
    assert "not there yet" in said.message


def test_a_database_that_goes_away_is_told_of_once_and_so_is_its_return(
    own: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(own.url, acquire_s=1.0)
    to(settings)

    async def work(writer: Counted) -> None:
        await writer.write([row("a")])
        own.stop()
        for number in range(3):
            with pytest.raises(Unavailable):
                await writer.write([row(f"away-{number}")])
        own.start()
        async with asyncio.timeout(30):
            while writer.away is not None:
                await asyncio.sleep(0.01)
        assert await writer.write([row("b")]) == [ACCEPTED]

    try:
        with caplog.at_level("INFO", "tally.ingest"):
            written(settings, work)
    finally:
        if not own.is_running:
            own.start()
    said = [each.message for each in caplog.records if each.name == "tally.ingest"]
    assert len(said) == 2, said
    assert "events are refused" in said[0]
    assert "events are taken" in said[1]


def test_what_is_being_written_is_written_before_the_end(settings: Settings, customer: int) -> None:
    async def work(writer: Counted) -> None:
        waiting = [asyncio.create_task(writer.write([row(f"e{n}", customer)])) for n in range(9)]
        await asyncio.sleep(0)
        await writer.close()
        assert await asyncio.gather(*waiting) == [[ACCEPTED]] * 9

    written(settings, work)


def test_the_queue_is_bounded(settings: Settings, customer: int) -> None:
    async def work(writer: Counted) -> None:
        rows = [row(f"e{n}", customer) for n in range(6)]
        found = await asyncio.gather(
            writer.write(rows[:3]), writer.write(rows[3:]), return_exceptions=True
        )
        assert found[0] == [ACCEPTED] * 3
        assert isinstance(found[1], Unavailable)

    written(settings, work, most_waiting=5)


def test_nobody_waits_for_a_server_that_hangs(settings: Settings, customer: int) -> None:
    now, answered = [0.0], asyncio.Event()

    class Hanging(Counted):
        async def _new(self, given: Any) -> set[int]:
            await answered.wait()
            return await super()._new(given)

    async def main() -> None:
        async with db.async_pool(settings) as pool:
            writer = Hanging(pool, Series(100), patience_s=6.0, clock=lambda: now[0])
            await writer.start()
            first = asyncio.create_task(writer.write([row("a", customer)]))
            while not writer._writing:
                await asyncio.sleep(0)
            now[0] = 5.0
            second = asyncio.create_task(writer.write([row("b", customer)]))
            await asyncio.sleep(0)
            now[0] = 7.0
            with pytest.raises(Unavailable, match="does not answer"):
                await writer.write([row("c", customer)])
            answered.set()
            assert [await first, await second] == [[ACCEPTED], [ACCEPTED]]
            assert await writer.write([row("c", customer)]) == [ACCEPTED]
            await writer.close()

    asyncio.run(main())


def test_a_client_that_leaves_harms_nobody(settings: Settings, customer: int) -> None:
    async def work(writer: Counted) -> None:
        gone = asyncio.create_task(writer.write([row("a", customer)]))
        stays = asyncio.create_task(writer.write([row("b", customer)]))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == [ACCEPTED]

    written(settings, work)


def test_two_writers_never_wait_for_each_other_for_good(settings: Settings, customer: int) -> None:
    """The same events and series in opposite orders, as two workers may get them."""

    async def run() -> None:
        async with db.async_pool(settings) as pool:
            writers = [Writer(pool, Series(100)) for _ in range(2)]
            for each in writers:
                await each.start()
            for turn in range(20):
                rows = [
                    row(f"{turn}-{n}", customer, dimensions=f'{{"n":"{n}"}}') for n in range(30)
                ]
                one, other = await asyncio.gather(
                    writers[0].write(rows), writers[1].write(rows[::-1])
                )
                stored = [ACCEPTED in pair for pair in zip(one, other[::-1], strict=True)]
                assert all(stored)
                assert (one + other).count(ACCEPTED) == 30
            for each in writers:
                await each.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("22P02", Fault.ROW),
        ("54000", Fault.ROW),
        ("23514", Fault.DAY),
        ("40P01", Fault.TURN),
        ("40001", Fault.TURN),
        ("08006", Fault.CONNECTION),
        ("57P01", Fault.CONNECTION),
        ("25006", Fault.PLACE),
        ("57014", Fault.SERVER),
        ("53100", Fault.SERVER),
    ],
)
def test_who_is_to_blame_is_a_table(code: str, fault: Fault) -> None:
    assert fault_of(psycopg.errors.lookup(code)()) is fault


def test_a_pool_that_has_tried_is_not_asked_again() -> None:
    assert fault_of(PoolTimeout("no connection within 2 s")) is Fault.SERVER


def test_an_error_without_a_code_is_the_connections() -> None:
    assert fault_of(psycopg.OperationalError("server closed the connection")) is Fault.CONNECTION
    assert fault_of(OSError("unreachable")) is Fault.CONNECTION
