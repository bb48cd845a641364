"""A lane of threads: what its callers see."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import math
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from tests.lanes.work import Hang, eventually
from unstall import Lane, LaneDeadline, LaneFull, LaneTimeout
from unstall.errors import LaneClosed, LaneError, LaneStuck, UsageError

Run = Callable[[Callable[[], Awaitable[Any]]], Any]
SHORT_S = 0.25
"""A limit that some calls are to run into, and a thread that is there already begins within."""


@pytest.fixture
def hang() -> Iterator[Hang]:
    hang = Hang()
    yield hang
    hang.release()


def idle(lane: Lane) -> bool:
    reading = lane.reading()
    return (reading.held, reading.queued, reading.left) == (0, 0, ())


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not holds():
            await anyio.sleep(0.002)


async def given_up(lane: Lane, hang: Hang) -> None:
    """A call whose caller leaves once it runs."""
    before = hang.entered
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run, hang)
        await until(lambda: hang.entered > before)
        group.cancel_scope.cancel()


# --- results --------------------------------------------------------------------------------


def test_a_call_returns_what_the_function_returns(run: Run) -> None:
    async def main() -> None:
        with Lane("billing", threads=2) as lane:
            assert await lane.run(pow, 2, 10) == 1024
            assert await lane.run(functools.partial(int, base=2), "101") == 5
            assert await lane.run(dict, a=1) == {"a": 1}
            assert await lane.run(threading.get_ident) != threading.get_ident()

    run(main)


def test_a_call_raises_what_the_function_raises_with_the_line_where(run: Run) -> None:
    def breaks() -> None:
        raise KeyError("gone")

    async def main() -> None:
        with Lane("billing") as lane:
            with pytest.raises(KeyError, match="gone") as caught:
                await lane.run(breaks)
            assert caught.traceback[-1].name == "breaks"
            assert await lane.run(len, "abc") == 3

    run(main)


def test_what_a_call_returned_or_raised_is_not_kept_alive(run: Run) -> None:
    class Big:
        pass

    async def main() -> None:
        with Lane("billing", threads=1) as lane:
            returned = weakref.ref(await lane.run(Big))
            assert eventually(lambda: returned() is None)

            def breaks() -> None:
                big = Big()
                seen.append(weakref.ref(big))
                raise ValueError(big)

            seen: list[weakref.ref[Big]] = []
            gc.disable()
            try:
                with contextlib.suppress(ValueError):
                    await lane.run(breaks)
                assert eventually(lambda: seen[0]() is None)  # nor in a cycle
            finally:
                gc.enable()

    run(main)


def test_context_variables_go_in_and_do_not_come_back(run: Run) -> None:
    user = contextvars.ContextVar("user", default="nobody")

    def work() -> str:
        seen = user.get()
        user.set("thread")
        return seen

    async def main() -> None:
        with Lane("billing") as lane:
            user.set("ada")
            assert await lane.run(work) == "ada"
            assert user.get() == "ada"

    run(main)


def test_a_function_in_a_lane_may_run_a_loop_of_its_own(run: Run) -> None:
    async def inner() -> int:
        await anyio.sleep(0)
        return 7

    async def main() -> None:
        with Lane("billing") as lane:
            assert await lane.run(anyio.run, inner) == 7

    run(main)


def test_a_wrapped_function_is_awaited_and_keeps_its_name(run: Run) -> None:
    lane = Lane("billing")

    @lane.wrap
    def charge(cents: int, *, currency: str = "EUR") -> str:
        """Takes money."""
        return f"{cents} {currency} {threading.current_thread().name}"

    assert (charge.__name__, charge.__doc__) == ("charge", "Takes money.")
    assert asyncio.iscoroutinefunction(charge)

    async def main() -> None:
        assert (await charge(5, currency="USD")).startswith("5 USD lane billing")

    run(main)
    lane.close()


# --- limits ---------------------------------------------------------------------------------


def test_no_more_run_at_once_than_there_are_slots(run: Run) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1

    async def main() -> None:
        with Lane("billing", threads=3, queue=100) as lane:
            async with anyio.create_task_group() as group:
                for _ in range(60):
                    group.start_soon(lane.run, work)
            assert lane.statistics().worked.count == 60
            assert eventually(lambda: idle(lane))

    run(main)
    assert most == 3


def test_those_who_wait_are_served_in_order(run: Run, hang: Hang) -> None:
    order: list[int] = []

    async def main() -> None:
        with Lane("billing", threads=1, queue=20) as lane:
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, hang)
                await until(lambda: hang.entered == 1)
                for number in range(10):
                    group.start_soon(lane.run, order.append, number)
                    await until(lambda number=number: lane.reading().queued == number + 1)  # type: ignore[misc]
                hang.release()

    run(main)
    assert order == list(range(10))


def test_a_full_queue_answers_at_once_and_begins_nothing(run: Run, hang: Hang) -> None:
    begun: list[int] = []

    async def main() -> None:
        with Lane("billing", threads=1, queue=1) as lane:
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, hang)
                await until(lambda: hang.entered == 1)
                group.start_soon(lane.run, begun.append, 1)
                await until(lambda: lane.reading().queued == 1)
                with pytest.raises(
                    LaneFull, match="'billing' is full: 1 calls run and 1 wait"
                ) as full:
                    await lane.run(begun.append, 2)
                assert full.value.lane == "billing"
                assert full.value.retry_after >= 1
                assert not isinstance(full.value, LaneStuck)
                hang.release()
            assert lane.statistics().rejected == 1

    run(main)
    assert begun == [1]


def test_a_lane_without_a_queue_lets_nobody_wait(run: Run, hang: Hang) -> None:
    async def main() -> None:
        with Lane("billing", threads=1, queue=0) as lane:
            for _ in range(200):  # a slot is free again by the time that its caller goes on
                await lane.run(len, "")
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, hang)
                await until(lambda: hang.entered == 1)
                with pytest.raises(LaneFull):
                    await lane.run(len, "")
                hang.release()

    run(main)


def test_who_waits_too_long_for_a_slot_is_told_and_nothing_is_begun(run: Run, hang: Hang) -> None:
    begun: list[int] = []

    async def main() -> None:
        with Lane("billing", threads=1, queue_timeout=SHORT_S) as lane:
            await lane.warm()
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, hang)
                await until(lambda: hang.entered == 1)
                with pytest.raises(LaneTimeout, match="was not begun") as late:
                    await lane.run(begun.append, 1)
                assert late.value.retry_after >= 1
                assert lane.reading().queued == 0
                hang.release()  # the first call itself has no deadline
            statistics = lane.statistics()
            assert (statistics.timeouts, statistics.deadlines) == (1, 0)

    run(main)
    assert begun == []


def test_a_deadline_in_the_queue_is_a_timeout_for_nothing_was_begun(run: Run, hang: Hang) -> None:
    begun: list[int] = []

    async def main() -> None:
        with Lane("billing", threads=1, deadline=SHORT_S) as lane:
            await lane.warm()
            async with anyio.create_task_group() as group:

                async def first() -> None:
                    with pytest.raises(LaneDeadline):
                        await lane.run(hang)

                group.start_soon(first)
                await until(lambda: hang.entered == 1)
                with pytest.raises(LaneTimeout):
                    await lane.run(begun.append, 1)
            hang.release()
            assert eventually(lambda: idle(lane))

    run(main)
    assert begun == []


def test_a_call_that_ends_in_time_is_not_disturbed_by_its_limits(run: Run) -> None:
    async def main() -> None:
        with Lane("billing", threads=1, deadline=20, queue_timeout=10) as lane:
            assert [await lane.run(abs, -n) for n in range(50)] == list(range(50))
            statistics = lane.statistics()
            assert (statistics.timeouts, statistics.deadlines, statistics.rejected) == (0, 0, 0)

    run(main)


def test_a_turn_that_comes_too_late_is_not_taken(run: Run, hang: Hang) -> None:
    """The loop stands still, so it can not give the call up; the thread that takes its turn does."""
    begun: list[int] = []

    async def main() -> None:
        with Lane("billing", threads=1, queue_timeout=SHORT_S) as lane:
            await lane.warm()
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, hang)
                await until(lambda: hang.entered == 1)

                async def second() -> None:
                    with pytest.raises(LaneTimeout):
                        await lane.run(begun.append, 1)

                group.start_soon(second)
                await until(lambda: lane.reading().queued == 1)
                time.sleep(SHORT_S + 0.05)
                hang.release()
                assert eventually(lambda: idle(lane))

    run(main)
    assert begun == []


# --- threads that outlive their callers -----------------------------------------------------------


def test_after_its_deadline_a_call_keeps_its_slot_until_its_thread_ends(
    run: Run, hang: Hang
) -> None:
    async def main() -> None:
        with Lane("billing", threads=2, queue=0, deadline=SHORT_S) as lane:
            await lane.warm()
            with pytest.raises(LaneDeadline, match=r"Hang did not end .* keeps the slot") as late:
                await lane.run(hang)
            assert (late.value.lane, late.value.retry_after >= 1) == ("billing", True)
            assert await lane.run(len, "ab") == 2
            statistics = lane.statistics()
            assert (statistics.running, statistics.deadlines, statistics.stuck) == (0, 1, False)
            (one,) = statistics.abandoned
            assert one.function == "tests.lanes.work:Hang"
            assert one.running_s >= one.abandoned_s >= 0
            assert one.at is not None
            assert one.at.startswith("threading.py:")
            hang.release()
            assert eventually(lambda: idle(lane))
            assert lane.statistics().abandoned == ()

    run(main)


def test_a_lane_whose_slots_are_all_abandoned_is_stuck_until_a_thread_comes_back(
    run: Run, hang: Hang
) -> None:
    async def main() -> None:
        with Lane("billing", threads=2, queue=9, deadline=SHORT_S) as lane:
            await lane.warm()
            async with anyio.create_task_group() as group:

                async def one() -> None:
                    with pytest.raises(LaneDeadline):
                        await lane.run(hang)

                group.start_soon(one)
                group.start_soon(one)
            assert lane.statistics().stuck
            with pytest.raises(LaneStuck, match="'billing' is stuck: all 2 of its slots") as stuck:
                await lane.run(len, "")
            assert stuck.value.retry_after >= 1
            hang.release()
            assert eventually(lambda: idle(lane))
            assert await lane.run(len, "abc") == 3

    run(main)


def test_a_cancelled_call_within_its_deadline_does_not_make_a_lane_stuck(
    run: Run, hang: Hang
) -> None:
    async def main() -> None:
        with Lane("billing", threads=1, deadline=20) as lane:
            await given_up(lane, hang)
            assert len(lane.statistics().abandoned) == 1
            assert not lane.statistics().stuck
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, len, "")  # waits, and is served
                await until(lambda: lane.reading().queued == 1)
                hang.release()

    run(main)


# --- cancellation ---------------------------------------------------------------------------


def test_cancelled_while_it_waits_a_call_leaves_no_trace(run: Run, hang: Hang) -> None:
    begun: list[int] = []

    async def main() -> None:
        with Lane("billing", threads=1) as lane:
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, hang)
                await until(lambda: hang.entered == 1)
                with anyio.move_on_after(0.02) as scope:
                    await lane.run(begun.append, 1)
                assert scope.cancelled_caught
                assert lane.reading().queued == 0
                assert lane.statistics().abandoned == ()
                hang.release()

    run(main)
    assert begun == []


def test_cancelled_before_it_is_asked_nothing_is_begun(run: Run) -> None:
    begun: list[int] = []

    async def main() -> None:
        with Lane("billing", threads=1) as lane:
            await lane.warm()
            for _ in range(300):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await lane.run(begun.append, 1)
            assert eventually(lambda: idle(lane))

    run(main)
    assert begun == []


def test_cancelled_while_it_runs_the_caller_goes_on_and_the_slot_stays_held(
    run: Run, hang: Hang
) -> None:
    async def main() -> None:
        with Lane("billing", threads=1, queue=0) as lane:
            await given_up(lane, hang)
            assert hang.left == 0
            statistics = lane.statistics()
            assert (statistics.cancelled, len(statistics.abandoned)) == (1, 1)
            with pytest.raises(LaneFull):
                await lane.run(len, "")
            hang.release()
            assert eventually(lambda: idle(lane))
            assert await lane.run(len, "") == 0

    run(main)


def test_a_time_out_of_asyncio_around_a_lane_cannot_make_it_grow(hang: Hang) -> None:
    async def main() -> None:
        with Lane("billing", threads=2, queue=2) as lane:
            before = threading.active_count()
            await lane.warm()
            for _ in range(20):
                with pytest.raises((TimeoutError, LaneFull)):
                    async with asyncio.timeout(0.01):
                        await lane.run(hang)
            assert hang.entered == 2
            assert threading.active_count() - before <= 2
            hang.release()
            assert eventually(lambda: idle(lane))

    asyncio.run(main())


# --- several loops, several threads ---------------------------------------------------------------


def test_a_lane_serves_several_loops_and_is_bounded_over_all_of_them() -> None:
    lane = Lane("billing", threads=2, queue=1_000)
    lock, now, most, done = threading.Lock(), 0, 0, 0

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.001)
        with lock:
            now -= 1

    async def main() -> None:
        nonlocal done
        await asyncio.gather(*(lane.run(work) for _ in range(30)))
        with lock:
            done += 30

    loops = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in loops:
        thread.start()
    for thread in loops:
        thread.join(30)
    assert (done, most) == (120, 2)
    assert eventually(lambda: idle(lane))
    lane.close()


def test_a_loop_that_closes_in_the_middle_of_a_call_harms_nobody(hang: Hang) -> None:
    lane = Lane("billing", threads=1)

    async def leave() -> None:
        task = asyncio.create_task(lane.run(hang))
        await until(lambda: hang.entered == 1)
        task.cancel()

    async def later() -> int:
        return await lane.run(len, "abc")

    asyncio.run(leave())
    hang.release()
    assert eventually(lambda: idle(lane))
    assert asyncio.run(later()) == 3
    lane.close()


def test_statistics_are_read_from_any_thread_while_the_loop_stands_still(hang: Hang) -> None:
    lane = Lane("billing", threads=1, queue=5)
    seen: list[tuple[int, int]] = []

    def read() -> None:
        statistics = lane.statistics()
        seen.append((statistics.running, statistics.queued))

    async def main() -> None:
        tasks = [asyncio.create_task(lane.run(hang)) for _ in range(3)]
        await until(lambda: hang.entered == 1)
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(10)  # on the loop
        hang.release()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert seen == [(1, 2)]
    lane.close()


# --- the operator ---------------------------------------------------------------------------


def test_a_lane_that_grows_serves_those_who_wait(run: Run, hang: Hang) -> None:
    async def main() -> None:
        with Lane("billing", threads=1, queue=9) as lane:
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(lane.run, hang)
                await until(lambda: hang.entered == 1 and lane.reading().queued == 3)
                lane.resize(threads=3)
                await until(lambda: hang.entered == 3 and lane.reading().queued == 1)
                hang.release()
            assert lane.statistics().workers == 3

    run(main)


def test_a_lane_that_shrinks_lets_calls_end_and_threads_go(run: Run, hang: Hang) -> None:
    def threads() -> int:
        return sum(thread.name.startswith("lane shrinking") for thread in threading.enumerate())

    async def main() -> None:
        with Lane("shrinking", threads=4, queue=9) as lane:
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(lane.run, hang)
                await until(lambda: hang.entered == 4)
                lane.resize(threads=1, queue=0)
                with pytest.raises(LaneFull):
                    await lane.run(len, "")
                hang.release()
            assert eventually(lambda: threads() == 1)
            assert await lane.run(len, "a") == 1
        assert eventually(lambda: threads() == 0)

    run(main)


def test_a_closed_lane_refuses_those_who_come_and_those_who_wait(run: Run, hang: Hang) -> None:
    async def main() -> None:
        lane = Lane("billing", threads=1)
        async with anyio.create_task_group() as group:

            async def waiting() -> None:
                with pytest.raises(LaneClosed, match="was closed while a call waited"):
                    await lane.run(len, "")

            async def running() -> None:
                assert await lane.run(hang, "done") == "done"

            group.start_soon(running)
            await until(lambda: hang.entered == 1)
            group.start_soon(waiting)
            await until(lambda: lane.reading().queued == 1)
            lane.close()
            with pytest.raises(LaneClosed, match="'billing' is closed"):
                await lane.run(len, "")
            hang.release()
        assert lane.statistics().closed

    run(main)


def test_the_threads_of_a_forgotten_lane_end(run: Run) -> None:
    def threads() -> int:
        return sum(thread.name.startswith("lane forgotten") for thread in threading.enumerate())

    async def main() -> None:
        lane = Lane("forgotten", threads=3)
        await lane.run(len, "")
        assert threads() == 1
        del lane
        gc.collect()
        assert eventually(lambda: threads() == 0)

    run(main)


def test_a_closed_lane_still_cleans_up_and_keeps_no_thread(run: Run, hang: Hang) -> None:
    closed: list[str] = []

    def items() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(threading.current_thread().name)

    def threads() -> int:
        return sum(thread.name.startswith("lane closing") for thread in threading.enumerate())

    async def main() -> None:
        with Lane("closing", threads=3) as lane:
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, hang)
                group.start_soon(lane.run, hang)
                await until(lambda: hang.entered == 2)
                async with aclosing(lane.iterate(items())) as found:
                    async for _ in found:
                        lane.close()
                        break
                assert closed[0].startswith("lane closing")
                hang.release()
            assert eventually(lambda: threads() == 0)

    run(main)


def test_keyword_arguments_may_have_any_name(run: Run) -> None:
    async def main() -> None:
        with Lane("billing") as lane:
            assert await lane.run(dict, function=1, job=2, lane=3, self=4) == {
                "function": 1, "job": 2, "lane": 3, "self": 4,
            }  # fmt: skip

    run(main)


def test_what_is_not_written_in_python_can_be_wrapped(run: Run) -> None:
    async def main() -> None:
        with Lane("billing") as lane:
            assert await lane.wrap(math.sqrt)(9) == 3
            assert await lane.wrap(functools.partial(int, base=2))("11") == 3

    run(main)


def test_a_lane_that_cannot_start_a_thread_tells_those_who_wait_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        with Lane("billing", threads=1, queue=5) as lane:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                told = await asyncio.gather(
                    *(lane.run(len, "") for _ in range(5)), return_exceptions=True
                )
            assert [type(error).__name__ for error in told] == ["LaneBroken"] * 5
            assert idle(lane)

    asyncio.run(main())


def test_a_warm_lane_has_all_its_threads(run: Run) -> None:
    async def main() -> None:
        with Lane("warm", threads=3) as lane:
            await lane.warm()
            names = [t.name for t in threading.enumerate() if t.name.startswith("lane warm")]
            assert len(names) == 3

    run(main)


# --- what cannot run ------------------------------------------------------------------------


async def asynchronous() -> None: ...


def generating() -> Iterator[int]:
    yield 1


async def generating_asynchronously() -> Any:
    yield 1


def hidden() -> Any:
    return asynchronous()


class Callee:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (asynchronous, "asynchronous is asynchronous, and a lane runs plain functions: await it"),
        (generating_asynchronously, "is asynchronous"),
        (Callee(), "Callee is asynchronous"),
        (functools.partial(asynchronous), "is asynchronous"),
        (generating, "is a generator function, whose body would run on the loop: use lane.iterate"),
        (hidden, "returned a coroutine, which would run on the loop"),
        (3, "3 is not callable"),
    ],
)
def test_what_would_do_nothing_in_a_thread_is_refused_with_the_way_out(
    function: Any, says: str
) -> None:
    async def main() -> None:
        with Lane("billing", threads=1) as lane:
            with pytest.raises(UsageError, match=says):
                await lane.run(function)
            assert eventually(lambda: idle(lane))

    asyncio.run(main())


@pytest.mark.parametrize("name", [5, None, "", "two words"])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a lane"):
        Lane(name)


def test_an_error_of_a_lane_is_none_of_usage() -> None:
    assert not issubclass(LaneError, UsageError)
    assert not issubclass(UsageError, LaneError)


def test_no_thread_to_be_had_is_said_and_holds_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        with Lane("billing", threads=1, queue=0) as lane:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                with pytest.raises(LaneError, match="cannot start one"):
                    await lane.run(len, "")
            assert idle(lane)
            assert await lane.run(len, "a") == 1

    asyncio.run(main())
