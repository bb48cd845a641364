"""Timers call back once, the last setting wins, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unstall.clock import NS_PER_MS, NS_PER_S, SystemClock
from unstall.load.timer import KernelTimer, LoopTimer, Timer, timer

KINDS: list[Callable[..., Timer]] = [LoopTimer]
if sys.platform == "linux":
    KINDS.append(KernelTimer)


@pytest.mark.parametrize("kind", KINDS)
def test_it_calls_back_once_and_never_before_its_time(kind: Callable[..., Timer]) -> None:
    async def play() -> list[int]:
        rung: list[int] = []
        now = SystemClock().monotonic_ns
        one = kind(asyncio.get_running_loop(), lambda: rung.append(now()))
        one.after(3_600 * NS_PER_S)
        begun = now()
        one.after(5 * NS_PER_MS)
        while not rung:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        one.close()
        return [at - begun for at in rung]

    waited = asyncio.run(play())
    assert len(waited) == 1
    assert waited[0] >= 4 * NS_PER_MS  # asyncio's own may be a little early


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_past_rings_at_once_and_what_is_closed_never(kind: Callable[..., Timer]) -> None:
    async def play() -> tuple[bool, bool]:
        rung, never = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        late, closed = kind(loop, rung.set), kind(loop, never.set)
        closed.after(1)
        closed.close()
        late.after(-5)
        await asyncio.wait_for(rung.wait(), 10)
        late.close()
        return rung.is_set(), never.is_set()

    assert asyncio.run(play()) == (True, False)


@pytest.mark.skipif(sys.platform != "linux", reason="counts files as Linux shows them")
def test_no_file_is_left_open() -> None:
    async def play() -> None:
        before = timers()
        for _ in range(20):
            one = timer(asyncio.get_running_loop(), lambda: None)
            one.after(1)
            one.close()
            one.close()
        assert timers() == before

    asyncio.run(play())


def timers() -> int:
    """How many of the kernel's are open here."""
    found = 0
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found += "timerfd" in os.readlink(file)  # noqa: PTH115 - it is no path
    return found
