"""Why the watchdog itself came late, kept as a bounded list of doubts.

The watchdog asks to be woken at a moment. When it wakes later, either it was awake and waited for the
interpreter lock (CPython's take_gil wakes every switch interval, 5 ms by default, so the thread was
scheduled many times), or it was not scheduled at all (SIGSTOP, a suspended machine, a cgroup throttled,
processors that others hold). Of the last two it is known better why: the clock that counts a machine's sleep
has gone ahead of the one that does not, and a CPU limit is counted by the control group.
"""

from __future__ import annotations

import enum
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from unstall.model.observation import Doubts, Holder
from unstall.watch.heartbeat import difference
from unstall.watch.linux import ThreadProbe, asleep_ns, cpu_clock_ns, keeping_pread, switches
from unstall.watch.throttling import Throttling

LATE_NS = 10_000_000
"""Later than the interpreter's switch interval and the timer's slack together."""
_MOST_THREADS = 256
_MIN_SLEEP_NS = 100_000_000
"""The machine's: two clocks are never read in the same moment."""
_READ_AGAIN_NS = 50_000_000
_MIN_SHARE_OF_CROWD = 0.02
_MIN_HOLDER_SHARE = 0.1
"""Of the lateness, as CPU: who holds the lock runs, if only for its share of a busy machine."""


class Kind(enum.Enum):
    STOPPED = enum.auto()
    """Not scheduled at all."""
    LOCKED_OUT = enum.auto()
    """Woken, and it waited for the interpreter lock."""
    CROWDED = enum.auto()
    """At work, and it waited for that lock time after time."""
    QUEUED = enum.auto()
    """Ready, and it got no processor: who else was ready may have had one."""
    HELD_UP = enum.auto()
    """At work for long, and nobody is known to have kept it from that."""


class Doubt(NamedTuple):
    """A span in which the watchdog could not run."""

    from_ns: int
    until_ns: int
    kind: Kind
    holder: Holder | None


class Sleep(NamedTuple):
    """The machine slept for `slept_ns` at some moment of a span of the monotonic clock, which stood still."""

    from_ns: int
    until_ns: int
    slept_ns: int


