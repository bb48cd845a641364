"""Billing hears of every event once, whatever its pods do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from tally.legacy import BillingClient, BillingError
from tally.settings import Settings
from tally.upstreams import __main__ as upstreams
from tally.upstreams import services
from tally.worker import outbox as module
from tally.worker.outbox import Client, Outbox, pods
from tests.reference.tally.worker.conftest import OpenPool, Pool

pytestmark = pytest.mark.live

Make: TypeAlias = Callable[[str], Client]


class Ledger:
    """Billing, as all its pods see it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.booked: dict[str, tuple[int, int]] = {}
        self.release = threading.Event()
        self._lock = threading.Lock()

    def book(self, url: str, customer: int, events: int, reference: str | None) -> str:
        assert reference is not None
        with self._lock:
            self.calls.append((url, reference))
            self.booked.setdefault(reference, (customer, events))
        return f"receipt of {reference}"


class Good:
    def __init__(self, ledger: Ledger, url: str) -> None:
        self.ledger, self.url = ledger, url

    def record_usage(self, customer: int, events: int, reference: str | None = None) -> str:
        return self.ledger.book(self.url, customer, events, reference)


class Broken(Good):
    def record_usage(self, customer: int, events: int, reference: str | None = None) -> str:
        raise BillingError(f"{self.url} is out of order")


class Hanging(Good):
    """Books at once, and does not answer until it is released: the worst of both."""

    def record_usage(self, customer: int, events: int, reference: str | None = None) -> str:
        receipt = super().record_usage(customer, events, reference)
        self.ledger.release.wait()
        return receipt


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    found = Ledger()
    yield found
    found.release.set()


def by_name(ledger: Ledger) -> Make:
    kinds: dict[str, type[Good]] = {"good": Good, "broken": Broken, "hanging": Hanging}
    return lambda url: kinds[url.split("-")[0]](ledger, url)


async def filled(pool: Pool, rows: int, customers: int | None = None) -> None:
    """Of one customer each, if nothing else is said."""
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO usage_outbox (customer_id, events) SELECT n %% %s, n FROM generate_series(1, %s) n",
            (customers or rows, rows),
        )


async def waiting(pool: Pool) -> int:
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM usage_outbox WHERE sent_at IS NULL")
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


def drained(
    open_pool: OpenPool, ledger: Ledger, urls: list[str], rows: int, deadline_s: float = 30.0
) -> tuple[int, int]:
    """How many were sent, and how many wait."""

    async def main() -> tuple[int, int]:
        async with open_pool() as pool:
            await filled(pool, rows)
            outbox = Outbox(pool, pods(urls, deadline_s, by_name(ledger)))
            return await outbox.drain(), await waiting(pool)

    return asyncio.run(main())


def test_each_row_is_sent_once_and_kept_with_its_receipt(
    open_pool: OpenPool, ledger: Ledger
) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await filled(pool, 200)
            outbox = Outbox(pool, pods(["good-1", "good-2", "good-3"], 30.0, by_name(ledger)))
            assert await outbox.drain() == 200
            assert await outbox.drain() == 0
            async with pool.connection() as connection:
                cursor = await connection.execute("SELECT id, receipt FROM usage_outbox")
                rows = await cursor.fetchall()
        assert all(receipt == f"receipt of tally-usage-{number}" for number, receipt in rows)
        assert len(ledger.calls) == len(ledger.booked) == 200
        assert {url for url, _ in ledger.calls} == {"good-1", "good-2", "good-3"}

    asyncio.run(main())


def test_without_pods_usage_stays_where_it_is(open_pool: OpenPool, ledger: Ledger) -> None:
    assert drained(open_pool, ledger, [], 5) == (0, 5)


