"""Redis is a help that may be gone: cache and rate limits with it, and without."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest

from tally.problems import Problem
from tally.query.far import Far, client_of
from tally.query.rates import Rates
from tally.settings import Settings

pytestmark = pytest.mark.live

AWAY = "redis://127.0.0.1:1/0"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def run(settings: Settings, work: Callable[[Far, Clock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = Clock()
        far = Far(client_of(settings) if settings.redis_url else None, clock)
        try:
            await work(far, clock)
        finally:
            await far.close()

    asyncio.run(main())


def test_what_is_put_is_there_and_ends(cached: Settings) -> None:
    async def work(far: Far, _: Clock) -> None:
        assert await far.get("test:missing") is None
        await far.put("test:a", b"value", 0.5)
        assert await far.get("test:a") == b"value"
        await asyncio.sleep(0.6)
        assert await far.get("test:a") is None

    run(cached, work)


def test_many_at_once_wait_for_a_connection_and_none_is_refused(cached: Settings) -> None:
    async def work(far: Far, _: Clock) -> None:
        await asyncio.gather(*(far.put(f"test:{n}", b"1", 1.0) for n in range(256)))
        assert not far.away

    run(cached, work)


def test_its_absence_is_said_once_and_asked_about_once_a_second(
    cached: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(far: Far, clock: Clock) -> None:
        for _ in range(5):
            assert await far.get("a") is None
            await far.put("a", b"1", 1.0)
        clock.now += 2
        assert await far.get("a") is None

    with caplog.at_level(logging.WARNING, "tally.redis"):
        run(replace(cached, redis_url=AWAY), work)
    assert len(caplog.records) == 1


def granted(rates: Rates, customer: int, tries: int) -> Awaitable[int]:
    async def counted() -> int:
        taken = 0
        for _ in range(tries):
            with suppress(Problem):
                await rates.take(customer)
                taken += 1
        return taken

    return counted()


def test_workers_share_a_customers_rate(cached: Settings) -> None:
    async def work(far: Far, clock: Clock) -> None:
        workers = [Rates(far, 100, 2, clock) for _ in range(2)]
        found = await asyncio.gather(*(granted(each, 81_001, 200) for each in workers))
        assert sum(found) == 100
        assert min(found) > 0
        clock.now += 1
        assert await granted(workers[0], 81_001, 200) == 100

    run(cached, work)


def test_without_redis_each_has_its_part(cached: Settings) -> None:
    async def work(far: Far, clock: Clock) -> None:
        assert await granted(Rates(far, 100, 2, clock), 81_002, 200) == 50

    run(replace(cached, redis_url=""), work)
    run(replace(cached, redis_url=AWAY), work)


def test_who_finds_out_together_that_redis_is_away_has_one_part(cached: Settings) -> None:
    async def work(far: Far, clock: Clock) -> None:
        rates = Rates(far, 100, 2, clock)
        found = await asyncio.gather(*(granted(rates, 81_005, 20) for _ in range(10)))
        assert sum(found) == 50

    run(replace(cached, redis_url=AWAY), work)


def test_who_is_refused_is_told_when_to_come_back(cached: Settings) -> None:
    async def work(far: Far, clock: Clock) -> None:
        rates = Rates(far, 1, 1, clock)
        await rates.take(81_004)
        with pytest.raises(Problem) as caught:
            await rates.take(81_004)
        assert (caught.value.status, caught.value.retry_after) == (429, 1)

    run(replace(cached, redis_url=""), work)


def test_no_rate_is_no_limit(cached: Settings) -> None:
    async def work(far: Far, clock: Clock) -> None:
        assert await granted(Rates(far, 0, 2, clock), 81_003, 500) == 500

    run(replace(cached, redis_url=""), work)


def test_a_connection_that_the_loop_has_just_closed_is_an_absence_like_others(
    cached: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """uvloop says so with an error that is no OSError."""

    class Closed:
        async def get(self, key: str) -> bytes:
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    async def work(_: Far, clock: Clock) -> None:
        far = Far(cast(Any, Closed()), clock)
        assert await far.get("test:a") is None
        assert far.away

    run(cached, work)
    (said,) = [each for each in caplog.records if each.name == "tally.redis"]
    assert "goes on without it" in said.message
