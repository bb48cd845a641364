"""How long a thread waited of its own will, told from what the system counts of it."""

from __future__ import annotations

import threading
from threading import get_native_id
from time import perf_counter_ns, process_time_ns, thread_time_ns
from typing import NamedTuple

from unstall.watch.linux import ThreadProbe

try:
    import resource
except ImportError:  # Windows
    _THREAD = None
else:
    _THREAD = getattr(resource, "RUSAGE_THREAD", None)
    _getrusage = resource.getrusage


FLOOR_NS = 100_000
"""Less time off the processor than this is no wait: a hand-over between threads takes 60 us."""


class Moment(NamedTuple):
    """Where the clocks of a thread stood: nanoseconds, and a number of switches."""

    wall: int
    cpu: int
    process: int
    """CPU time of all threads together."""
    queued: int
    """Ready, and without a processor; 0 where the system hides it."""
    switches: int
    """How often it let go of its processor itself."""


def let_go() -> int:
    """How often the calling thread has let go of its processor itself; always 0 where that is not counted."""
    return _getrusage(_THREAD).ru_nvcsw if _THREAD is not None else 0


def waited_ns(before: Moment, after: Moment) -> int:
    """How long it was off its processor for nobody else's sake, at least; 0 if it never let go.

    What other threads computed meanwhile may have been a wait for the interpreter lock.
    """
    if after.switches == before.switches:
        return 0
    cpu = after.cpu - before.cpu
    others = max(0, after.process - before.process - cpu)
    queued = after.queued - before.queued
    return max(0, after.wall - before.wall - cpu - others - queued)


class _Kept:
    """In the locals of a thread, whose probe ends with it: threads with loops come and go by the hundred."""

    __slots__ = ("_probes", "_thread")

    def __init__(self, probes: dict[int, ThreadProbe], thread: int) -> None:
        self._probes, self._thread = probes, thread

    def __del__(self) -> None:
        probe = self._probes.pop(self._thread, None)
        if probe is not None:
            probe.close()


class Clocks:
    """Of the threads that run loops. Each keeps one file open for as long as it lives."""

    def __init__(self) -> None:
        self._probes: dict[int, ThreadProbe] = {}
        self._threads = threading.local()

    def read(self) -> Moment:
        """Of the calling thread."""
        thread = get_native_id()
        probe = self._probes.get(thread)
        if probe is None:
            probe = self._probes[thread] = ThreadProbe(thread, ("schedstat",))
            self._threads.kept = _Kept(self._probes, thread)
        return Moment(
            perf_counter_ns(), thread_time_ns(), process_time_ns(),
            probe.queued_ns() or 0, let_go(),
        )  # fmt: skip

    def close(self) -> None:
        while self._probes:
            self._probes.popitem()[1].close()
