"""Why the watchdog itself came late, kept as a bounded list of doubts.

The watchdog asks to be woken at a moment. When it wakes later, either it was awake and waited for the
interpreter lock (CPython's take_gil wakes every switch interval, 5 ms by default, so the thread was
scheduled many times), or it was not scheduled at all (SIGSTOP, a suspended machine, a cgroup throttled,
processors that others hold).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import NamedTuple

from unstall.model.observation import Doubts, Holder
from unstall.watch.heartbeat import difference
from unstall.watch.linux import cpu_clock_ns, switches

LATE_NS = 10_000_000
"""Later than the interpreter's switch interval and the timer's slack together."""
_MOST_THREADS = 256
_MIN_HOLDER_SHARE = 0.1
"""Of the lateness, as CPU: who holds the lock runs, if only for its share of a busy machine."""


class Doubt(NamedTuple):
    """A span in which the watchdog could not run."""

    from_ns: int
    until_ns: int
    stopped: bool
    """Not scheduled at all; else it waited for the interpreter lock."""
    holder: Holder | None


def was_stopped(late_ns: int, woken: int | None, switch_ns: int = 5_000_000) -> bool:
    """Whether a thread that was late was off the processors, by how often it was `woken` meanwhile.

    `switch_ns` is the interpreter's switch interval: whoever waits for the lock wakes once in each. A
    quarter of that is asked for, as a busy machine is late with waking, too. Uncounted, nobody is excused.
    """
    return woken is not None and woken < late_ns // (4 * switch_ns)


class Lateness:
    """The watchdog's own account; used from the watchdog's thread only.

    Nothing that is read on time lets go of the interpreter lock: getting it back from a busy loop would
    cost the loop a switch each time.
    """

    def __init__(self) -> None:
        self._woken = switches()
        self._doubts: deque[Doubt] = deque(maxlen=256)
        self._cpu_of: dict[int, int] = {}
        self._others_ns = 0

    def slept(
        self, asked_ns: int, woke_ns: int, loop_tids: frozenset[int], others_ns: int = 0
    ) -> None:
        """The watchdog asked to wake at `asked_ns` and ran at `woke_ns`.

        `others_ns` is what all threads that run no loop had used of the CPU shortly before `asked_ns`,
        where somebody knows that better than from the wake before this.
        """
        woken = switches()
        late = woke_ns - asked_ns
        others, before = _cpu_of_others(loop_tids), max(self._others_ns, others_ns)
        if late > LATE_NS:
            switch_ns = int(sys.getswitchinterval() * 1e9)
            stopped = was_stopped(late, difference(woken, self._woken), switch_ns)
            holder = None if stopped else self._holder(late, others - before, loop_tids)
            self._doubts.append(Doubt(asked_ns, woke_ns, stopped, holder))
        self._woken, self._others_ns = woken, others

    def remember_threads(self) -> None:
        """CPU clocks of all threads now, to tell later who ran; called about once a second, never by two."""
        self._cpu_of = {tid: cpu for tid, _, cpu in _clocks()}

    def doubts(self, from_ns: int, until_ns: int) -> Doubts:
        """What of `from_ns..until_ns` was spent stopped or locked out; GC and queueing are not known here."""
        gil = stopped = 0
        holder: Holder | None = None
        for doubt in self._doubts:
            overlap = min(doubt.until_ns, until_ns) - max(doubt.from_ns, from_ns)
            if overlap <= 0:
                continue
            if doubt.stopped:
                stopped += overlap
            else:
                gil += overlap
                if doubt.holder and (holder is None or doubt.holder.cpu_ns > holder.cpu_ns):
                    holder = doubt.holder
        return Doubts(gil_ns=gil, stopped_ns=stopped, holder=holder)

    def _holder(self, late_ns: int, others_ns: int, loop_tids: frozenset[int]) -> Holder | None:
        """Whoever burnt CPU meanwhile, no loop's thread: by name, or unnamed if it has ended since."""
        if others_ns < _MIN_HOLDER_SHARE * late_ns:
            return None
        ran = [
            (cpu - self._cpu_of.get(tid, 0), name)
            for tid, name, cpu in _clocks()
            if tid not in loop_tids
        ]
        cpu_ns, name = max(ran, default=(0, ""))
        if cpu_ns < others_ns / 2:
            return Holder("a thread that cannot be named", others_ns)
        return Holder(f"thread {name}", min(cpu_ns, others_ns))


def _cpu_of_others(loop_tids: frozenset[int]) -> int:
    """CPU time of the whole process, with threads that have ended, less that of the loops' threads."""
    return time.process_time_ns() - sum(cpu_clock_ns(tid) or 0 for tid in loop_tids)


def _clocks() -> list[tuple[int, str, int]]:
    clocks = []
    # The private table, because threading.enumerate() takes a lock that a stuck thread may hold.
    for thread in list(threading._active.values())[:_MOST_THREADS]:  # type: ignore[attr-defined]
        tid = thread.native_id
        if tid is None:
            continue
        cpu = cpu_clock_ns(tid)
        if cpu is not None:
            clocks.append((tid, thread.name, cpu))
    return clocks
