"""So many in a time: the bucket as arithmetic, here and in a real Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guard.asgi import Got, ask, ok
from tests.support.valkey import Valkey, running_valkey
from unstall.errors import UsageError
from unstall.guard.rates import (
    LocalBuckets,
    Quota,
    Rate,
    RateLimit,
    RedisBuckets,
    quota_of,
    refilled,
    taken,
)
from unstall.testing import ManualClock


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with running_valkey() as server:
        yield server


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("100/min", Quota(100, 60, 100)),
        ("10/s", Quota(10, 1, 10)),
        ("5 / 2 hours", None),
        ("1000/15min", Quota(1000, 900, 1000)),
        ("7/d", Quota(7, 86_400, 7)),
        ("0/s", None),
        ("1/0s", None),
        ("many", None),
    ],
)
def test_a_rate_is_read_as_people_write_it(text: str, quota: Quota | None) -> None:
    if quota is None:
        with pytest.raises(UsageError, match="give for example '100/min'"):
            quota_of(text)
    else:
        assert quota_of(text) == quota
    assert quota_of("10/s", 3).burst == 3


@given(
    st.integers(1, 50), st.integers(1, 100), st.lists(st.floats(0, 5, allow_nan=False), max_size=80)
)
def test_no_more_than_the_quota_and_a_burst_is_ever_let_in(
    limit: int, burst: int, pauses: list[float]
) -> None:
    quota = Quota(limit, 1.0, burst)
    tokens, at, allowed = float(burst), 0.0, 0
    for pause in pauses:
        at += pause
        tokens, said = taken(refilled(tokens, pause, quota), quota)
        allowed += said.allowed
        assert allowed <= burst + limit * at + 1e-6
        assert said.allowed == (said.wait_s == 0)
        assert 0 <= said.left <= burst


def test_buckets_of_this_process_refill_with_time_and_are_bounded() -> None:
    clock = ManualClock()
    buckets = LocalBuckets(clock.monotonic_ns, most=3)
    quota = quota_of("2/s")

    async def main() -> None:
        assert [(await buckets.take("ada", quota)).allowed for _ in range(3)] == [True, True, False]
        refused = await buckets.take("ada", quota)
        assert refused.wait_s == pytest.approx(0.5)
        clock.advance(ms=500)
        assert (await buckets.take("ada", quota)).allowed
        for name in "bcd":
            assert (await buckets.take(name, quota)).allowed
        assert (await buckets.take("ada", quota)).left == 1  # it had been forgotten

    asyncio.run(main())


def test_clients_are_told_where_they_stand() -> None:
    async def main() -> list[Got]:
        limit = RateLimit(ok, Rate("2/min"))
        return [await ask(limit) for _ in range(3)]

    first, second, third = asyncio.run(main())
    assert first.headers["ratelimit-policy"] == '"default";q=2;w=60'
    assert first.headers["ratelimit"] == '"default";r=1;t=30'
    assert (second.status, third.status) == (200, 429)
    assert third.headers["ratelimit"].startswith('"default";r=0;t=')
    assert int(third.headers["retry-after"]) == 30
    assert third.problem["reason"] == "rate"


def test_each_key_has_a_bucket_and_none_is_not_limited() -> None:
    async def main() -> None:
        by_path = RateLimit(ok, Rate("1/min", key=lambda scope: scope["path"][1:] or None))
        for path, status in (("/a", 200), ("/b", 200), ("/a", 429), ("/", 200), ("/", 200)):
            assert (await ask(by_path, f"GET {path}")).status == status
        only = RateLimit(ok, Rate("1/min", routes=("POST /x",)))
        for request, status in (("POST /x", 200), ("POST /x", 429), ("GET /x", 200)):
            assert (await ask(only, request)).status == status

    asyncio.run(main())


@pytest.mark.live
def test_a_bucket_in_redis_is_shared_and_refills(valkey: Valkey) -> None:
    async def main() -> None:
        one, other = RedisBuckets(valkey.url, timeout=5), RedisBuckets(valkey.url, timeout=5)
        quota = quota_of("4/min")
        said = [await store.take("ada", quota) for store in (one, other, one, other, one)]
        assert [each is not None and each.allowed for each in said] == [True] * 4 + [False]
        assert said[-1] is not None
        assert 10 < said[-1].wait_s <= 15
        quick = quota_of("50/s", 1)
        first = await one.take("bob", quick)
        await asyncio.sleep(0.05)
        again = await other.take("bob", quick)
        assert first is not None
        assert again is not None
        assert (first.allowed, again.allowed) == (True, True)
        await one.aclose()
        await other.aclose()

    asyncio.run(main())


@pytest.mark.live
def test_many_at_once_get_no_more_than_there_is(valkey: Valkey) -> None:
    async def main() -> int:
        store = RedisBuckets(valkey.url, timeout=5)
        quota = quota_of("20/d")
        said = await asyncio.gather(*(store.take("crowd", quota) for _ in range(60)))
        await store.aclose()
        return sum(each is not None and each.allowed for each in said)

    assert asyncio.run(main()) == 20


class Flaky:
    """A client whose script fails while it is down."""

    def __init__(self) -> None:
        self.down = True
        self.calls = 0

    def register_script(self, script: str) -> Any:
        return self.run

    async def run(self, keys: list[str], args: list[Any]) -> list[Any]:
        self.calls += 1
        if self.down:
            raise ConnectionError("refused")
        return [1, b"3.5"]


def test_a_store_that_is_gone_is_said_once_and_asked_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        client = Flaky()
        store = RedisBuckets(client)
        opened = RateLimit(ok, Rate("2/min", store=store))
        closed = RateLimit(ok, Rate("2/min", store=store, on_failure="closed"))
        assert (await ask(opened)).status == 200
        got = await ask(closed)
        assert (got.status, got.problem["reason"]) == (503, "rate-unknown")
        assert client.calls == 1  # it is left alone for a second
        for _ in range(3):
            store._rest_until_ns = 0
            await ask(opened)
        client.down, store._rest_until_ns = False, 0
        assert (await ask(opened)).headers["ratelimit"].startswith('"default";r=3;')

    with caplog.at_level(logging.WARNING, "unstall.rates"):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "the store of rate limits does not answer (ConnectionError: refused); see on_failure",
        "the store of rate limits answers again",
    ]


@pytest.mark.parametrize(
    "rate",
    [
        Rate("1/x"),
        Rate("1/s", burst=0),
        Rate("1/s", name="A B"),
        Rate("1/s", on_failure="x"),  # type: ignore[arg-type]
        Rate(10),  # type: ignore[arg-type]
        Rate("1/s", burst=1.5),  # type: ignore[arg-type]
        Rate("1/s", routes="/x"),  # type: ignore[arg-type]
        Rate("1/00s"),
    ],
)
def test_rates_that_make_no_sense_are_refused(rate: Rate) -> None:
    with pytest.raises(UsageError, match="give"):
        RateLimit(ok, rate)
