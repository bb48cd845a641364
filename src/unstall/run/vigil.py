"""Over one process whose watchdog beats: when the beats fail, is it dead, starved, or locked out?

A watchdog that waits for the interpreter lock is awake: CPython's take_gil wakes it every switch interval,
and each time counts in its `schedstat`. One that is stopped, throttled or waits for a disk is not. Only
the first kind is asked for its stacks.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from unstall.clock import NS_PER_MS
from unstall.model.observation import Doubts, Holder, Look, Stretch
from unstall.model.place import Stack
from unstall.run.dump import stacks_of
from unstall.watch.deadman import PAUSE_NS
from unstall.watch.lateness import was_stopped
from unstall.watch.stacks import Places
from unstall.watch.subject import announcements

_LEAST_SILENCE_NS = 100 * NS_PER_MS
"""Beyond the longest pause between beats: time enough to count how often the watchdog woke."""
_NOTICE_NS = PAUSE_NS + 20 * NS_PER_MS
_AGAIN_NS = 50 * NS_PER_MS
_DUMP_ENDS_NS = 15 * NS_PER_MS
"""A dump has no last line; it ends when nothing has come for so long."""


class Schedule(NamedTuple):
    """`/proc/…/schedstat`: ns on a processor, ns queued for one, times scheduled."""

    run_ns: int
    queued_ns: int
    slices: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What the system tells of a process's threads at one moment."""

    at_ns: int
    threads: Mapping[int, Schedule]


def sample(pid: int) -> Sample:
    threads: dict[int, Schedule] = {}
    try:
        for task in os.scandir(f"/proc/{pid}/task"):
            run, queued, slices = Path(task.path, "schedstat").read_text().split()
            threads[int(task.name)] = Schedule(int(run), int(queued), int(slices))
    except (OSError, ValueError):  # ended, or no Linux
        pass
    return Sample(time.monotonic_ns(), threads)


def ask(pid: int, tid: int) -> None:
    """SIGURG to one thread of another process. Raises OSError, or AttributeError where libc has no tgkill."""
    if ctypes.CDLL(None, use_errno=True).tgkill(pid, tid, int(signal.SIGURG)) != 0:
        raise OSError(ctypes.get_errno(), "tgkill")


