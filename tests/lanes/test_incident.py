"""Lanes under fire: everything hangs, everybody cancels, the process forks."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from contextlib import suppress

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lanes import work
from tests.lanes.work import Hang, eventually
from unstall import Lane, LaneDeadline, LaneFull, LaneTimeout
from unstall.errors import LaneError, LaneStuck


def idle(lane: Lane) -> bool:
    reading = lane.reading()
    return (reading.held, reading.queued, reading.left) == (0, 0, ())


def threads_named(prefix: str) -> int:
    return sum(thread.name.startswith(prefix) for thread in threading.enumerate())


def test_with_all_threads_hung_a_lane_refuses_at_once_and_a_bystander_stays_quick() -> None:
    hang = Hang()

    async def main() -> None:
        bystander: list[float] = []
        refusals: list[float] = []

        async def beside() -> None:
            while True:
                asked = time.monotonic()
                await asyncio.sleep(0)
                bystander.append(time.monotonic() - asked)
                await asyncio.sleep(0.001)

        with Lane("billing", threads=4, queue=8, deadline=0.4) as lane, Lane("other") as other:
            await lane.warm()
            watching = asyncio.create_task(beside())
            first = await asyncio.gather(
                *(lane.run(hang) for _ in range(12)), return_exceptions=True
            )
            assert (
                sorted(type(e).__name__ for e in first)
                == ["LaneDeadline"] * 4 + ["LaneTimeout"] * 8
            )
            for _ in range(100):
                asked = time.monotonic()
                with pytest.raises(LaneStuck):
                    await lane.run(hang)
                refusals.append(time.monotonic() - asked)
            assert await other.run(len, "abc") == 3  # the neighbour's lane is untouched
            watching.cancel()
            assert hang.entered == 4
            assert [one.function for one in lane.statistics().abandoned] == [
                "tests.lanes.work:Hang"
            ] * 4
            hang.release()
            assert eventually(lambda: idle(lane))
            assert await lane.run(len, "") == 0
        # Medians: a machine may be away for a moment, a lane that waits is away each time.
        assert sorted(refusals)[50] < 0.05
        assert sorted(bystander)[len(bystander) // 2] < 0.05

    asyncio.run(main())


async def storm(lane: Lane, calls: int, chance: random.Random, span_s: float) -> int:
    """Calls that come, work, fail and are cancelled at random; says how many came to an end of theirs."""
    ended = 0

    def toil(seconds: float, fails: bool) -> None:
        time.sleep(seconds)
        if fails:
            raise KeyError(seconds)

    async def one() -> None:
        nonlocal ended
        await anyio.sleep(chance.uniform(0, span_s))
        with anyio.move_on_after(chance.choice([0, 0.001, 0.004, 1])):
            with suppress(LaneFull, LaneTimeout, LaneDeadline, KeyError):
                await lane.run(toil, chance.uniform(0, 0.004), chance.random() < 0.1)
        ended += 1

    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(one)
    return ended


@settings(max_examples=15, deadline=None)
@given(
    threads=st.integers(1, 4),
    queue=st.integers(0, 6),
    deadline=st.sampled_from([None, 0.002, 1.0]),
    seed=st.integers(0, 1_000),
)
def test_random_cancellations_lose_no_slot(
    threads: int, queue: int, deadline: float | None, seed: int
) -> None:
    chance = random.Random(seed)
    with Lane("storm", threads=threads, queue=queue, deadline=deadline) as lane:
        assert anyio.run(storm, lane, 60, chance, 0.03) == 60
        assert eventually(lambda: idle(lane))
        statistics = lane.statistics()
        assert statistics.waited.count == statistics.worked.count


@pytest.mark.slow
def test_a_long_storm_over_several_loops_loses_no_slot_and_no_thread() -> None:
    with Lane("soak", threads=6, queue=30, deadline=0.5, queue_timeout=0.05) as lane:
        ended: list[int] = []

        def loop(seed: int) -> None:
            chance = random.Random(seed)
            ended.extend(anyio.run(storm, lane, 300, chance, 0.4) for _ in range(5))

        loops = [threading.Thread(target=loop, args=(seed,)) for seed in range(3)]
        for thread in loops:
            thread.start()
        for number in range(20):
            time.sleep(0.1)
            lane.resize(threads=1 + number % 6)
        lane.resize(threads=6)
        for thread in loops:
            thread.join(120)
        assert sum(ended) == 3 * 5 * 300
        assert eventually(lambda: idle(lane))
        assert eventually(lambda: threads_named("lane soak") <= 6)


@pytest.mark.slow
def test_a_storm_of_cancellations_in_processes_leaves_as_many_workers_as_before() -> None:
    async def main() -> None:
        chance = random.Random(3)
        with Lane("cpu", processes=2, queue=4) as lane:
            await lane.warm(work.doze)
            for _ in range(12):
                with anyio.move_on_after(chance.uniform(0, 0.1)), suppress(LaneError):
                    await lane.run(work.doze, 0.05)
            assert eventually(lambda: idle(lane))
            pids = await asyncio.gather(*(lane.run(work.doze, 0.2) for _ in range(2)))
            assert len(set(pids)) == 2

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_forked_child_begins_with_an_empty_lane(kind: str) -> None:
    """As under a server that loads the application and then forks its workers."""
    hang = Hang()

    async def parent() -> None:
        size = {kind: 1}
        with Lane("forked", queue=0, **size) as lane, Lane("hung", threads=1, queue=0) as hung:
            before = await lane.run(work.pid)
            async with anyio.create_task_group() as group:
                group.start_soon(hung.run, hang)
                while not hang.entered:
                    await anyio.sleep(0.001)
                group.cancel_scope.cancel()
            child = os.fork()
            if child == 0:
                os._exit(_child(lane, hung, before))
            while True:
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    break
                await anyio.sleep(0.01)
            assert os.waitstatus_to_exitcode(status) == 0
            assert await lane.run(work.pid) == before  # and the parent goes on with its own
            assert hung.reading().held == 1
            hang.release()
            assert eventually(lambda: idle(hung))

    asyncio.run(parent())


def _child(lane: Lane, hung: Lane, before: int) -> int:
    """0 if all is well. On a new thread, for the parent's loop still stands on this one."""
    result = 3

    def begin() -> None:
        nonlocal result
        first = asyncio.run(lane.run(work.pid))
        result = 0 if first != before and idle(hung) else 1
        result += 0 if asyncio.run(hung.run(len, "ab")) == 2 else 2
        lane.close()
        hung.close()

    try:
        thread = threading.Thread(target=begin)
        thread.start()
        thread.join(20)
    except BaseException:
        return 4
    return result
