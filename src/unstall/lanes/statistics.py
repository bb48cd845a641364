"""What a lane says of itself, as values that any thread may ask for."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from pathlib import PurePath
from types import FrameType

from unstall.clock import NS_PER_S
from unstall.lanes.jobs import Job, name_of
from unstall.lanes.metrics import WAITED, WORKED
from unstall.model.histogram import Histogram, HistogramBuilder
from unstall.threads import frames as thread_frames

_FOLD_AT = 200  # a fold keeps the others from the interpreter lock: 0.2 ms


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A call that goes on although nobody waits for it any more."""

    function: str
    """`module:qualname`."""
    running_s: float
    """Since it began."""
    abandoned_s: float
    """Since its caller left."""
    at: str | None
    """`file.py:line in function` where its thread is now; None if it is in no Python that can be seen."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """One lane at one moment; counts are since the lane was made. `running` and `abandoned` share no call."""

    name: str
    backend: str
    workers: int
    """Slots."""
    queue: int
    """Calls that may wait."""
    running: int
    """Calls at work whose callers wait for them."""
    queued: int
    abandoned: tuple[Abandoned, ...]
    stuck: bool
    """Whether every slot is held by an abandoned call that is overdue."""
    closed: bool
    rejected: int
    """Refused at once."""
    timeouts: int
    """Given up before they were begun."""
    deadlines: int
    """Given up while they ran."""
    cancelled: int
    """Left by callers that were cancelled."""
    waited: Histogram
    """Of calls that were begun, from the asking to the beginning."""
    worked: Histogram
    """Of calls that have ended, abandoned ones included."""


class Durations:
    """Written by the lane's threads at the cost of an append; folded when somebody reads."""

    def __init__(self, name: str) -> None:
        self._labels = (name,)
        self._pending: deque[tuple[int, int]] = deque()
        self._lock = threading.Lock()
        self._waited, self._worked = HistogramBuilder(), HistogramBuilder()

    def add(self, waited_ns: int, worked_ns: int) -> None:
        WAITED.observe(self._labels, waited_ns)
        WORKED.observe(self._labels, worked_ns)
        self._pending.append((waited_ns, worked_ns))
        if len(self._pending) >= _FOLD_AT and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def read(self) -> tuple[Histogram, Histogram]:
        with self._lock:
            self._fold()
            return self._waited.freeze(), self._worked.freeze()

    def forked(self) -> None:
        self._lock = threading.Lock()

    def _fold(self) -> None:
        pending = self._pending
        for _ in range(len(pending)):
            waited, worked = pending.popleft()
            self._waited.add(waited)
            self._worked.add(worked)


def abandoned(jobs: tuple[Job, ...], now: int, *, in_threads: bool) -> tuple[Abandoned, ...]:
    frames = thread_frames() if jobs and in_threads else {}
    return tuple(
        Abandoned(
            name_of(job.function),
            (now - job.begun_ns) / NS_PER_S,
            (now - job.left_ns) / NS_PER_S,
            _told(frames.get(job.thread)),
        )
        for job in jobs
    )


def _told(frame: FrameType | None) -> str | None:
    if frame is None or frame.f_code is Job.here.__code__:
        return None
    code = frame.f_code
    return f"{PurePath(code.co_filename).name}:{frame.f_lineno} in {code.co_name}"
