"""Slots and the queue before them. All of it runs on one loop, so nothing needs a lock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from unstall.clock import NS_PER_S
from unstall.guard.limits import Adaptive
from unstall.guard.metrics import Cell
from unstall.guard.policy import SHARES, Crowd, Decision, Priority, Room, Verdict


class Lot:
    """The slots of one route; without a limit nobody counts them."""

    __slots__ = ("in_flight", "limit")

    def __init__(self, limit: int | None) -> None:
        self.in_flight = 0
        self.limit = limit

    @property
    def room(self) -> Room:
        return Room(self.in_flight, self.limit)


class Passes(Cell):
    """For requests that may come in without being looked at. Those that are used are counted as given out
    and not left, so that a request pays for one subtraction.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        super().__init__()
        self.left = 0

    def give(self, count: int) -> None:
        """In place of those that are left."""
        self.count += count - self.left
        self.left = count

    def read(self) -> int:
        return self.count - self.left

    def renew(self) -> None:
        self.count = self.left = 0


@dataclass(slots=True, eq=False)
class _Waiter:
    lot: Lot
    future: asyncio.Future[None]


_STANDS_NS = 500_000_000
TOO_LONG = Decision(Verdict.SHED, "queue-timeout", "no slot came free in time")
_ORDER = tuple(Priority)


class Door:
    """Lets in, lets wait, lets go. A slot that is taken is given back exactly once, whatever happens."""

    def __init__(
        self,
        limit: int | None,
        queue: int,
        adaptive: Adaptive | None = None,
        standing: int | None = None,
    ) -> None:
        self.adaptive = adaptive
        self._limit = limit
        self._standing = standing
        self._stands = False
        """Whether the crowd stands: then `standing` is the limit."""
        self._turned_ns: int | None = None
        """Since when it has been otherwise."""
        self.queue = queue
        self.in_flight = 0
        self._waiting: dict[Priority, deque[_Waiter]] = {each: deque() for each in _ORDER}
        self.queued = 0
        self.passes = Passes()
        """There is a slot for each of them."""

    @property
    def limit(self) -> int | None:
        most = self._standing if self._stands else self._limit
        if self.adaptive is None:
            return most
        learned = self.adaptive.limit
        return learned if most is None else min(most, learned)

    @property
    def full(self) -> bool:
        """Whether there is neither a slot nor a place in the queue."""
        limit = self.limit
        return limit is not None and self.in_flight >= limit and self.queued >= self.queue

    def beat(self, now: int) -> None:
        """Takes note of the crowd, some times a second.

        A burst goes by itself and may be large; a crowd that stands makes all who come late, and is kept
        small. As CoDel tells a standing queue from a burst (Nichols and Jacobson, 2012), by the time.
        """
        if self._standing is None:
            return
        crowd = 2 * self.in_flight if self._stands else self.in_flight
        if (crowd >= self._standing) is self._stands:
            self._turned_ns = None
        elif self._turned_ns is None:
            self._turned_ns = now
        elif now - self._turned_ns >= _STANDS_NS:
            self._stands, self._turned_ns = not self._stands, None

    @property
    def wavers(self) -> bool:
        """Whether the next beats may change the limit."""
        return self._stands or self._turned_ns is not None

    @property
    def room(self) -> int | None:
        """Slots and places in the queue that are free; None without a limit."""
        limit = self.limit
        if limit is None:
            return None
        return max(0, limit - self.in_flight) + max(0, self.queue - self.queued)

    def crowd(self, lot: Lot, priority: Priority, stuck: tuple[str, ...] = ()) -> Crowd:
        room = Room(self.in_flight, self.limit)
        ahead = self.queued > 0 and self._is_ahead(priority)
        return Crowd(room, lot.room, self.queued, self.queue, ahead, stuck)

    def _is_ahead(self, priority: Priority) -> bool:
        """Stops at the first: who is refused in an overload must not pay for the length of the queue."""
        for each in _ORDER[: _ORDER.index(priority) + 1]:
            # Who waits for a slot of a full route stands in nobody's way.
            if any(waiter.lot.room.free() for waiter in self._waiting[each]):
                return True
        return False

    def hand_out(self, most: int) -> int:
        """Passes, as many as there are free slots and no more than so many."""
        limit = self.limit
        free = most if limit is None else min(most, limit - self.in_flight)
        self.passes.give(0 if self.queued else max(0, free))
        return self.passes.left

    def enter(self, lot: Lot) -> None:
        self.in_flight += 1
        if lot.limit is not None:
            lot.in_flight += 1
        if self.passes.left:
            self.passes.give(self.passes.left - 1)

    async def wait(self, lot: Lot, priority: Priority, within_ns: int | None) -> bool:
        """Whether it is in now; else no slot came in time."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(lot, loop.create_future())
        line = self._waiting[priority]
        line.append(waiter)
        self.queued += 1
        self.passes.give(0)
        timer = None
        if within_ns is not None:
            timer = loop.call_later(max(0, within_ns) / NS_PER_S, _wake, waiter.future)
        try:
            await waiter.future
        except asyncio.CancelledError:
            if waiter in line:
                self._forget(waiter, line)
            else:  # it was let in, and goes at once
                self.leave(lot)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if waiter in line:
            self._forget(waiter, line)
            return False
        return True

    def leave(self, lot: Lot) -> None:
        self.in_flight -= 1
        if lot.limit is not None:
            lot.in_flight -= 1
        if self.queued:
            self.let_in()

    def let_in(self) -> None:
        """As many of those who wait as there is room for, the most important first, each in its turn."""
        for priority in _ORDER:
            line = self._waiting[priority]
            while line:
                if not Room(self.in_flight, self.limit).free(SHARES[priority].slots):
                    return
                waiter = _first_to_go(line)
                if waiter is None:
                    break
                self._forget(waiter, line)
                self.enter(waiter.lot)
                waiter.future.set_result(None)

    def ended(self, now: int, took_ns: int, dropped: bool) -> None:
        """Before `leave`."""
        if self.adaptive is not None:
            self.adaptive.ended(now, took_ns, self.in_flight, dropped)
            self.passes.give(0)  # the limit may have fallen

    def _forget(self, waiter: _Waiter, line: deque[_Waiter]) -> None:
        line.remove(waiter)
        self.queued -= 1


def _first_to_go(line: Iterable[_Waiter]) -> _Waiter | None:
    """Almost always the first of all; a copy of a long queue for each request that ends would be dear."""
    return next((each for each in line if each.lot.room.free() and not each.future.done()), None)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
