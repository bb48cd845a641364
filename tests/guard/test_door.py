"""Slots are lost by nobody: not by who waits, not by who is cancelled in the very moment of being let in."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from unstall.guard.door import Door, Lot
from unstall.guard.policy import Priority, Room


def test_who_matters_more_is_let_in_first_and_others_in_their_turn() -> None:
    order: list[str] = []

    async def main() -> None:
        door, lot = Door(1, 10), Lot(None)
        door.enter(lot)

        async def wait(name: str, priority: Priority) -> None:
            assert await door.wait(lot, priority, None)
            order.append(name)
            door.leave(lot)

        async with asyncio.TaskGroup() as group:
            for name, priority in (
                ("low", Priority.LOW),
                ("first", Priority.NORMAL),
                ("second", Priority.NORMAL),
                ("critical", Priority.CRITICAL),
            ):
                group.create_task(wait(name, priority))
            await asyncio.sleep(0)
            assert door.queued == 4
            door.leave(lot)
        assert (door.in_flight, lot.in_flight, door.queued) == (0, 0, 0)

    asyncio.run(main())
    assert order == ["critical", "first", "second", "low"]


def test_a_full_route_does_not_keep_others_out() -> None:
    async def main() -> None:
        door, full, other = Door(2, 10), Lot(1), Lot(None)
        door.enter(full)
        waiting = asyncio.create_task(door.wait(full, Priority.NORMAL, None))
        await asyncio.sleep(0)
        assert door.crowd(other, Priority.NORMAL).waiting_ahead == 0
        assert door.crowd(full, Priority.NORMAL).route.free() is False
        door.leave(full)
        assert await waiting

    asyncio.run(main())


def test_who_is_refused_does_not_pay_for_the_length_of_the_queue() -> None:
    looked = 0

    class Looked(Lot):
        @property
        def room(self) -> Room:
            nonlocal looked
            looked += 1
            return super().room

    async def main() -> None:
        door, lot = Door(1, 100), Looked(None)
        door.enter(lot)
        waiting = [asyncio.create_task(door.wait(lot, Priority.NORMAL, None)) for _ in range(100)]
        await asyncio.sleep(0)
        assert door.crowd(Lot(None), Priority.NORMAL).waiting_ahead
        assert looked == 1
        for task in waiting:
            task.cancel()

    asyncio.run(main())


def test_a_queue_timeout_gives_the_place_back() -> None:
    async def main() -> None:
        door, lot = Door(1, 10), Lot(None)
        door.enter(lot)
        assert not await door.wait(lot, Priority.NORMAL, 1_000_000)
        assert (door.queued, door.in_flight) == (0, 1)

    asyncio.run(main())


def test_of_two_who_wait_for_one_slot_of_a_route_one_is_let_in() -> None:
    async def main() -> None:
        door, lot = Door(3, 10), Lot(1)
        door.enter(lot)
        waiting = [asyncio.create_task(door.wait(lot, Priority.NORMAL, None)) for _ in range(2)]
        await asyncio.sleep(0)
        door.leave(lot)
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, False]
        assert (door.in_flight, lot.in_flight, door.queued) == (1, 1, 1)
        door.leave(lot)
        assert await waiting[1]

    asyncio.run(main())


def test_a_slot_that_comes_free_as_the_first_gives_up_goes_to_the_next() -> None:
    async def main() -> None:
        door, lot = Door(1, 10), Lot(None)
        door.enter(lot)
        late = asyncio.create_task(door.wait(lot, Priority.NORMAL, 1_000_000))
        patient = asyncio.create_task(door.wait(lot, Priority.NORMAL, None))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.002, door.leave, lot)
        time.sleep(0.01)  # so that the time-out and what follows it are in one turn
        async with asyncio.timeout(10):
            assert await patient
        assert not await late
        assert (door.in_flight, door.queued) == (1, 0)

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(20))
def test_no_slot_is_lost_whatever_is_cancelled(seed: int) -> None:
    chance = random.Random(seed)
    most = 0

    async def request(door: Door, lot: Lot) -> None:
        nonlocal most
        priority = chance.choice(list(Priority))
        within = chance.choice([None, 0, 500_000, 3_000_000])
        if door.in_flight < (door.limit or 0) and lot.room.free() and not door.queued:
            door.enter(lot)
        elif not await door.wait(lot, priority, within):
            return
        most = max(most, door.in_flight)
        try:
            await asyncio.sleep(chance.random() * 0.002)
        finally:
            door.leave(lot)

    async def main() -> None:
        door = Door(4, 1_000)
        lots = [Lot(None), Lot(2)]
        tasks = []
        for _ in range(150):
            tasks.append(asyncio.create_task(request(door, chance.choice(lots))))
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
            if chance.random() < 0.5:
                await asyncio.sleep(0)
        await asyncio.wait(tasks, timeout=20)
        assert all(task.done() for task in tasks)
        assert (door.in_flight, door.queued) == (0, 0)
        assert [lot.in_flight for lot in lots] == [0, 0]

    asyncio.run(main())
    assert most <= 4


def test_a_burst_may_be_large_and_a_crowd_that_stands_is_kept_small() -> None:
    door = Door(100, 0, standing=10)
    limits = []
    for at_ms, door.in_flight in (
        (0, 80), (400, 90), (480, 5), (600, 80), (1_000, 80), (1_120, 80), (1_140, 9), (1_600, 6),
        (1_700, 4), (1_900, 7), (2_000, 3), (2_400, 4), (2_500, 0), (2_600, 80),
    ):  # fmt: skip
        door.beat(at_ms * 1_000_000)
        limits.append(door.limit)
    assert limits == [100] * 5 + [10] * 7 + [100] * 2
    assert door.room == 20


@pytest.mark.parametrize(("standing", "few"), [(1, 0), (2, 0), (3, 1), (4, 1)])
def test_a_crowd_stands_no_more_when_it_is_under_half_of_that(standing: int, few: int) -> None:
    door = Door(10, 0, standing=standing)
    limits = []
    for half_seconds, door.in_flight in enumerate((10, 10, few + 1, few + 1, few, few)):
        door.beat(half_seconds * 500_000_000)
        limits.append(door.limit)
    assert limits == [10, standing, standing, standing, standing, 10]
    assert not door.wavers


def test_without_a_word_of_standing_the_limit_stays() -> None:
    door = Door(100, 0)
    door.in_flight = 100
    for at_s in range(10):
        door.beat(at_s * 1_000_000_000)
    assert door.limit == 100
