"""The recipe of docs/how-to/retries.md: retries inside a breaker around a lane, all inside a deadline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.guard.asgi import answer, ask
from unstall import Deadline, Lane, LaneDeadline, LaneFull, LaneTimeout, remaining
from unstall.errors import LaneError

stamina = pytest.importorskip("stamina")
purgatory = pytest.importorskip("purgatory")
OpenedState = pytest.importorskip("purgatory.domain.model").OpenedState


class Unavailable(Exception):
    """What the SDK raises while its server is away."""


def worth_another_try(error: Exception) -> bool:
    """Only what was not begun, or is safe to do twice, and only while there is time."""
    left = remaining()
    return isinstance(error, Unavailable | LaneTimeout) and (left is None or left > 0.05)


class Billing:
    """The recipe."""

    def __init__(self, lane: Lane, call: Callable[[int], str]) -> None:
        self.lane = lane
        self.call = call
        self.breakers = purgatory.AsyncCircuitBreakerFactory(
            default_threshold=3, default_ttl=60, exclude=[LaneFull]
        )

    async def receipt(self, order: int) -> str:
        async for attempt in stamina.retry_context(
            on=worth_another_try, attempts=3, wait_initial=0.01, wait_max=0.02, timeout=None
        ):
            with attempt:
                async with await self.breakers.get_breaker("billing"):
                    return await self.lane.run(self.call, order)
        raise AssertionError("stamina always returns or raises")


class Upstream:
    """Fails so many times, then answers."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self, order: int) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise Unavailable
        return f"receipt {order}"


def test_what_fails_for_a_moment_is_tried_again() -> None:
    async def main() -> None:
        upstream = Upstream(failures=2)
        with Lane("retried", threads=2) as lane:
            assert await Billing(lane, upstream).receipt(7) == "receipt 7"
        assert upstream.calls == 3

    asyncio.run(main())


def test_what_stays_away_is_left_alone_by_the_breaker() -> None:
    async def main() -> None:
        upstream = Upstream(failures=1_000)
        with Lane("retried", threads=2) as lane:
            billing = Billing(lane, upstream)
            with pytest.raises((Unavailable, OpenedState)):
                await billing.receipt(1)
            for _ in range(5):
                with pytest.raises(OpenedState):
                    await billing.receipt(2)
        assert upstream.calls == 3

    asyncio.run(main())


def test_a_full_lane_is_no_fault_of_the_upstream_and_is_not_tried_again() -> None:
    async def main() -> None:
        go = threading.Event()
        with Lane("retried", threads=1, queue=0) as lane:
            billing = Billing(lane, Upstream(failures=0))
            busy = asyncio.create_task(lane.run(go.wait, 30))
            await asyncio.sleep(0.01)
            for _ in range(5):
                with pytest.raises(LaneFull):
                    await billing.receipt(1)
            go.set()
            await busy
            assert await billing.receipt(1) == "receipt 1"  # the breaker never opened

    asyncio.run(main())


def test_work_that_was_begun_and_took_too_long_is_not_begun_twice() -> None:
    async def main() -> None:
        go = threading.Event()
        calls: list[int] = []

        def hang(order: int) -> str:
            calls.append(order)
            go.wait(30)
            return ""

        with Lane("retried", threads=2, deadline=0.4) as lane:
            await lane.warm()
            with pytest.raises(LaneDeadline):
                await Billing(lane, hang).receipt(1)
            go.set()
        assert calls == [1]

    asyncio.run(main())


def test_retries_end_with_the_request() -> None:
    upstream = Upstream(failures=1_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with Lane("retried", threads=1) as lane:
            try:
                await Billing(lane, upstream).receipt(1)
            except (Unavailable, LaneError):
                await answer(send, 503)

    assert asyncio.run(ask(Deadline(app, 0.04))).status in (503, 504)
    assert upstream.calls <= 1
