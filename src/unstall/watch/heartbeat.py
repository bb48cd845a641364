"""The part that runs on the loop: a timer that notes when it ran and when it should have."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from unstall.settings import Settings
from unstall.watch.ground import Ground

_CATCH_UP_LIMIT_NS = 2_000_000_000
_QUIET_TURN_NS = 500_000
_QUIET_TURNS = 4  # accept, read, parse and start of a request each take a turn of the loop
_OFF_PART = 20
"""Of the time between two beats, so much may a thread have been off the processors unasked."""


class Late(NamedTuple):
    """A beat that came late; times in monotonic ns."""

    last_ns: int
    due_ns: int
    ran_ns: int
    cpu_ns: int
    """CPU time of the loop's thread from `last_ns` to `ran_ns`."""
    queued_ns: int | None
    """How long that thread queued for a processor meanwhile; None where the system hides it."""
    others_ns: int
    """CPU time of all other threads of the process meanwhile."""
    begun: int
    """Requests begun in this process until `ran_ns`."""


class Mirror(Protocol):
    """Shows the beats to other processes."""

    def beat(self, now: int, lag: int, cpu_ns: int, /) -> None: ...

    def end(self) -> None: ...


def difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


class Heartbeat:
    """Beats on one loop from `start` to `stop`, both called on the loop's own thread.

    `beats`, `due_ns` and the three queues are read by the watchdog from its thread: filled here at one
    end, emptied there at the other, so neither side needs a lock.
    """

    __slots__ = (
        "_begun", "_collected", "_context", "_handle", "_interval_ns", "_interval_s", "_late_after_ns",
        "_look_after_ns", "_off_most_ns", "_off_ns", "_queued_ns", "_quiet", "_spare_ns", "_turn_ns", "beats",
        "caught_up", "cpu_ns", "due_ns", "failed", "ground", "lags", "late", "loop", "mirror", "others_ns",
        "postpone", "process_ns", "queued_ns", "ran_ns",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        begun: Callable[[], int],
        queued_ns: Callable[[], int | None],
        collected: Callable[[int], None],
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = loop
        """None once the beat has stopped: nobody keeps a loop that has ended from being freed."""
        self._interval_ns = settings.interval_ns
        self._interval_s = settings.interval_ns / 1e9
        self._late_after_ns = settings.threshold_ns
        self._look_after_ns = settings.look_after_ns
        self._spare_ns = settings.interval_ns * 3 // 2
        self._off_most_ns = settings.interval_ns // _OFF_PART
        self._begun = begun
        self._queued_ns = queued_ns
        self._collected = collected
        self.postpone: Callable[[int, int, int], None] | None = None
        """Is told, by each punctual beat, the time and when the watchdog should look if no other comes.

        And by how much earlier would do: that spares every second beat the system call, and a watchdog that
        looks so early finds nothing and asks again.
        """
        self.mirror: Mirror | None = None
        self._context = contextvars.Context()
        self._handle: asyncio.Handle | None = None
        self._quiet = self._turn_ns = 0
        self.lags: deque[int] = deque(maxlen=10_000)
        self.late: deque[Late] = deque(maxlen=1_000)
        self.caught_up: deque[tuple[int, int]] = deque(maxlen=1_000)
        """For each late beat: `(its ran_ns, requests begun when the loop had caught up)`."""
        self.beats = 0
        self.failed: BaseException | None = None
        self.ground = Ground()
        self._set_out()

    def start(self) -> None:
        self._set_out()
        self._later()

    def _later(self) -> None:
        if self.loop is not None:
            self._handle = self.loop.call_later(self._interval_s, self._beat, context=self._context)

    def _set_out(self) -> None:
        """As if a beat had just run."""
        self.ran_ns = time.monotonic_ns()
        self.due_ns = self.ran_ns + self._interval_ns
        self.cpu_ns = time.thread_time_ns()
        self.queued_ns = self._queued_ns()
        """How long the thread had queued for a processor; a hundredth of the threshold may be missing."""
        self._off_ns = 0
        """How long the thread has not run since that was read."""
        self.process_ns = time.process_time_ns()
        self.others_ns = self.process_ns - self.cpu_ns
        """CPU time of all other threads of the process until the last punctual beat."""

    def stop(self) -> None:
        """No beat after this one; a stretch under way ends here."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._note(time.monotonic_ns())
        self.loop = None
        mirror, self.mirror = self.mirror, None
        if mirror is not None:
            mirror.end()

    def _beat(self) -> None:
        try:
            self.ground.note(sys._getframe(1))
            self._note(time.monotonic_ns())
            self._later()
        except Exception as error:  # the host's loop must not see it; the monitor reports it
            self._handle = None
            self.failed = error

    def _note(self, now: int) -> None:
        lag = now - self.due_ns
        cpu = time.thread_time_ns()
        queued, process = self._queued_until(now, cpu), time.process_time_ns()
        if lag > self._late_after_ns:
            begun = self._begun()
            used = cpu - self.cpu_ns
            waited = difference(queued, self.queued_ns)
            others = max(0, process - self.process_ns - used)
            self.late.append(Late(self.ran_ns, self.due_ns, now, used, waited, others, begun))
            self._quiet, self._turn_ns = 0, now
            if self._handle is not None and self.loop is not None:
                self.loop.call_soon(self._catch_up, now, context=self._context)
            else:
                self.caught_up.append((now, self._begun()))
        self.lags.append(lag)
        mirror = self.mirror  # may be taken away meanwhile
        if mirror is not None:
            mirror.beat(now, lag, cpu)
        self.cpu_ns = cpu
        self.queued_ns, self.process_ns = queued, process
        self.ran_ns = now
        self.due_ns = now + self._interval_ns
        self.beats += 1
        self._collected(now)
        if lag <= self._look_after_ns:  # else the alarm has gone off, and must be heard
            self.others_ns = process - cpu
            if self.postpone is not None:
                self.postpone(now, self.due_ns + self._look_after_ns, self._spare_ns)

    def _queued_until(self, now: int, cpu_ns: int) -> int | None:
        """Asked only when it can have grown: a thread that ran all the time did not queue.

        The file is the dearest part of a beat, and a loop that has no time left is the one that would pay.
        """
        off = now - self.ran_ns - (cpu_ns - self.cpu_ns)
        # Of two clocks one may be slewed, and must save up nothing.
        self._off_ns = max(0, self._off_ns + off)
        if self._off_ns <= self._off_most_ns:
            return self.queued_ns
        self._off_ns = 0
        return self._queued_ns()

    def _catch_up(self, late_ns: int) -> None:
        """Takes a turn of the loop, again and again, until a few turns in a row had nothing to do."""
        now = time.monotonic_ns()
        self._quiet = self._quiet + 1 if now - self._turn_ns < _QUIET_TURN_NS else 0
        self._turn_ns = now
        if self._quiet >= _QUIET_TURNS or now - late_ns > _CATCH_UP_LIMIT_NS:
            self.caught_up.append((late_ns, self._begun()))
        elif self._handle is not None and self.loop is not None:
            self.loop.call_soon(self._catch_up, late_ns, context=self._context)
        else:
            self.caught_up.append((late_ns, self._begun()))