def name_of(pid: int, tid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/task/{tid}/comm").read_text().strip()
    except OSError:
        name = ""
    return f"thread {tid} ({name})" if name else f"thread {tid}"


class Vigil:
    """Fed with the lines of one deadman's connection; `check` says when a process has frozen."""

    def __init__(
        self,
        hello: Mapping[str, Any],
        root: Path,
        *,
        take: Callable[[int], Sample] = sample,
        ask: Callable[[int, int], None] | None = ask,
    ) -> None:
        self.process = str(hello["process"])
        self.pid = int(hello["pid"])
        self.threshold_ns = int(hello["threshold_ns"])
        self._tid = int(hello["tid"])
        self._switch_ns = int(hello["switch_ns"])
        self._stdlib = str(hello["stdlib"])
        self._ask_after_ns = PAUSE_NS + max(
            _LEAST_SILENCE_NS, int(hello["interval_ns"]) + self.threshold_ns + 10 * NS_PER_MS
        )
        self._root = root
        self._places = Places(root)
        self._take = take
        self._ask = ask
        self._loops: dict[int, tuple[int, int]] = {}
        self._beat_ns = time.monotonic_ns()
        self._begun = 0
        self._mute = False
        self._rest()

    def _rest(self) -> None:
        self._before: Sample | None = None
        self._after: Sample | None = None
        self._next_ns = self._beat_ns + _NOTICE_NS
        self._dump: list[str] = []
        self._dump_ns = 0
        self._said = 0

    def hear(self, line: str, now: int) -> Stretch | None:
        """A line of the connection; what came of a dump that it ends."""
        if line.startswith("b "):
            told = self._conclude()
            _, beat_ns, begun = line.split()
            self._beat_ns, self._begun = int(beat_ns), int(begun)
            self._rest()
            return told
        if line.startswith("{"):
            self._loops = {number: (ident, tid) for number, ident, tid in _loops_in(line)}
        elif line:
            self._dump.append(line)
            self._dump_ns = now
        return None

    def due_ns(self) -> int | None:
        """When `check` should be called next; None while there is nothing to watch over."""
        if not self._loops or self._mute:
            return None
        return self._dump_ns + _DUMP_ENDS_NS if self._dump else self._next_ns

    def check(self, now: int) -> Stretch | None:
        """The stall that holds the interpreter lock, when it has come to be said."""
        due = self.due_ns()
        if due is None or now < due:
            return None
        if self._dump:
            return self._conclude()
        if self._before is None:
            self._before = self._take(self.pid)
            self._next_ns = self._beat_ns + self._ask_after_ns
            return None
        self._next_ns = now + _AGAIN_NS
        late = now - self._beat_ns - PAUSE_NS
        if 1 + announcements(late) <= self._said:
            return None
        after = self._take(self.pid)
        if self._is_locked_out(self._before, after):
            self._after = after
            if self._ask is None:  # no stack, but a word
                self._said = 1 + announcements(late)
                return self._stretch(self._before, after, {})
            try:
                self._ask(self.pid, self._tid)
                self._said = 1 + announcements(late)
            except (OSError, AttributeError):
                self._mute = True
        else:
            self._before = after  # what was spent asleep says nothing about what comes now
        return None

    def _is_locked_out(self, before: Sample, after: Sample) -> bool:
        took = after.at_ns - before.at_ns
        first, last = before.threads.get(self._tid), after.threads.get(self._tid)
        if first is None or last is None or 2 * (last.queued_ns - first.queued_ns) > took:
            return False
        if was_stopped(took, last.slices - first.slices, self._switch_ns):
            return False
        return _one_ran(before, after, self._tid)

    def _conclude(self) -> Stretch | None:
        lines, self._dump = self._dump, []
        if not lines or self._before is None or self._after is None:
            return None  # somebody else's SIGURG
        stacks = stacks_of(lines, self._places, self._root, self._stdlib)
        return self._stretch(self._before, self._after, stacks)

    def _stretch(
        self, before: Sample, after: Sample, stacks: Mapping[int, Stack]
    ) -> Stretch | None:
        """As the watchdog itself would have written it, had it been able to."""
        used = {
            tid: schedule.run_ns - before.threads[tid].run_ns
            for tid, schedule in after.threads.items()
            if tid in before.threads
        }
        loop, (ident, tid) = max(self._loops.items(), key=lambda item: used.get(item[1][1], 0))
        stack = stacks.get(ident)
        due, until = self._beat_ns + PAUSE_NS, after.at_ns
        return Stretch(
            process=self.process,
            loop=loop,
            thread="",
            last_tick_ns=before.at_ns,
            due_ns=due,
            until_ns=until,
            ongoing=True,
            cpu_ns=used.get(tid),
            doubts=Doubts(
                gil_ns=until - due,
                holder=self._holder(used, [tid for _, tid in self._loops.values()], before, after),
            ),
            looks=(Look(until, until, 1, stack, running=True),) if stack else (),
            served_before=self._begun,
        )

    def _holder(
        self, used: Mapping[int, int], loops: Sequence[int], before: Sample, after: Sample
    ) -> Holder | None:
        others = [(ns, tid) for tid, ns in used.items() if tid not in loops]
        ns, tid = max(others, default=(0, 0))
        if 2 * ns < after.at_ns - before.at_ns:
            return None
        return Holder(name_of(self.pid, tid), ns)


def _one_ran(before: Sample, after: Sample, watchdog: int) -> bool:
    """Whether a single thread ran, as when it holds the interpreter lock.

    Threads that compute in Python take turns: their frames change all the time, and to read them without the
    lock can crash the process.
    """
    ran = sorted(
        after.threads[tid].run_ns - before.threads[tid].run_ns
        for tid in after.threads
        if tid in before.threads and tid != watchdog
    )
    took = after.at_ns - before.at_ns
    return bool(ran) and 2 * ran[-1] > took and 10 * sum(ran[:-1]) < ran[-1]


def _loops_in(line: str) -> Sequence[tuple[int, int, int]]:
    from json import loads

    return [(int(number), int(ident), int(tid)) for number, ident, tid in loads(line)["loops"]]
