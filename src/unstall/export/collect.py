"""What a monitor sees, as meters of this process and as marks in its slot."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unstall.explain.findings import is_startup
from unstall.explain.stalls import judged
from unstall.export.slot import Cell, Slot
from unstall.meters import METERS, Counter, Distribution, Gauge, Labels, Meters
from unstall.model.finding import Cause, Stall
from unstall.model.histogram import upper_edge
from unstall.model.observation import Look, Pulse, Stretch
from unstall.model.recording import Entry
from unstall.watch.subject import Subject

_MOST_STALLS = 30
_LONGEST = 160
_LEAST_NS = 900_000_000
_SHARE_OF_TIME = 1_000
"""Counting tasks takes no more than one part in so many."""


@dataclass(slots=True)
class _Watched:
    subject: Subject
    cell: Cell
    busy_ns: int = 0
    since_ns: int = 0
    ratio: float = 0.0


class Collector:
    """From `start` to `stop`. `follow` and `hear` are the monitor's; `refresh` comes every few seconds."""

    def __init__(self, build: dict[str, str], threshold_ns: int, meters: Meters = METERS) -> None:
        self._threshold_ns = threshold_ns
        self._all = meters
        self._slot: Slot | None = None
        self._waiting: deque[Subject] = deque()
        self._watched: dict[int, _Watched] = {}
        self._reached = 0
        self._tasks: float = 0
        self._tasks_at_ns = 0
        self.stalls: deque[dict[str, Any]] = deque(maxlen=_MOST_STALLS)
        """The last ones that are over, as `words_of` has them."""
        self.left_out = 0
        """Loops that found no place, and marks that failed."""
        self._lag = Distribution(
            "asyncio_eventloop_lag_seconds", "How late the event loop ran what was due."
        )
        self._stalled = Distribution(
            "asyncio_eventloop_stall_seconds", "Stalls of the event loop, by cause, site and entry.",
            ("cause", "site", "entry"),
        )  # fmt: skip
        self._victims = Counter(
            "unstall_victims_total", "Requests that waited because of somebody else's stall."
        )
        self._victims.add((), 0)
        self._meters: tuple[Counter | Distribution | Gauge, ...] = (
            self._lag, self._stalled, self._victims,
            Gauge("asyncio_eventloop_utilization_ratio",
                  "Share of the last seconds in which the event loop was not idle.", self._utilization),
            Gauge("asyncio_tasks", "Unfinished tasks of the event loop.", lambda: [((), self._tasks)]),
            *([_build_info(build)] if build else []),
        )  # fmt: skip

    def start(self) -> None:
        self._all.add(*self._meters)

    def stop(self) -> None:
        self._all.remove(*self._meters)
        self.let_go()

    def let_go(self) -> None:
        """No heartbeat writes to the slot from here on."""
        for watched in self._watched.values():
            watched.subject.heartbeat.mirror = None
        self._slot = None

    # --- loops --------------------------------------------------------------------------------

    def follow(self, subject: Subject) -> None:
        """A loop is watched, from whichever thread; it is marked by the next `refresh`."""
        self._waiting.append(subject)

    def write_to(self, own: Slot) -> None:
        """From now on, with all loops known so far; on the thread of `refresh`."""
        known = [watched.subject for watched in self._watched.values()]
        self._watched.clear()
        self._slot = own
        self._waiting.extendleft(known)

    def refresh(self, now: int) -> None:
        for number, watched in list(self._watched.items()):
            if watched.subject.ended:
                self._watched.pop(number)
                self._unmark(watched)
        while self._waiting and self._slot is not None:
            self._take_in(self._slot, self._waiting.popleft())
        for watched in list(self._watched.values()):
            self._use(watched, now)
        if now >= self._tasks_at_ns:
            self._count_tasks(now)

    def _take_in(self, own: Slot, subject: Subject) -> None:
        before = self._watched.pop(subject.loop.loop, None)
        if before is not None:  # `asyncio.run` leaves its loop and comes back
            self._unmark(before)
        if subject.ended:
            return
        cell = own.cell()
        if cell is None:
            self.left_out += 1
            return
        beat = subject.heartbeat
        self._watched[subject.loop.loop] = _Watched(subject, cell, cell.busy_ns, beat.ran_ns)
        cell.begin(subject.loop.loop, beat.ran_ns, beat.cpu_ns)
        beat.mirror = cell

    @staticmethod
    def _unmark(watched: _Watched) -> None:
        """A loop that was left, even without a word, must not look like one that stands still."""
        beat = watched.subject.heartbeat
        if beat.mirror is watched.cell:
            beat.mirror = None
            watched.cell.end()

    # --- every few seconds, and when somebody asks --------------------------------------------

    def _use(self, watched: _Watched, now: int) -> None:
        cell = watched.cell
        last = cell.last_ns
        stands = now - last if now - last > self._threshold_ns else 0
        until = last + stands
        if until - watched.since_ns < _LEAST_NS:
            return  # asked again so soon, the ratio would be of next to nothing
        busy = cell.busy_ns - watched.busy_ns + stands
        watched.ratio = min(1.0, busy / (until - watched.since_ns))
        watched.busy_ns, watched.since_ns = cell.busy_ns, last

    def _utilization(self) -> Iterator[tuple[Labels, float]]:
        """Of the busiest loop."""
        ratios = [watched.ratio for watched in list(self._watched.values())]
        if ratios:
            yield (), max(ratios)

    def _count_tasks(self, now: int) -> None:
        began = time.thread_time_ns()
        loops = [watched.subject.heartbeat.loop for watched in list(self._watched.values())]
        try:
            self._tasks = sum(len(asyncio.all_tasks(loop)) for loop in loops if loop is not None)
        except RuntimeError:  # tasks came and went too fast to be counted
            pass
        self._tasks_at_ns = now + (time.thread_time_ns() - began) * _SHARE_OF_TIME

    # --- what the watchdog sees ---------------------------------------------------------------

    def hear(self, entry: Entry) -> None:
        """On the watchdog's thread."""
        if isinstance(entry, Pulse):
            for bucket, times in entry.lag.buckets:
                self._lag.observe((), min(upper_edge(bucket), entry.lag.max_ns), times)
        elif isinstance(entry, Stretch):
            self._stall(entry)

    def _stall(self, stretch: Stretch) -> None:
        stall, look = judged(stretch, self._threshold_ns)
        words = words_of(stall, look)
        watched = self._watched.get(stretch.loop)
        if stretch.ongoing:
            if watched is not None:
                watched.cell.say(stretch.last_tick_ns, words)
            return
        words["at"] = time.time() - (time.monotonic_ns() - stall.until_ns) / 1e9
        self.stalls.append(words)
        if not words["startup"] and stall.cause is not Cause.PAUSED:
            self._stalled.observe((str(stall.cause), words["site"], words["entry"]), stall.held_ns)
            self._victims.add((), self._new_victims(stall))

    def _new_victims(self, stall: Stall) -> int:
        """Without those that waited through a stall before it: as in `explain.victims`."""
        first = stall.served_before - stall.waiting_in_flight
        last = stall.served_before + stall.at_door
        new = max(0, last - max(first, self._reached))
        self._reached = max(self._reached, last)
        return new


