"""Values kept in the process, with time that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tally.query.near import Near


class Upstream:
    """Counts what it is asked; fails while `away`, waits while not `open`."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.open = asyncio.Event()
        self.open.set()
        self.now = 0.0

    async def load(self, key: str) -> str:
        self.asked += 1
        await self.open.wait()
        if self.away:
            raise OSError("away")
        return f"{key}{self.asked}"

    def clock(self) -> float:
        return self.now


def run(work: Callable[[Upstream, Near[str, str]], Awaitable[None]], most: int = 10) -> None:
    async def main() -> None:
        upstream = Upstream()
        near = Near(
            upstream.load, fresh_s=10, stale_s=20, keep_s=100, most=most, clock=upstream.clock
        )
        await work(upstream, near)

    asyncio.run(main())


def test_all_who_ask_at_once_share_one_load() -> None:
    async def work(upstream: Upstream, near: Near[str, str]) -> None:
        assert await asyncio.gather(*(near.get("a") for _ in range(50))) == ["a1"] * 50
        assert (near.known("a"), upstream.asked) == ("a1", 1)

    run(work)


def test_an_old_value_is_answered_while_a_new_one_is_fetched() -> None:
    async def work(upstream: Upstream, near: Near[str, str]) -> None:
        await near.get("a")
        upstream.now = 15
        upstream.open.clear()
        assert await near.get("a") == "a1"  # nobody waits for a slow upstream
        upstream.open.set()
        await asyncio.sleep(0.01)
        assert await near.get("a") == "a2"

    run(work)


def test_a_value_that_is_too_old_is_waited_for() -> None:
    async def work(upstream: Upstream, near: Near[str, str]) -> None:
        await near.get("a")
        upstream.now = 25
        assert near.known("a") is None
        assert await near.get("a") == "a2"

    run(work)


def test_while_the_upstream_is_away_what_is_known_is_answered_with_few_tries() -> None:
    async def work(upstream: Upstream, near: Near[str, str]) -> None:
        await near.get("a")
        upstream.away, upstream.now = True, 50
        assert [await near.get("a") for _ in range(10)] == ["a1"] * 10
        assert upstream.asked == 2
        upstream.now = 52
        await near.get("a")
        assert upstream.asked == 3
        upstream.now = 101
        with pytest.raises(OSError, match="away"):
            await near.get("a")

    run(work)


def test_an_error_goes_to_all_who_wait_and_is_not_kept() -> None:
    async def work(upstream: Upstream, near: Near[str, str]) -> None:
        upstream.away = True
        found = await asyncio.gather(near.get("a"), near.get("a"), return_exceptions=True)
        assert [type(each) for each in found] == [OSError, OSError]
        upstream.away = False
        assert await near.get("a") == "a2"

    run(work)


def test_one_that_gives_up_leaves_the_others_their_answer() -> None:
    async def work(upstream: Upstream, near: Near[str, str]) -> None:
        upstream.open.clear()
        first, second = (asyncio.create_task(near.get("a")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        upstream.open.set()
        assert await second == "a1"

    run(work)


def test_no_more_than_so_many_are_kept() -> None:
    async def work(upstream: Upstream, near: Near[str, str]) -> None:
        for key in "abc":
            await near.get(key)
        assert [near.known(key) is None for key in "abc"] == [True, False, False]

    run(work, most=2)


def test_no_more_than_so_much_is_kept() -> None:
    async def main() -> None:
        async def load(key: str) -> str:
            return key

        near = Near(load, fresh_s=10, most=10, weigh=len)
        for key in ("aaaa", "bbbb", "cc"):
            await near.get(key)
        assert near.known("aaaa") == "aaaa"
        await near.get("d")
        assert [near.known(key) for key in ("aaaa", "bbbb", "cc", "d")] == [None, "bbbb", "cc", "d"]
        near.forget("bbbb")
        await near.get("eeee")
        assert near.known("cc") == "cc", "what was forgotten weighs nothing"
        await near.get("f" * 11)
        assert near.known("f" * 11) is None

    asyncio.run(main())