class Used(NamedTuple):
    """CPU time at one moment."""

    process_ns: int
    """Of all threads, with those that have ended."""
    own_ns: int
    """The watchdog's."""
    loops: Mapping[int, int | None]
    """Of each thread that runs a loop, by its kernel id; None of one that has ended."""

    def by_others_since(self, before: Used) -> int:
        """What was used by neither a loop's thread nor the watchdog's.

        Too little rather than too much: all that a thread ever used is a loop's if it has come to run one
        since, and where such a thread has ended nothing is known.
        """
        used = self.process_ns - before.process_ns - (self.own_ns - before.own_ns)
        for tid in before.loops.keys() | self.loops.keys():
            now_ns = self.loops[tid] if tid in self.loops else cpu_clock_ns(tid)
            before_ns = before.loops.get(tid) or 0
            if now_ns is None or now_ns < before_ns:  # ended, and its number may be another's
                return 0
            used -= now_ns - before_ns
        return used


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

    def __init__(
        self,
        asleep: Callable[[], int | None] = asleep_ns,
        throttling: Throttling | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        loops: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        """`loops`: kernel ids of the threads that run one now."""
        self._clock = clock
        self._loops = loops
        self._working_ns: int | None = None
        self._asleep_ns = asleep
        self._asleep = asleep()
        self._awake_ns = 0
        self._sleeps: deque[Sleep] = deque(maxlen=64)
        self._throttling = throttling or Throttling()
        self._throttled: deque[tuple[int, int]] = deque(maxlen=256)
        self._woken = switches()
        self._doubts: deque[Doubt] = deque(maxlen=256)
        self._cpu_of: dict[int, int] = {}
        self._own: ThreadProbe | None = None
        self._queued_ns: int | None = None
        self._used: Used | None = None

    def slept(self, asked_ns: int, woke_ns: int, others_ns: int = 0) -> None:
        """The watchdog asked to wake at `asked_ns` and ran at `woke_ns`.

        `others_ns` is what all threads but a single loop's had used of the CPU shortly before `asked_ns`,
        where somebody knows that better than from the wake before this.
        """
        woken = switches()
        late = woke_ns - asked_ns
        slept = self._slept(woke_ns)
        used = self._used_now()
        if late > LATE_NS:
            stopped = slept or was_stopped(late, difference(woken, self._woken), _switch_ns())
            holder = None if stopped else self._holder(late, used, others_ns)
            kind = Kind.STOPPED if stopped else Kind.LOCKED_OUT
            if stopped and not slept and self._was_queued(late):
                kind = Kind.QUEUED
            self._doubts.append(Doubt(asked_ns, woke_ns, kind, holder))
        self._began(woke_ns, woken, used)

    def worked(self, now: int) -> None:
        """The watchdog did its work since it woke, and each file that it reads lets go of the lock.

        It is a doubt if that took long because others than the loop computed. While the loop itself computes
        it takes long, too; and a file or a listener that is slow says nothing about the loop, only why nobody
        looked at it.
        """
        since = self._working_ns
        if since is None or now - since <= LATE_NS:
            return
        woken, used = switches(), self._used_now()
        waits = difference(woken, self._woken)
        holder = None
        if waits is not None and not was_stopped(now - since, waits, _switch_ns()):
            holder = self._holder(now - since, used)
        if holder is not None:
            kind = Kind.CROWDED
        else:
            kind = Kind.QUEUED if self._was_queued(now - since) else Kind.HELD_UP
        self._doubts.append(Doubt(since, now, kind, holder))
        self._began(now, woken, used)

    def _began(self, now: int, woken: int | None, used: Used) -> None:
        """What the next doubt is measured from."""
        self._working_ns, self._woken, self._queued_ns = now, woken, self._queued()
        self._used = used

    def _used_now(self) -> Used:
        loops = {tid: cpu_clock_ns(tid) for tid in self._loops()}
        return Used(time.process_time_ns(), time.thread_time_ns(), loops)

    def _was_queued(self, late_ns: int) -> bool:
        """Whether it was ready for most of that, and no processor ran it."""
        return 2 * (difference(self._queued(), self._queued_ns) or 0) > late_ns

    def _queued(self) -> int | None:
        """How long the watchdog's thread was ready and had no processor; None where that is uncounted."""
        if self._own is None:
            self._own = ThreadProbe(threading.get_native_id(), ("schedstat",), keeping_pread)
        return self._own.queued_ns()

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    def remember(self, now: int) -> None:
        """CPU clocks of all threads, to tell later who ran, and what doubts are measured from.

        Called about once a second, never by two at a time.
        """
        self._cpu_of = {tid: cpu for tid, _, cpu in _clocks()}
        self._slept(now)
        self._read_throttled(now)

    def doubts(self, from_ns: int, until_ns: int, *, queued: bool = True) -> Doubts:
        """What of `from_ns..until_ns` was spent stopped or locked out; GC and queueing are not known here.

        To be asked soon after `until_ns`. `queued`: how long the loop's thread queued for a processor is
        counted, and says more about it than that the watchdog had none.
        """
        self.worked(self._clock())
        spans = dict.fromkeys(Kind, 0)
        holder: Holder | None = None
        for doubt in self._doubts:
            overlap = min(doubt.until_ns, until_ns) - max(doubt.from_ns, from_ns)
            if overlap <= 0:
                continue
            spans[doubt.kind] += overlap
            if doubt.holder and (holder is None or doubt.holder.cpu_ns > holder.cpu_ns):
                holder = doubt.holder
        return Doubts(
            gil_ns=spans[Kind.LOCKED_OUT],
            crowded_ns=spans[Kind.CROWDED],
            stopped_ns=spans[Kind.STOPPED] + (0 if queued else spans[Kind.QUEUED]),
            unwatched_ns=spans[Kind.QUEUED] + spans[Kind.HELD_UP],
            suspended_ns=sum(
                sleep.slept_ns
                for sleep in list(self._sleeps)
                if sleep.from_ns <= until_ns and sleep.until_ns >= from_ns
            ),
            throttled_ns=self._throttled_within(from_ns, until_ns),
            holder=holder,
        )

    def _slept(self, now: int) -> bool:
        """Whether the machine has slept since this was asked last."""
        asleep, before, since = self._asleep_ns(), self._asleep, self._awake_ns
        if asleep is None:
            return False
        self._asleep, self._awake_ns = asleep, now
        if before is None or asleep - before < _MIN_SLEEP_NS:
            return False
        self._sleeps.append(Sleep(since, now, asleep - before))
        return True

    def _read_throttled(self, now: int) -> None:
        if self._throttled and now - self._throttled[-1][0] < _READ_AGAIN_NS:
            return
        total = self._throttling.total_ns()
        if total is not None:
            self._throttled.append((now, total))

    def _throttled_within(self, from_ns: int, until_ns: int) -> int | None:
        """From the last reading before the span until now; None if there is none."""
        now = self._throttling.total_ns()
        before = [total for at, total in list(self._throttled) if at <= from_ns]
        if now is None or not before:
            return None
        return max(0, now - before[-1])

    def _holder(self, late_ns: int, used: Used, others_ns: int = 0) -> Holder | None:
        """Whoever burnt CPU meanwhile, no loop's thread: by name, or unnamed if it has ended since."""
        if self._used is None:
            return None
        others = used.by_others_since(self._used)
        if others_ns:
            by_loops = sum(cpu or 0 for cpu in used.loops.values())
            others = min(others, used.process_ns - by_loops - others_ns)
        if others < _MIN_HOLDER_SHARE * late_ns:
            return None
        quiet = {*self._used.loops, *used.loops, threading.get_native_id()}
        ran = sorted(
            (
                (cpu - self._cpu_of.get(tid, 0), name)
                for tid, name, cpu in _clocks()
                if tid not in quiet
            ),
            reverse=True,
        )
        return holder_of(ran, others)


def holder_of(ran: Sequence[tuple[int, str]], used_ns: int) -> Holder:
    """One thread or a crowd, from what each used of the CPU, the most first, and all of them together.

    Threads that have ended are in the sum alone.
    """
    if ran and ran[0][0] >= used_ns / 2:
        return Holder(f"thread {ran[0][1]}", min(ran[0][0], used_ns))
    crowd = [(cpu, name) for cpu, name in ran if cpu >= _MIN_SHARE_OF_CROWD * used_ns]
    together = sum(cpu for cpu, _ in crowd)
    if len(crowd) < 2 or together < used_ns / 2:
        return Holder("a thread that cannot be named", used_ns)
    names = " and ".join(name for _, name in crowd[:2])
    more = f" and {len(crowd) - 2} more" if len(crowd) > 2 else ""
    return Holder(f"threads {names}{more}", min(together, used_ns))


def _switch_ns() -> int:
    return int(sys.getswitchinterval() * 1e9)


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
