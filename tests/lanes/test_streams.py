"""Many calls of one lane: `map` and `iterate`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from tests.lanes.work import Hang, double, eventually
from unstall import Lane, LaneDeadline, LaneFull
from unstall.errors import UsageError

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


def idle(lane: Lane) -> bool:
    reading = lane.reading()
    return (reading.held, reading.queued, reading.left) == (0, 0, ())


async def all_of(results: AsyncGenerator[Any, None]) -> tuple[list[Any], type[Exception] | None]:
    """What came, and how it ended."""
    found: list[Any] = []
    try:
        async for result in results:
            found.append(result)  # noqa: PERF401  what came before an error counts
    except Exception as error:
        return found, type(error)
    return found, None


class Source:
    """A blocking iterator that knows whether it was closed, and by how many at once it was used."""

    def __init__(self, count: int, *, breaks_at: int | None = None) -> None:
        self.count = count
        self.breaks_at = breaks_at
        self.given = 0
        self.closed = 0
        self.threads: set[int] = set()

    def items(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.threads.add(threading.get_ident())
                if number == self.breaks_at:
                    raise KeyError(number)
                self.given += 1
                yield number
        finally:
            self.closed += 1


def test_map_keeps_the_order_and_uses_every_slot(run: Run) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(number: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02 if number % 4 == 0 else 0.002)
        with lock:
            now -= 1
        return number

    async def main() -> None:
        with Lane("images", threads=3) as lane:
            assert [n async for n in lane.map(work, range(40))] == list(range(40))
            assert eventually(lambda: idle(lane))

    run(main)
    assert most == 3


def test_map_of_nothing_is_nothing(run: Run) -> None:
    async def main() -> None:
        with Lane("images", threads=3) as lane:
            assert [n async for n in lane.map(double, [])] == []

    run(main)


def test_map_takes_no_more_items_than_it_has_slots_for(run: Run) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1_000_000):
            taken.append(number)
            yield number

    async def main() -> None:
        with Lane("images", threads=2) as lane:
            async with aclosing(lane.map(double, items())) as results:
                async for result in results:
                    if result == 20:
                        break
            assert eventually(lambda: idle(lane))

    run(main)
    assert len(taken) <= 14


def test_map_leaves_the_queue_to_others(run: Run) -> None:
    hang = Hang()

    async def main() -> None:
        with Lane("images", threads=1, queue=2) as lane:
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, hang)
                while not hang.entered:
                    await anyio.sleep(0.001)
                found: list[int] = []

                async def mapped() -> None:
                    found.extend([n async for n in lane.map(double, range(5))])

                group.start_soon(mapped)
                while not lane.reading().queued:
                    await anyio.sleep(0.001)
                await anyio.sleep(0.02)
                assert lane.reading().queued == 1
                group.start_soon(lane.run, len, "")
                hang.release()
            assert found == [0, 2, 4, 6, 8]

    run(main)


def test_map_raises_where_an_item_does_and_leaves_nothing_behind(run: Run) -> None:
    def work(number: int) -> int:
        return 10 // (3 - number)

    async def main() -> None:
        with Lane("images", threads=2) as lane:
            assert await all_of(lane.map(work, range(10))) == ([3, 5, 10], ZeroDivisionError)
            assert eventually(lambda: idle(lane))

    run(main)


def test_map_in_a_full_lane_says_so(run: Run) -> None:
    hang = Hang()

    async def main() -> None:
        with Lane("images", threads=1, queue=0) as lane:
            async with anyio.create_task_group() as group:
                group.start_soon(lane.run, hang)
                while not hang.entered:
                    await anyio.sleep(0.001)
                with pytest.raises(LaneFull):
                    _ = [n async for n in lane.map(double, [1])]
                hang.release()

    run(main)


def test_map_works_in_processes() -> None:
    async def main() -> None:
        with Lane("cpu", processes=1) as lane:
            assert [n async for n in lane.map(double, range(5))] == [0, 2, 4, 6, 8]

    asyncio.run(main())


# --- iterate --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 10, 100])
def test_a_blocking_iterable_is_iterated_off_the_loop(run: Run, batch: int) -> None:
    source = Source(10)

    async def main() -> None:
        with Lane("export", threads=2) as lane:
            items = lane.iterate(source.items(), batch=batch)
            assert [n async for n in items] == list(range(10))
            assert threading.get_ident() not in source.threads

    run(main)
    assert source.closed == 1


def test_any_iterable_will_do(run: Run) -> None:
    async def main() -> None:
        with Lane("export", threads=2) as lane:
            assert [n async for n in lane.iterate({"a": 1, "b": 2})] == ["a", "b"]
            assert await all_of(lane.iterate([])) == ([], None)
            number: Any = 3
            assert await all_of(lane.iterate(number)) == ([], TypeError)

    run(main)


def test_who_stops_early_closes_the_iterator_off_the_loop(run: Run) -> None:
    source = Source(1_000)

    async def main() -> None:
        with Lane("export", threads=1) as lane:
            async with aclosing(lane.iterate(source.items())) as items:
                async for number in items:
                    if number == 3:
                        break
            assert source.closed == 1
            assert eventually(lambda: idle(lane))

    run(main)
    assert source.given == 4


def test_who_is_cancelled_goes_on_when_the_iterator_is_closed(run: Run) -> None:
    closed: list[int] = []

    def items() -> Iterator[int]:
        try:
            yield 1
        finally:
            time.sleep(0.05)
            closed.append(1)

    async def main() -> None:
        with Lane("export", threads=1) as lane:
            with anyio.move_on_after(0.05):
                async with aclosing(lane.iterate(items())) as found:
                    async for _ in found:
                        await anyio.sleep(20)
            assert closed == [1]

    run(main)


def test_an_iterator_that_breaks_says_so(run: Run) -> None:
    source = Source(10, breaks_at=4)

    async def main() -> None:
        with Lane("export", threads=1) as lane:
            assert await all_of(lane.iterate(source.items())) == ([0, 1, 2, 3], KeyError)

    run(main)
    assert source.closed == 1


def test_an_iterator_that_hangs_is_closed_by_its_own_thread_when_it_is_back(run: Run) -> None:
    hang = Hang()
    closed: list[int] = []

    def items() -> Iterator[int]:
        try:
            yield 1
            hang()
            yield 2
        finally:
            closed.append(threading.get_ident())

    async def main() -> None:
        with Lane("export", threads=1, deadline=0.3) as lane:
            await lane.warm()
            with pytest.raises(LaneDeadline):
                async for _ in lane.iterate(items()):
                    pass
            assert closed == []
            hang.release()
            assert eventually(lambda: len(closed) == 1)
            assert eventually(lambda: idle(lane))

    run(main)


def test_a_batch_of_none_is_refused() -> None:
    with Lane("export", threads=1) as lane, pytest.raises(UsageError, match="batch is 0"):
        lane.iterate([1], batch=0)
