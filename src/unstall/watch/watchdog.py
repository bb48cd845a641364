"""The thread off the loop that notices a late heartbeat and looks at what the loop is doing."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from unstall.model.recording import Entry
from unstall.watch.alarm import Alarm
from unstall.watch.deadman import PAUSE_NS, Deadman
from unstall.watch.garbage import Garbage
from unstall.watch.lateness import Lateness
from unstall.watch.scope import REQUESTS
from unstall.watch.selftest import inactive_hooks
from unstall.watch.stacks import StackReader
from unstall.watch.subject import Subject

PULSE_NS = 5_000_000_000
_SECOND_NS = 1_000_000_000
_NEVER_NS = 1 << 62
_MAX_FAILURES = 3


class Sums(Protocol):
    def __call__(self, now: int, *, all_of_it: bool) -> Iterable[Entry]: ...


def _no_sums(now: int, *, all_of_it: bool) -> Iterable[Entry]:
    return ()


class Watchdog:
    """One thread for all loops of a process. `write` is called on it, and must not raise."""

    def __init__(
        self,
        reader: StackReader,
        garbage: Garbage,
        write: Callable[[Entry], None],
        failed: Callable[[BaseException], None],
        ready: Callable[[tuple[str, ...]], None],
        retired: Callable[[], None] = lambda: None,
        deadman: Deadman | None = None,
        sums: Sums = _no_sums,
        each_beat: Callable[[int], None] | None = None,
        pulse_ns: int = PULSE_NS,
        patrol_ns: int = 0,
    ) -> None:
        """With `patrol_ns` it wakes so often while loops come and go, and need not be rung each time."""
        self._reader = reader
        self._garbage = garbage
        self._write = write
        self._failed = failed
        self._ready = ready
        self._retired = retired
        self._deadman = deadman
        self._sums = sums
        self._each_beat = each_beat
        self._pulse_ns = pulse_ns
        self._patrol_ns = patrol_ns
        self._patrols = False
        """Whether it wakes soon by itself. Where it goes to sleep, this is set before it looks who came."""
        self._turnover_ns = 0
        self._arrivals: deque[Subject] = deque()
        self._subjects: list[Subject] = []
        self._failures: dict[Subject, int] = {}
        self._stopping = False
        self._alarm = Alarm()
        # Also those that have just come: what they compute is no other thread's.
        self._lateness = Lateness(loops=lambda: {each.tid for each in self.subjects()})
        self._second_ns = 0
        self._thread = threading.Thread(target=self._run, name="unstall-watchdog", daemon=True)
        # pydevd suspends every thread at a breakpoint but those with this mark.
        self._thread.pydev_do_not_trace = True  # type: ignore[attr-defined]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after it has written down what is unfinished."""
        self._stopping = True
        self._alarm.ring()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def ring(self) -> None:
        """There is something to be told. From any thread."""
        self._alarm.ring()

    def add(self, subject: Subject) -> None:
        """Called on the subject's own thread."""
        self._arrivals.append(subject)
        if not self._patrols:
            self._alarm.ring()

    def remove(self, subject: Subject) -> None:
        """The loop has stopped; its last stretch and numbers are written soon after.

        Of one that was never late and is not known yet there is nothing to write. Called on its own thread.
        """
        subject.ended = True
        if not self._patrols:
            self._alarm.ring()
        elif subject.settled and subject.claimed():
            subject.release()

    def subjects(self) -> list[Subject]:
        return [*self._subjects, *self._arrivals]

    def forget(self) -> None:
        """In a forked child, where the thread is not: what it held open is closed."""
        for subject in self.subjects():
            subject.heartbeat.postpone = None
            subject.close()
        self._alarm.close()
        self._lateness.close()

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:
            self._failed(error)
        finally:
            self._follow(None)
            self._alarm.close()
            self._lateness.close()

    def _watch(self) -> None:
        self._ready(inactive_hooks())
        pulse_at = time.monotonic_ns() + self._pulse_ns
        while not self._stopping:
            now = time.monotonic_ns()
            self._lateness.worked(now)
            until = pulse_at if self._subjects else _NEVER_NS
            asked = self._alarm.wait(self._look_at_ns(now), min(until, self._patrol_at_ns(now)))
            now = time.monotonic_ns()
            try:
                self._round(now, asked)
                self._tell_sums(now, all_of_it=now >= pulse_at)
                if now >= pulse_at:
                    pulse_at = now + self._pulse_ns
                    for subject in self._subjects:
                        self._write(subject.pulse(now))
            except Exception as error:  # one bad round is counted, and the next may be better
                self._failed(error)
        for subject in self.subjects():
            subject.ended = True
        now = time.monotonic_ns()
        self._turn(now)
        self._tell_sums(now, all_of_it=True)

    def _patrol_at_ns(self, now: int) -> int:
        """When to look who came and went without a word."""
        self._patrols = now - self._turnover_ns < _SECOND_NS and self._patrol_ns > 0
        if self._patrols:
            return now + self._patrol_ns
        missed = self._arrivals or any(each.over for each in self._subjects)
        return now if missed else _NEVER_NS

    def _tell_sums(self, now: int, *, all_of_it: bool) -> None:
        for entry in self._sums(now, all_of_it=all_of_it):
            self._write(entry)

    def _round(self, now: int, asked: int) -> None:
        for subject in self.subjects():
            subject.glimpse(now)
        self._lateness.slept(asked, now, self._others_ns())
        self._garbage.count(now)
        self._turn(now)
        self._alive(now)
        if all(subject.heartbeat.postpone is None for subject in self._subjects):
            self._beaten(now)

    def _beaten(self, now: int) -> None:
        if now - self._second_ns >= _SECOND_NS:
            self._second_ns = now
            self._lateness.remember(now)
        if self._each_beat is not None:
            self._each_beat(now)

    def _look_at_ns(self, now: int) -> int:
        """When to look next, and whose beats may postpone that: a single loop's while it is calm."""
        only = self._subjects[0] if len(self._subjects) == 1 else None
        self._follow(only if only is not None and only.calm else None)
        at = min((s.next_check_ns(now) for s in self._subjects), default=_NEVER_NS)
        beats_itself = only is None or only.heartbeat.postpone is None
        return min(at, now + PAUSE_NS) if self._deadman is not None and beats_itself else at

    def _follow(self, subject: Subject | None) -> None:
        for other in self._subjects:
            if other is not subject:
                other.heartbeat.postpone = None
        if subject is not None and self._alarm.follows:
            subject.heartbeat.postpone = self._postpone

    def _postpone(self, now: int, at_ns: int, spare_ns: int) -> None:
        """Called by the punctual beats of a loop, on its thread."""
        self._alarm.postpone(at_ns, spare_ns)
        self._beaten(now)
        if self._deadman is not None:
            self._deadman.punctual(now, REQUESTS.begun)

    def _others_ns(self) -> int:
        """CPU time of all threads but a single loop's, until its last punctual beat; 0 for more loops."""
        return self._subjects[0].heartbeat.others_ns if len(self._subjects) == 1 else 0

    def _alive(self, now: int) -> None:
        if self._deadman is not None:
            loops = tuple((s.loop.loop, s.ident, s.tid) for s in self._subjects if not s.ended)
            self._deadman.alive(now, REQUESTS.begun, loops)

    def _turn(self, now: int) -> None:
        while self._arrivals:
            self._turnover_ns = now
            subject = self._arrivals.popleft()
            if not subject.claimed():
                continue  # it came and went
            self._subjects.append(subject)
            self._write(self._subjects[-1].loop)
        for subject in list(self._subjects):
            # If it ends in the midst of the check, its last beat is yet to be seen.
            ended, given_up, stopping = subject.ended, False, self._stopping
            checked = subject.check(
                now, self._reader, self._lateness, self._garbage, waits=stopping
            )
            try:
                for stretch in checked:
                    self._write(stretch)
                if subject.heartbeat.failed is not None:
                    raise subject.heartbeat.failed
            except Exception as error:  # the host goes on without us before it suffers from us
                self._failed(error)
                self._failures[subject] = self._failures.get(subject, 0) + 1
                if self._failures[subject] >= _MAX_FAILURES:
                    subject.ended = given_up = True
            if given_up or (ended and (subject.over or stopping)):
                self._retire(subject, now)

    def _retire(self, subject: Subject, now: int) -> None:
        self._subjects.remove(subject)
        self._failures.pop(subject, None)
        pulse = subject.pulse(now)
        if pulse.lag.count > 1 or pulse.requests:  # the beat that ends a short loop says nothing
            self._write(pulse)
        subject.close()
        self._tell_sums(now, all_of_it=True)
        self._retired()
