"""Closed-model users: they come at a rate, wait for their answers, and think in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.load.tiny_server import always, never, serving
from unstall.errors import UsageError
from unstall.load import Crowd, run_users

pytestmark = pytest.mark.live


def test_users_ask_think_and_ask_again() -> None:
    async def play() -> None:
        crowd = Crowd("crowd", "/", users=5, spawn_rate=100, seconds=0.6, wait_s=(0.05, 0.1))
        async with serving(always) as seen:
            stream = (await run_users(seen.url, crowd))["crowd"]
        assert stream.statuses == {"200": stream.sent}
        assert 5 < stream.sent <= 5 * 13, "each has time for a dozen at most"
        assert stream.due == stream.sent == stream.latency.count == len(seen.heads)

    asyncio.run(play())


def test_users_of_a_frozen_server_ask_once_and_wait() -> None:
    async def play() -> None:
        crowd = Crowd("crowd", "/", users=5, spawn_rate=100, seconds=0.4, wait_s=(0.01, 0.02))
        async with serving(never) as seen:
            stream = (await run_users(seen.url, crowd, drain_s=0.1))["crowd"]
        assert (stream.sent, stream.unanswered) == (5, 5), "the blind spot of a closed loop"
        assert stream.latency.count == 5

    asyncio.run(play())


def test_a_user_goes_on_after_a_time_out() -> None:
    async def play() -> None:
        crowd = Crowd("crowd", "/", users=1, spawn_rate=1, seconds=0.5, wait_s=(0, 0))
        async with serving(never) as seen:
            stream = (await run_users(seen.url, crowd, timeout_s=0.1, drain_s=5))["crowd"]
        assert 2 <= stream.timed_out == stream.sent <= 5

    asyncio.run(play())


def test_users_come_at_the_spawn_rate() -> None:
    async def play() -> None:
        crowd = Crowd("crowd", "/", users=100, spawn_rate=10, seconds=0.45, wait_s=(9, 9))
        async with serving(always) as seen:
            stream = (await run_users(seen.url, crowd))["crowd"]
        assert stream.sent == 5, "at 0, 0.1, 0.2, 0.3 and 0.4 s; the rest had no time to come"

    asyncio.run(play())


@pytest.mark.parametrize("wrong", [{"users": -1}, {"spawn_rate": 0}, {"wait_s": (5, 1)}])
def test_an_impossible_crowd_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="a crowd needs"):
        asyncio.run(run_users("http://127.0.0.1:9", Crowd("crowd", "/", **wrong)))
