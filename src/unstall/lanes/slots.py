"""Who works, who waits and who is refused in one lane; knows neither threads nor loops.

One lock guards all of it and is held for a few lines at a time, so a loop may take it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from threading import get_ident

from unstall.clock import NS_PER_S
from unstall.errors import LaneClosed, LaneError, LaneFull, LaneStuck
from unstall.lanes.jobs import ASSIGNED, CLOSED, DONE, LATE, LEFT, RUNNING, WAITING, Job
from unstall.lanes.limits import Limits
from unstall.lanes.metrics import DEADLINES, REJECTED
from unstall.lanes.workers import Worker

_LEAST_RETRY_S = 1.0
_MOST_RETRY_S = 60.0
_SMOOTHING = 8


@dataclass(frozen=True, slots=True)
class Reading:
    """One moment."""

    size: int
    held: int
    queued: int
    left: tuple[Job, ...]
    rejected: int
    timeouts: int
    deadlines: int
    cancelled: int
    stuck: bool


class Slots:
    """Invariants: calls wait only while every slot is held; a slot is held until its work has ended."""

    def __init__(self, name: str, limits: Limits, clock: Callable[[], int]) -> None:
        self.limits = limits
        self.closed = False
        self._name = name
        self._labels = (name,)
        self._clock = clock
        self._lock = threading.Lock()
        self._held = 0
        self._asides = 0
        self._queue: dict[Job, None] = {}
        self._left: dict[Job, None] = {}
        self._rejected = self._timeouts = self._deadlines = self._cancelled = 0
        self._mean_work_ns = 0.0

    @property
    def needed(self) -> int:
        """Threads that it takes to do what has been assigned."""
        return self._held + self._asides

    # --- in -----------------------------------------------------------------------------------

    def enter(self, job: Job) -> bool:
        """Whether it has a slot now, else it waits for one. Raises LaneFull, LaneStuck, LaneClosed."""
        with self._lock:
            if self.closed:
                raise LaneClosed(
                    f"the lane {self._name!r} is closed and takes no more calls", self._name
                )
            if self._held < self.limits.workers:
                self._held += 1
                job.state = ASSIGNED
                return True
            stuck = self._stuck(job.asked_ns)
            if not stuck and len(self._queue) < self.limits.queue:
                self._queue[job] = None
                return False
            self._rejected += 1
            refusal = self._refusal(stuck, job.asked_ns)
        REJECTED.add(self._labels)
        raise refusal

    def enter_if_free(self, job: Job) -> bool:
        """As `enter`, but takes no place in the queue and counts no refusal."""
        with self._lock:
            if self.closed or self._held >= self.limits.workers:
                return False
            self._held += 1
            job.state = ASSIGNED
            return True

    def enter_aside(self, job: Job) -> None:
        with self._lock:
            self._asides += 1
            job.state = ASSIGNED

    def _refusal(self, stuck: bool, now: int) -> LaneError:
        retry = self._retry_after(now, stuck)
        if stuck:
            return LaneStuck(
                f"the lane {self._name!r} is stuck: all {self.limits.workers} of its slots are held by "
                f"calls that outlived their callers; try again in {retry:.0f} s",
                self._name,
                retry,
            )
        return LaneFull(
            f"the lane {self._name!r} is full: {self._held} calls run and {len(self._queue)} wait, "
            f"which is all it allows; try again in {retry:.0f} s",
            self._name,
            retry,
        )

    def retry_after(self) -> float:
        """Seconds until another try has a chance, by the mean of recent work; an estimate."""
        with self._lock:
            now = self._clock()
            return self._retry_after(now, self._stuck(now))

    def _retry_after(self, now: int, stuck: bool) -> float:
        if stuck:  # what has hung for so long may well hang as long again
            estimate_ns: float = min(now - job.left_ns for job in self._left)
        else:
            estimate_ns = self._mean_work_ns * (len(self._queue) + 1) / self.limits.workers
        return min(max(estimate_ns / NS_PER_S, _LEAST_RETRY_S), _MOST_RETRY_S)

    def _stuck(self, now: int) -> bool:
        left = self._left
        return len(left) >= self.limits.workers and all(job.overdue_ns <= now for job in left)

    # --- the worker's thread --------------------------------------------------------------------

    def begin(self, job: Job, worker: Worker) -> bool:
        """False when its caller has gone before it began."""
        with self._lock:
            if job.state != ASSIGNED:
                return False
            job.state = RUNNING
            job.worker = worker
            job.thread = get_ident()
            job.begun_ns = self._clock()
            return True

    def delivered(self, job: Job) -> bool:
        """Whether its caller still waits, and will get the result."""
        with self._lock:
            if job.state == RUNNING:
                job.state = DONE
            return job.state == DONE

    def end(self, job: Job) -> Job | None:
        """Gives its slot to the next in the queue, which is returned."""
        now = self._clock()
        with self._lock:
            job.worker = None
            if job.state == RUNNING:
                job.state = DONE
            if job.aside:
                self._asides -= 1
                return None
            self._left.pop(job, None)
            if job.begun_ns:
                self._mean_work_ns += (now - job.begun_ns - self._mean_work_ns) / _SMOOTHING
            self._held -= 1
            return self._next(now)

    def _next(self, now: int) -> Job | None:
        while self._queue and self._held < self.limits.workers:
            job = next(iter(self._queue))
            del self._queue[job]
            if job.give_up_ns is not None and job.give_up_ns <= now:
                self._timed_out()
                self._turn_away(job, LATE)
                continue
            self._held += 1
            job.state = ASSIGNED
            return job
        return None

    def _turn_away(self, job: Job, state: int) -> None:
        job.state = state
        if job.ticket is not None:
            job.ticket.tell()

    def _timed_out(self) -> None:
        self._timeouts += 1
        REJECTED.add(self._labels)

    # --- the caller goes ------------------------------------------------------------------------

    def too_late(self, job: Job) -> bool:
        """Whether its time is over; then its caller has left it, as LATE or, if it had begun, as LEFT."""
        now = self._clock()
        with self._lock:
            if job.state in (WAITING, ASSIGNED):
                if job.give_up_ns is None or now < job.give_up_ns:
                    return False
                self._timed_out()
                self._queue.pop(job, None)
                job.state = LATE
                return True
            if job.state == RUNNING and job.due_ns is not None and job.due_ns <= now:
                self._deadlines += 1
                DEADLINES.add(self._labels)
                self._leave_running(job, now)
                return True
            return False

    def leave(self, job: Job) -> bool:
        """Its caller was cancelled. False when it had ended already, with a result that nobody takes."""
        now = self._clock()
        with self._lock:
            if job.state in (WAITING, ASSIGNED):
                self._queue.pop(job, None)
                job.state = LEFT
                self._cancelled += 1
            elif job.state == RUNNING:
                self._leave_running(job, now)
                self._cancelled += 1
            return job.state != DONE

    def _leave_running(self, job: Job, now: int) -> None:
        job.state = LEFT
        job.left_ns = now
        # Under the lock, so that it can only be this call that ends.
        ended = job.worker is not None and job.worker.end()
        if not ended and not job.aside:
            self._left[job] = None

    # --- the operator ---------------------------------------------------------------------------

    def resize(self, limits: Limits) -> list[Job]:
        """Those in the queue that have a slot now."""
        now = self._clock()
        with self._lock:
            self.limits = limits
            found: list[Job] = []
            while (job := self._next(now)) is not None:
                found.append(job)
            return found

    def close(self) -> None:
        with self._lock:
            self.closed = True
            for job in self._queue:
                self._turn_away(job, CLOSED)
            self._queue.clear()

    def reading(self) -> Reading:
        now = self._clock()
        with self._lock:
            return Reading(
                self.limits.workers,
                self._held,
                len(self._queue),
                tuple(self._left),
                self._rejected,
                self._timeouts,
                self._deadlines,
                self._cancelled,
                self._stuck(now),
            )

    def forked(self) -> None:
        """In a child of `fork` nothing runs and nobody waits."""
        self._lock = threading.Lock()
        self._held = self._asides = 0
        self._queue = {}
        self._left = {}
