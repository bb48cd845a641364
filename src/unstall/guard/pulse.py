"""How late and how busy the loop is, by a timer of the guard's own; and how much memory is used."""

from __future__ import annotations

import asyncio
import contextvars
import os
import time
from asyncio import _get_running_loop as running_loop
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from unstall.clock import NS_PER_S
from unstall.guard.policy import Sight

BEAT_NS = 20_000_000
_OVER_NS = NS_PER_S
"""Utilisation is that of about the last second."""
_BEATS = 3
SEVERAL = 3
_MOST_GRACE = 24
_IDLE_NS = 10 * NS_PER_S


class Beats:
    """Pure: beats in, lag and utilisation out.

    The lag is the least of the last three beats: one stall is a bug and no overload, and to refuse
    requests when it is over would help nobody.
    """

    __slots__ = ("_busy_ns", "_elapsed_ns", "_lags", "_since_ns", "_window", "due_ns")

    def __init__(self, now: int) -> None:
        self._lags: deque[int] = deque(maxlen=_BEATS)
        self._window: deque[tuple[int, int, int]] = deque()
        self._since_ns = now
        self._busy_ns = self._elapsed_ns = 0
        """Of the window."""
        self.due_ns = now + BEAT_NS

    def beat(self, now: int, cpu_ns: int) -> None:
        """`cpu_ns` is what the loop's thread used since the last beat."""
        lag = max(0, now - self.due_ns)
        elapsed = max(1, now - self._since_ns)
        busy = min(elapsed, max(cpu_ns, lag))
        self._lags.append(lag)
        self._window.append((now, elapsed, busy))
        self._elapsed_ns += elapsed
        self._busy_ns += busy
        while now - self._window[0][0] > _OVER_NS:
            _, elapsed, busy = self._window.popleft()
            self._elapsed_ns -= elapsed
            self._busy_ns -= busy
        self._since_ns = now
        self.due_ns = now + BEAT_NS

    def lag_ns(self, now: int, *, several: bool = False) -> int:
        """Where `several` requests have begun since the last beat and the next is overdue, the loop is late
        now, in this very turn, and with nothing but them."""
        overdue = now - self.due_ns
        late = min(self._lags) if len(self._lags) == _BEATS else 0
        return max(late, overdue) if several else late

    def utilization(self) -> float:
        return self._busy_ns / self._elapsed_ns if self._elapsed_ns else 0.0


class Pulse:
    """Beats on the loop of whoever asks, and rests after ten seconds in which nobody did."""

    def __init__(
        self,
        *,
        late_ns: int | None = None,
        rss: bool = False,
        memory: bool = False,
        tell: Callable[[Sight], bool] | None = None,
    ) -> None:
        """`late_ns` is how late a beat has to be before anybody has to look at it. `tell` is called with
        what each beat saw, and says whether requests have begun since the last one."""
        self._late_ns = 0 if late_ns is None else late_ns
        self._rss = _rss_bytes if rss else _unknown
        self._memory = _memory_share() if memory else _unknown_share
        self._tell = tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beats = Beats(0)
        self._context = contextvars.Context()
        self._begun = 0
        """Requests since the last beat that asked, and as many as need not."""
        self._grace = SEVERAL
        self._asked_ns = self._cpu_ns = self._sampled_ns = 0
        self.sight = Sight()
        """As of the last beat."""

    def grace(self) -> int:
        """How many requests, from this one on, may begin on what the last beat saw; 0 when it does not
        count any more. For one that begins after `SEVERAL` others.

        Twice as many each time while the next beat is not due, so that looking costs many requests little.
        """
        if self._loop is not running_loop():
            return 0
        self._begun = SEVERAL
        overdue = time.monotonic_ns() - self._beats.due_ns
        if overdue > self._late_ns:
            return 0
        self._grace = SEVERAL if overdue > 0 else min(_MOST_GRACE, 2 * self._grace)
        return self._grace

    def __call__(self) -> Sight:
        """Now, for a request that begins."""
        now = time.monotonic_ns()
        loop = asyncio.get_running_loop()
        self._begun += 1
        if loop is not self._loop:
            self._loop = loop
            self._beats = Beats(now)
            self._cpu_ns = time.thread_time_ns()
            self._sample(now)
            loop.call_later(BEAT_NS / NS_PER_S, self._beat, loop, context=self._context)
            return self.sight
        if now <= self._beats.due_ns:
            return self.sight
        sight = self.sight
        lag_ns = self._beats.lag_ns(now, several=self._begun > SEVERAL)
        return Sight(lag_ns, sight.utilization, sight.rss_bytes, sight.memory)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        now, cpu = time.monotonic_ns(), time.thread_time_ns()
        self._beats.beat(now, cpu - self._cpu_ns)
        self._cpu_ns = cpu
        self._sample(now)
        if now - self._asked_ns > _IDLE_NS:
            self._loop = None
            return
        loop.call_later(BEAT_NS / NS_PER_S, self._beat, loop, context=self._context)

    def _sample(self, now: int) -> None:
        memory, rss = self.sight.memory, self.sight.rss_bytes
        if now - self._sampled_ns > NS_PER_S:
            self._sampled_ns = now
            memory, rss = self._memory(), self._rss()
        self.sight = Sight(self._beats.lag_ns(now), self._beats.utilization(), rss, memory)
        unasked = self._tell is not None and self._tell(self.sight)
        if self._begun or unasked:
            self._asked_ns = now
        self._begun, self._grace = 0, SEVERAL


# --- memory ---------------------------------------------------------------------------------


def _unknown() -> int | None:
    return None


def _unknown_share() -> float | None:
    return None


def _rss_bytes() -> int | None:
    """From the kernel's tables, not from a disk; about 10 us."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - the cheapest way
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _memory_share(root: Path = Path("/sys/fs/cgroup")) -> Callable[[], float | None]:
    """Of the container's limit, in version 2 and version 1 of cgroups; unknown without a limit."""
    for used, limit in _places(root):
        most = _number(limit)
        if most is not None and most < 1 << 60:

            def share(used: Path = used, most: int = most) -> float | None:
                now = _number(used)
                return None if now is None else now / most

            return share
    return _unknown_share


def _places(root: Path) -> Iterator[tuple[Path, Path]]:
    yield root / "memory.current", root / "memory.max"
    yield root / "memory/memory.usage_in_bytes", root / "memory/memory.limit_in_bytes"


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