def words_of(stall: Stall, look: Look | None) -> dict[str, Any]:
    """A stall in strings that fit any slot. `site` and `entry` are those of metrics, without lines."""
    site, request = stall.site, stall.request
    return {
        "cause": str(stall.cause),
        "because": _short(stall.because),
        "site": _short(_module_and_function(stall, look)),
        "line": _short(f"{site.file}:{site.line}", keep_end=True) if site else "",
        "call": _short(site.call) if site else "",
        "entry": _short(stall.entry.name) if stall.entry else "",
        "request": _short(request.request_id or "") if request else "",
        "held_ns": stall.held_ns,
        "victims": stall.victims,
        "startup": is_startup(stall),
    }


def _module_and_function(stall: Stall, look: Look | None) -> str:
    if stall.site is None:
        return ""
    frames = look.stack.frames if look is not None else ()
    for frame in reversed(frames):
        if (frame.file, frame.function) == (stall.site.file, stall.site.function):
            return f"{frame.module}:{frame.function}"
    return stall.site.function


def _short(text: str, *, keep_end: bool = False) -> str:
    if len(text) <= _LONGEST:
        return text
    return "…" + text[1 - _LONGEST :] if keep_end else text[: _LONGEST - 1] + "…"


def _build_info(build: dict[str, str]) -> Gauge:
    value = (tuple(build.values()), 1.0)
    return Gauge(
        "app_build_info", "Which build of the application runs.", lambda: [value], tuple(build)
    )