def test_a_pod_that_refuses_costs_nothing_and_is_told_once(
    open_pool: OpenPool, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    assert drained(open_pool, ledger, ["broken-1", "good-2", "good-3"], 100) == (100, 0)
    assert len(ledger.booked) == 100
    (told,) = [record for record in caplog.records if record.name == "tally.billing"]
    assert told.message == "billing at broken-1 takes nothing: broken-1 is out of order"


def test_a_pod_that_hangs_keeps_its_own_threads_and_no_row(
    open_pool: OpenPool, ledger: Ledger
) -> None:
    urls = ["hanging-1", "good-2", "good-3"]
    assert drained(open_pool, ledger, urls, 150, deadline_s=0.3) == (150, 0)
    asked = [reference for url, reference in ledger.calls if url == "hanging-1"]
    assert len(asked) == module.THREADS
    assert len(ledger.booked) == 150  # what the hanging pod had booked is not booked again


def test_two_of_three_may_hang(open_pool: OpenPool, ledger: Ledger) -> None:
    urls = ["hanging-1", "hanging-2", "good-3"]
    assert drained(open_pool, ledger, urls, 60, deadline_s=0.3) == (60, 0)


def test_what_nobody_takes_rests_and_is_sent_later(
    open_pool: OpenPool, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await filled(pool, 20)
            assert await Outbox(pool, pods(["broken-1"], 30.0, by_name(ledger))).drain() == 0
            outbox = Outbox(pool, pods(["good-1"], 30.0, by_name(ledger)))
            assert await outbox.drain() == 0
            assert await waiting(pool) == 20
            async with pool.connection() as connection:  # time passes
                await connection.execute(
                    "UPDATE usage_outbox SET claimed_until = claimed_until - interval '1 hour'"
                )
            assert await outbox.drain() == 20

    asyncio.run(main())


def test_two_workers_share_the_rows(open_pool: OpenPool, ledger: Ledger) -> None:
    async def main() -> None:
        async with open_pool() as pool, open_pool() as other:
            await filled(pool, 300)
            boxes = [
                Outbox(each, pods(["good-1"], 30.0, by_name(ledger))) for each in (pool, other)
            ]
            assert sum(await asyncio.gather(*(box.drain() for box in boxes))) == 300
        assert len(ledger.calls) == 300

    asyncio.run(main())


def test_rows_of_a_customer_that_nobody_has_claimed_are_sent_as_one(
    open_pool: OpenPool, ledger: Ledger
) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await filled(pool, 900, customers=3)
            outbox = Outbox(pool, pods(["good-1"], 30.0, by_name(ledger)))
            assert await outbox.drain() == 3
            assert await waiting(pool) == 0
        assert sorted(ledger.booked.values()) == [
            (customer, sum(n for n in range(1, 901) if n % 3 == customer)) for customer in range(3)
        ]

    asyncio.run(main())


def test_what_was_claimed_once_keeps_its_number_and_its_sum(
    open_pool: OpenPool, ledger: Ledger
) -> None:
    """Billing may have it: only a pod that booked and did not answer knows."""

    async def main() -> None:
        async with open_pool() as pool:
            await filled(pool, 10, customers=1)
            hanging = pods(["hanging-1"], 0.2, by_name(ledger))
            assert await Outbox(pool, hanging).drain() == 0
            await filled(pool, 10, customers=1)
            async with pool.connection() as connection:  # time passes
                await connection.execute(
                    "UPDATE usage_outbox SET claimed_until = claimed_until - interval '1 hour'"
                )
            good = pods(["good-2"], 30.0, by_name(ledger))
            assert await Outbox(pool, good).drain() == 2
        assert [events for _, events in ledger.booked.values()] == [55, 55]

    asyncio.run(main())


def test_what_comes_while_it_sends_gathers_until_the_next_time(
    open_pool: OpenPool, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a busy customer would be billed without a pause, a few events at a time."""
    noted = Outbox._note

    async def noted_late(self: Outbox, receipts: dict[int, str]) -> None:
        await filled(self.pool, 10, customers=1)
        await noted(self, receipts)

    monkeypatch.setattr(Outbox, "_note", noted_late)

    async def main() -> None:
        async with open_pool() as pool:
            await filled(pool, 10, customers=1)
            outbox = Outbox(pool, pods(["good-1"], 30.0, by_name(ledger)))
            assert await outbox.drain() == 1
            assert await waiting(pool) == 10

    asyncio.run(main())


def test_two_workers_beside_busy_writers_bill_every_event_once(
    open_pool: OpenPool, ledger: Ledger
) -> None:
    async def main() -> None:
        async with open_pool() as pool, open_pool() as other:

            async def writer() -> None:
                for _ in range(20):
                    await filled(pool, 30, customers=4)

            async def worker(own: Pool) -> None:
                outbox = Outbox(own, pods(["good-1", "good-2"], 30.0, by_name(ledger)))
                while not all(each.done() for each in writers):
                    await outbox.drain()
                await outbox.drain()

            writers = [asyncio.create_task(writer()) for _ in range(3)]
            await asyncio.gather(worker(pool), worker(other))
            assert await waiting(pool) == 0
        assert len(ledger.calls) == len(ledger.booked)
        assert sum(events for _, events in ledger.booked.values()) == 60 * sum(range(1, 31))

    asyncio.run(main())


def test_rows_that_a_sibling_is_claiming_are_not_waited_for(
    open_pool: OpenPool, ledger: Ledger
) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await filled(pool, 30)
            outbox = Outbox(pool, pods(["good-1"], 30.0, by_name(ledger)))
            async with asyncio.timeout(30), pool.connection() as sibling, sibling.transaction():
                await sibling.execute("SELECT FROM usage_outbox ORDER BY id LIMIT 10 FOR UPDATE")
                assert await outbox.drain() == 20

    asyncio.run(main())


def test_a_worker_that_dies_after_sending_is_overtaken_and_nothing_is_booked_twice(
    open_pool: OpenPool, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    async def main() -> None:
        async with open_pool() as pool:
            await filled(pool, 30)
            outbox = Outbox(pool, pods(["good-1"], 30.0, by_name(ledger)))

            async def dying(self: Outbox, receipts: dict[int, str]) -> None:
                raise Killed

            with monkeypatch.context() as patched:
                patched.setattr(Outbox, "_note", dying)
                with pytest.raises(Killed):
                    await outbox.drain()
            async with pool.connection() as connection:
                await connection.execute(
                    "UPDATE usage_outbox SET claimed_until = now() - interval '1 s'"
                )
            assert await outbox.drain() == 30
        assert len(ledger.calls) == 60
        assert sum(events for _, events in ledger.booked.values()) == sum(range(1, 31))

    asyncio.run(main())


# --- the real client, the real service ---------------------------------------------------------------


@asynccontextmanager
async def billing(*hangs: upstreams.Hang) -> AsyncIterator[list[str]]:
    opened = await upstreams.open_all(3, 0.0, hangs, services.in_memory({}))
    try:
        yield upstreams.urls(opened)["billing"]
    finally:
        for servers in opened.values():
            for server in servers:
                server.close()


def test_the_legacy_client_with_one_pod_of_three_hanging(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool, billing(upstreams.Hang("billing", 1, 3.0)) as urls:
            await filled(pool, 40)
            outbox = Outbox(pool, pods(urls, 0.5))
            assert await outbox.drain() == 40
            assert await waiting(pool) == 0
            assert BillingClient(urls[1]).url == urls[1]

    asyncio.run(main())


def test_what_billing_has_had_for_long_is_forgotten_and_nothing_else(open_pool: OpenPool) -> None:
    async def main() -> None:
        async with open_pool() as pool:
            await filled(pool, 25)
            async with pool.connection() as connection:
                await connection.execute(
                    """UPDATE usage_outbox SET created_at = now() - interval '40 days',
                    sent_at = CASE WHEN id % 5 = 0 THEN NULL WHEN id % 5 = 1 THEN now()
                        ELSE now() - interval '31 days' END"""
                )
            assert await Outbox(pool, ()).forget(30) == 15
            assert await Outbox(pool, ()).forget(30) == 0
            async with pool.connection() as connection:
                cursor = await connection.execute("SELECT id % 5 FROM usage_outbox ORDER BY 1")
                assert [row[0] for row in await cursor.fetchall()] == [0] * 5 + [1] * 5

    asyncio.run(main())


def test_settings_name_the_pods() -> None:
    settings = Settings("postgresql://x", billing_urls=("http://a", "http://b"))
    found = pods(settings.billing_urls, settings.upstream_s)
    assert [each.url for each in found] == ["http://a", "http://b"]
    assert [each.lane.name for each in found] == ["billing-1", "billing-2"]
