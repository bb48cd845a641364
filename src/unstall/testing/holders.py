"""Who held what, and for how long: sampled while a pattern is tried, told when it fails."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import NamedTuple

from unstall.explain.stalls import judged
from unstall.gates.flow import line_of
from unstall.integrations.pools import Gates
from unstall.model.finding import Cause, Stall
from unstall.model.place import Owner
from unstall.settings import Settings, working_folder
from unstall.testing.pools import at_work, context_of_work, is_watch, work_of
from unstall.threads import frames as thread_frames
from unstall.watch.monitor import Monitor
from unstall.watch.scope import awaited_by
from unstall.watch.stacks import Places

SAMPLE_S = 0.02
_DEEPEST = 64
_MOST_TOLD = 4


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that was held by a line of the application."""

    what: str
    """`thread 'AnyIO worker thread'`, `task 'create'`, `a slot of shop`."""
    place: str
    """`shop/billing.py:31 in Billing.charge`."""
    seconds: float
    """At least so long."""

    def __str__(self) -> str:
        return f"{self.what} was at {self.place} for {self.seconds:.2f} s"


class _Seen(NamedTuple):
    """Something that is at work now."""

    thing: object
    """Kept, so that meanwhile nothing else gets its number."""
    number: int
    what: str
    place: str


class Holders:
    """Watches this process while it is open: its loop's stalls, its threads, its tasks, its pools.

    What began before is left out, and so is the task that opened it. Only lines of the application count,
    files below the working folder that are not installed; a thread of a pool counts with whatever it does,
    unless `counts` says that the context in which that was asked for does not.
    """

    def __init__(
        self, threshold_ms: float = 50.0, counts: Callable[[Context], bool] | None = None
    ) -> None:
        self._counts = counts
        self._settings = Settings(threshold_ms=threshold_ms, measure=False)
        self._monitor = Monitor(self._settings)
        self._gates = Gates()
        self._places = Places(working_folder())
        self._lock = threading.Lock()
        self._held: dict[tuple[int, str], tuple[_Seen, float]] = {}
        """By number and place, and since when; as it was at the last sample."""
        self._longest: dict[tuple[str, str], float] = {}
        self._before: dict[int, _Seen] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="unstall-holders", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opener = 0

    def __enter__(self) -> Holders:
        self._opener = threading.get_ident()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._gates.start()
        self._monitor.start()
        self._before = {seen.number: seen for seen in self._seen()}
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        self._monitor.stop()
        self._gates.stop()

    # --- what was seen ------------------------------------------------------------------------

    def now(self) -> list[Hold]:
        """What is held at this moment, the longest first."""
        held = self._sample()
        now = time.monotonic()
        found = [Hold(seen.what, seen.place, now - since) for seen, since in held]
        return sorted(found, key=lambda hold: -hold.seconds)

    def longest(self) -> list[Hold]:
        """The longest hold of each line, whether it has ended or not."""
        with self._lock:
            longest = list(self._longest.items())
        found = [Hold(what, place, seconds) for (what, place), seconds in longest]
        return sorted(found, key=lambda hold: -hold.seconds)

    def stalls(self) -> tuple[Stall, ...]:
        """Of every loop of this process, over or not, the longest first; after the end."""
        threshold = self._settings.threshold_ns
        told = [judged(stretch, threshold)[0] for stretch in self._monitor.recording().stretches]
        real = [stall for stall in told if stall.cause is not Cause.PAUSED]
        return tuple(sorted(real, key=lambda stall: -stall.held_ns))

    # --- sampling -----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._end.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> list[tuple[_Seen, float]]:
        """What is held now, and since when; from any thread."""
        with self._lock:
            now = time.monotonic()
            held: dict[tuple[int, str], tuple[_Seen, float]] = {}
            for seen in self._seen():
                if seen.number in self._before:
                    continue
                key = seen.number, seen.place
                _, since = self._held.get(key, (seen, now))
                held[key] = seen, since
                known = seen.what, seen.place
                self._longest[known] = max(self._longest.get(known, 0.0), now - since)
            self._held = held
        return list(held.values())

    def _seen(self) -> Iterator[_Seen]:
        """All that is at work now."""
        yield from self._threads()
        yield from self._tasks()
        yield from self._loans()

    def _threads(self) -> Iterator[_Seen]:
        known = {thread.ident: thread for thread in threading.enumerate()}
        apart = {
            threading.get_ident(),
            self._opener,
            self._thread.ident,
            threading.main_thread().ident,
        }
        for ident, frame in thread_frames().items():
            place = None
            if ident not in apart and self._is_counted(frame):
                place = self._place(frame) or at_work(frame, self._places.locate)
            if place is not None:
                thread = known.get(ident)
                thing = work_of(frame) or thread  # a thread of a pool that goes on to other work
                number = ident if thing is None else id(thing)
                name = ident if thread is None else thread.name
                yield _Seen(thing, number, f"thread {name!r}", place)

    def _is_counted(self, frame: FrameType) -> bool:
        if self._counts is None:
            return True
        context = context_of_work(frame)
        return context is None or self._counts(context)

    def _tasks(self) -> Iterator[_Seen]:
        if self._loop is None:
            return
        try:
            tasks = asyncio.all_tasks(self._loop)
        except RuntimeError:  # they came and went too fast
            return
        for task in tasks:
            frames = [coroutine.cr_frame for coroutine in awaited_by(task)]
            places = (self._here(frame) for frame in reversed(frames) if frame is not None)
            place = next((place for place in places if place is not None), None)
            if place is not None:
                yield _Seen(task, id(task), f"task {task.get_name()!r}", place)

    def _loans(self) -> Iterator[_Seen]:
        for loan in self._gates.lent():
            if loan.where is not None:
                code, _, _ = loan.where
                file, _ = self._places.locate(code.co_filename)
                place = f"{file}:{line_of(loan.where)} in {code.co_qualname}"
                yield _Seen(loan, id(loan), f"a slot of {loan.gate.name}", place)

    def _place(self, frame: FrameType | None) -> str | None:
        """Of the innermost line of the application."""
        for _ in range(_DEEPEST):
            if frame is None:
                return None
            place = self._here(frame)
            if place is not None:
                return place
            frame = frame.f_back
        return None

    def _here(self, frame: FrameType) -> str | None:
        code = frame.f_code
        file, owner = self._places.locate(code.co_filename)
        if owner is not Owner.APP or is_watch(frame):
            return None
        return f"{file}:{frame.f_lineno} in {code.co_qualname}"


def told(holds: list[Hold], nobody: str) -> str:
    """As the end of a sentence."""
    if not holds:
        return nobody
    shown = "; ".join(map(str, holds[:_MOST_TOLD]))
    more = len(holds) - _MOST_TOLD
    return f"{shown}; and {more} more" if more > 0 else shown


def told_stall(stall: Stall) -> str:
    """`the loop was held 0.51 s by time.sleep at shop/billing.py:31 in charge (waiting)`."""
    held = f"the loop was held {stall.held_ns / 1e9:.2f} s"
    site = stall.site
    if site is None:
        return f"{held} ({stall.cause}: {stall.because})"
    by = f" by {site.call}" if site.call else ""
    return f"{held}{by} at {site.file}:{site.line} in {site.function} ({stall.cause})"
