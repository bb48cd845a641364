"""The thread off the loop that notices a late heartbeat and looks at what the loop is doing."""

from __future__ import annotations

import _thread
import threading
import time
from collections import deque
from collections.abc import Callable

from unstall.model.observation import Loop, Pulse, Stretch
from unstall.watch.deadman import PAUSE_NS, Deadman
from unstall.watch.garbage import Garbage
from unstall.watch.lateness import Lateness
from unstall.watch.scope import REQUESTS
from unstall.watch.selftest import inactive_hooks
from unstall.watch.stacks import StackReader
from unstall.watch.subject import Subject

PULSE_NS = 1_000_000_000
_IDLE_NS = 3_600_000_000_000
_MAX_FAILURES = 3


class Watchdog:
    """One thread for all loops of a process. `write` is called on it, and must not raise."""

    def __init__(
        self,
        reader: StackReader,
        garbage: Garbage,
        write: Callable[[Loop | Stretch | Pulse], None],
        failed: Callable[[BaseException], None],
        ready: Callable[[tuple[str, ...]], None],
        retired: Callable[[], None] = lambda: None,
        deadman: Deadman | None = None,
    ) -> None:
        self._reader = reader
        self._garbage = garbage
        self._write = write
        self._failed = failed
        self._ready = ready
        self._retired = retired
        self._deadman = deadman
        self._arrivals: deque[Subject] = deque()
        self._subjects: list[Subject] = []
        self._failures: dict[Subject, int] = {}
        self._stopping = False
        # A bare lock, because what threading builds on it may be patched by the host.
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        self._thread = threading.Thread(target=self._run, name="unstall-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after it has written down what is unfinished."""
        self._stopping = True
        self._ring()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def add(self, subject: Subject) -> None:
        """Called on the subject's own thread."""
        self._arrivals.append(subject)
        self._ring()

    def remove(self, subject: Subject) -> None:
        """The loop has stopped; its last stretch and numbers are written soon after."""
        subject.ended = True
        self._ring()

    def subjects(self) -> list[Subject]:
        return [*self._subjects, *self._arrivals]

    def _ring(self) -> None:
        if self._bell.locked():
            try:
                self._bell.release()
            except RuntimeError:  # two rang at once
                return

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:
            self._failed(error)

    def _watch(self) -> None:
        self._ready(inactive_hooks())
        lateness = Lateness()
        pulse_at = time.monotonic_ns() + PULSE_NS
        while not self._stopping:
            asked = time.monotonic_ns()
            asked += self._pause_ns(asked)
            self._bell.acquire(timeout=max(0.0, (asked - time.monotonic_ns()) / 1e9))
            now = time.monotonic_ns()
            try:
                self._round(now, asked, lateness)
                if now >= pulse_at:
                    pulse_at = now + PULSE_NS
                    lateness.remember_threads()
                    for subject in self._subjects:
                        self._write(subject.pulse(now))
            except Exception as error:  # one bad round is counted, and the next may be better
                self._failed(error)
        for subject in self.subjects():
            subject.ended = True
        self._turn(time.monotonic_ns(), lateness)

    def _round(self, now: int, asked: int, lateness: Lateness) -> None:
        for subject in self._subjects:
            subject.glimpse(now)
        lateness.slept(asked, now, frozenset(s.tid for s in self._subjects))
        self._garbage.count(now)
        self._turn(now, lateness)
        if self._deadman is not None:
            loops = tuple((s.loop.loop, s.ident, s.tid) for s in self._subjects)
            self._deadman.alive(now, REQUESTS.begun, loops)

    def _pause_ns(self, now: int) -> int:
        pause = min((s.next_check_ns(now) for s in self._subjects), default=_IDLE_NS)
        return min(pause, PAUSE_NS) if self._deadman is not None and self._subjects else pause

    def _turn(self, now: int, lateness: Lateness) -> None:
        while self._arrivals:
            self._subjects.append(self._arrivals.popleft())
            self._write(self._subjects[-1].loop)
        for subject in list(self._subjects):
            try:
                for stretch in subject.check(now, self._reader, lateness, self._garbage):
                    self._write(stretch)
                if subject.heartbeat.failed is not None:
                    raise subject.heartbeat.failed
            except Exception as error:  # the host goes on without us before it suffers from us
                self._failed(error)
                self._failures[subject] = self._failures.get(subject, 0) + 1
                if self._failures[subject] >= _MAX_FAILURES:
                    subject.ended = True
            if subject.ended:
                self._retire(subject, now)

    def _retire(self, subject: Subject, now: int) -> None:
        self._subjects.remove(subject)
        self._failures.pop(subject, None)
        pulse = subject.pulse(now)
        if (
            pulse.lag.count > 1 or pulse.requests
        ):  # the one beat that ends a short loop says nothing
            self._write(pulse)
        subject.close()
        self._retired()
