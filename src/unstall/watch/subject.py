"""One watched loop as its watchdog sees it: healthy, late, or late for so long that it is said aloud."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import NamedTuple

from unstall.model.histogram import HistogramBuilder
from unstall.model.observation import Doubts, Look, Loop, Pulse, Request, Stretch
from unstall.model.place import Stack
from unstall.settings import Settings
from unstall.watch.carried import Carried
from unstall.watch.census import Census
from unstall.watch.door import Door
from unstall.watch.garbage import Garbage
from unstall.watch.heartbeat import Heartbeat, Late, difference
from unstall.watch.lateness import Lateness
from unstall.watch.lineage import scope_that_started
from unstall.watch.linux import Look as ThreadLook
from unstall.watch.linux import ThreadProbe
from unstall.watch.looks import keep
from unstall.watch.scope import REQUESTS, describe, scope_of_step
from unstall.watch.servers import SERVERS
from unstall.watch.stacks import Glimpse, StackReader, current_frame, glimpse_of
from unstall.watch.startup import StartUp

_FIRST_PAUSE_NS = 10_000_000
_LONGEST_PAUSE_NS = 250_000_000
_DOOR_PAUSE_NS = 40_000_000
_PATIENCE_NS = 3_000_000_000
"""How long a finished stretch waits, before it is written down, for the loop to catch up or stall anew."""

_SOURCE_NS = 1_000_000_000
"""How long a look waits for the source from which it names a call: it may be on a slow disk."""

_LEAVING_NS = 200_000_000
_NOT_YET_NS = 1 << 62
_MAX_MISSED = 5_000

ANNOUNCE_AT_S = (1, 2, 5, 10, 20, 30)
_THEN_EVERY_S = 30


class _Seen(NamedTuple):
    """What `glimpse` took in."""

    at_ns: int
    due_ns: int
    beats: int
    glimpse: Glimpse
    step: int
    task: str | None
    request: Request | None
    census: Census


@dataclass(slots=True)
class _Open:
    """A stretch while it lasts."""

    due_ns: int
    census: Census
    unread: deque[tuple[_Seen, ThreadLook | None]] = field(default_factory=deque)
    """Looks whose source is on its way from a disk, and those after them."""
    looks: list[Look] = field(default_factory=list)
    taken: int = 0
    dropped: int = 0
    said: int = 0
    at_door: int | None = None
    door_at_ns: int = 0


class Subject:
    """Attached and detached on the loop's thread; everything else is called by the watchdog."""

    def __init__(
        self,
        process: str,
        number: int,
        loop: asyncio.AbstractEventLoop,
        settings: Settings,
        collected: Callable[[int], None],
        carried: Carried,
        startup: StartUp,
        door: Door,
    ) -> None:
        thread = threading.current_thread()
        self.ident = threading.get_ident()
        self.tid = threading.get_native_id()
        self.loop = Loop(process, number, _name_of(type(loop)), thread.name)
        self.ended = False
        self.hurried = False
        """Somebody waits for what is known: no more is hoped for from a loop that catches up."""
        self.probe = ThreadProbe(self.tid)
        self.heartbeat = Heartbeat(loop, settings, self._begun, self.probe.queued_ns, collected)
        self._carried = carried
        self._startup = startup
        self._door = door
        self._started_ns: int | None = None
        """When an application's lifespan completed its start-up; None while none was seen."""
        self._settings = settings
        self._seen: _Seen | None = None
        self._held: FrameType | None = None
        self._callbacks = self._left_ns = 0
        self._open: _Open | None = None
        self._unfinished: list[tuple[Late, _Open | None]] = []
        self._pulse_from_ns = self._calm_from_ns = self.heartbeat.ran_ns
        self._pulse_begun = REQUESTS.begun
        self._unclaimed = [True]

    def claimed(self) -> bool:
        """True to the first who asks, the watchdog or the loop's thread: it is his to close."""
        try:
            return self._unclaimed.pop()
        except IndexError:
            return False

    @property
    def calm(self) -> bool:
        """Nothing is under way, so there is nothing to look at before a beat fails to come."""
        return self._open is None and not self._unfinished

    @property
    def settled(self) -> bool:
        """Every late beat so far has been written down."""
        return self.calm and not self.heartbeat.late

    @property
    def over(self) -> bool:
        """Its loop has ended, and no stretch of it still waits for its source."""
        return self.ended and not self._unfinished

    def next_check_ns(self, now: int) -> int:
        """The moment when a look may be due."""
        if self._open is not None:
            pause = _FIRST_PAUSE_NS << min(self._open.taken // 16, 5)
            return now + min(pause, _LONGEST_PAUSE_NS)
        if self._unfinished:
            return now + _FIRST_PAUSE_NS
        ahead = self.heartbeat.due_ns + self._settings.look_after_ns
        return max(ahead, now + self._settings.interval_ns // 4)

    def glimpse(self, now: int) -> None:
        """Takes in what a late loop is doing, before anything lets go of the interpreter lock.

        A call in C that held the lock has just handed it over at its end: the next chance is too late.
        """
        self._seen = None
        beat = self.heartbeat
        if now - beat.due_ns <= self._settings.look_after_ns:
            self._held = None
        if self.ended or now - beat.due_ns <= self._settings.look_after_ns:
            return
        loop = beat.loop
        if loop is None or not loop.is_running():
            # Just now, and its heartbeat is about to stop; else it was left without our knowledge.
            self._left_ns = self._left_ns or now
            self.ended = now - self._left_ns > _LEAVING_NS
            return
        self._left_ns = 0
        frame = current_frame(self.ident)
        if frame is None:
            return
        frames = list(beat.ground.frames(frame))
        task = asyncio.current_task(loop)
        scope = scope_of_step(frames, task)
        started_by = scope_that_started(task) if scope is None else None
        known = scope if scope is not None else started_by
        ongoing = self._open
        if ongoing is not None and ongoing.due_ns == beat.due_ns:
            census = ongoing.census
        else:
            census = Census(loop, scope)
        census.go_on()
        self._seen = _Seen(
            now, beat.due_ns, beat.beats, glimpse_of(frames),
            hash((id(task), task.get_name())) if task is not None else self._callback(frames),
            getattr(task.get_coro(), "__qualname__", None) if task is not None else None,
            describe(known, spawned=scope is None) if known is not None else None,
            census,
        )  # fmt: skip
        self._carried.take((self.loop.loop, beat.due_ns, self._seen.step), task)

    def check(
        self,
        now: int,
        reader: StackReader,
        lateness: Lateness,
        garbage: Garbage,
        *,
        waits: bool = False,
    ) -> Iterator[Stretch]:
        """The stretches that ended since the last check, and the one going on when it is time to say so.

        `waits` for the disk that has their source: nothing is missed meanwhile, and it is the last chance.
        """
        beat = self.heartbeat
        beats, due = beat.beats, beat.due_ns
        if self._seen is not None:
            self._close(self._seen.due_ns)
            self._look(self._seen, reader)
        self._close(due)
        yield from self._finished(now, reader, lateness, garbage, waits)
        ongoing = self._open
        if ongoing is None or self._unfinished:  # these are told first
            return
        if self._should_say(ongoing, now) and beat.beats == beats:
            cpu = self.probe.cpu_ns()
            queued = difference(self.probe.queued_ns(), beat.queued_ns)
            used = (cpu or 0) - beat.cpu_ns
            others = max(0, time.process_time_ns() - beat.process_ns - used)
            late = Late(beat.ran_ns, due, now, used, queued, others, self._begun())
            stretch = self._stretch(late, ongoing, lateness, garbage, lasts=True)
            known_cpu = None if cpu is None else stretch.cpu_ns
            yield replace(stretch, ongoing=True, cpu_ns=known_cpu)

    def pulse(self, now: int) -> Pulse:
        """The numbers since the last pulse."""
        builder = HistogramBuilder()
        lags = self.heartbeat.lags
        interval = self._settings.interval_ns
        while lags:
            lag = lags.popleft()
            builder.add(lag)
            # The beats that a late one kept from running would have been late too. Without them a loop
            # looks the better the longer it freezes (coordinated omission).
            for missed in range(1, min(lag // interval, _MAX_MISSED) + 1):
                builder.add(lag - missed * interval)
        begun = REQUESTS.begun
        pulse = Pulse(
            self.loop.process, self.loop.loop, self._pulse_from_ns, now,
            builder.freeze(), begun - self._pulse_begun,
        )  # fmt: skip
        self._pulse_from_ns, self._pulse_begun = now, begun
        return pulse

    def starting(self, starting: bool) -> None:
        """The lifespan of an application begins its start-up, or has completed it. On the loop's thread."""
        self._started_ns = _NOT_YET_NS if starting else time.monotonic_ns()

    def blocked_ns(self, now: int) -> int:
        """Age of the stall going on now, 0 when there is none."""
        late = now - self.heartbeat.due_ns
        return late if late > self._settings.threshold_ns and not self.ended else 0

    def close(self) -> None:
        self._startup.calm(self._calm_from_ns, self.heartbeat.ran_ns)
        self.release()

    def release(self) -> None:
        self.heartbeat.ground.forget()
        self.probe.close()

    def _callback(self, frames: list[FrameType]) -> int:
        """A number for the bare callback that runs, negative; 0 when the loop is idle.

        Its frame is held from one look to the next: else the next callback's could have its address.
        """
        callback = self.heartbeat.ground.callback(frames)
        if callback is None:
            return 0
        if callback is not self._held:
            self._held = callback
            self._callbacks += 1
        return -self._callbacks

    def _thread_waits(self, now: int) -> bool:
        """Whether the loop's thread used hardly any CPU since its last beat.

        Then it does not fight for the interpreter lock, and a system call costs us microseconds. While it
        computes, every one costs a switch interval, and the first word would come late.
        """
        beat, cpu = self.heartbeat, self.probe.cpu_ns()
        return cpu is not None and (cpu - beat.cpu_ns) * 5 < now - beat.ran_ns

    # --- one look -----------------------------------------------------------------------------

    def _look(self, seen: _Seen, reader: StackReader) -> None:
        at = self.probe.look() if self.heartbeat.beats == seen.beats else None
        if self.heartbeat.beats != seen.beats:
            at = None  # the loop went on meanwhile: this is another moment
        if self._open is None:
            self._open = _Open(seen.due_ns, seen.census)
        self._open.taken += 1
        due = seen.at_ns - self._open.door_at_ns > _DOOR_PAUSE_NS
        stalled = seen.at_ns - seen.due_ns > self._settings.threshold_ns - _FIRST_PAUSE_NS
        if stalled and due and self._thread_waits(seen.at_ns):
            self._open.at_door = self._door.waiting(self._open.at_door)
            self._open.door_at_ns = seen.at_ns
        self._open.unread.append((seen, at))
        self._read(self._open, reader, seen.at_ns - _SOURCE_NS)

    def _read(
        self, ongoing: _Open, reader: StackReader, by_ns: int, *, waits: bool = False
    ) -> bool:
        """In turn, as far as that waits for no disk; looks until `by_ns` do without. Whether that is all."""
        while ongoing.unread:
            seen, at = ongoing.unread[0]
            if waits:
                stack: Stack | None = reader.read(seen.glimpse)
            else:
                stack = reader.read_at_once(seen.glimpse, anyway=seen.at_ns <= by_ns)
            if stack is None:
                return False
            ongoing.unread.popleft()
            look = Look(
                seen.at_ns, seen.at_ns, seen.step, stack,
                task=seen.task,
                wait=at.wait if at else None,
                running=at.running if at else False,
                request=seen.request,
            )  # fmt: skip
            if not keep(ongoing.looks, look, self._settings.keep_looks):
                ongoing.dropped += 1
        return True

    # --- the end of a stretch -----------------------------------------------------------------

    def _close(self, due: int) -> None:
        """Of beats due before that: what was open belongs to one that was late, or was never a stall."""
        late = self.heartbeat.late
        while late and late[0].due_ns < due:
            beat = late.popleft()
            mine = self._open if self._open and self._open.due_ns == beat.due_ns else None
            self._unfinished.append((beat, mine))
        if self._open is not None and self._open.due_ns != due:
            self._open = None

    def _finished(
        self, now: int, reader: StackReader, lateness: Lateness, garbage: Garbage, waits: bool
    ) -> Iterator[Stretch]:
        if not self._unfinished:
            return
        caught_up = dict(list(self.heartbeat.caught_up))
        waiting: list[tuple[Late, _Open | None]] = []
        unread = False
        for beat, ongoing in self._unfinished:
            begun = caught_up.get(beat.ran_ns)
            hurried = self.ended or self.hurried
            patient = now - beat.ran_ns < _PATIENCE_NS and self._open is None and not hurried
            by_ns = now - _SOURCE_NS
            if ongoing is not None and not self._read(ongoing, reader, by_ns, waits=waits):
                unread = True  # and those after it wait as well
            if unread or (begun is None and patient):
                waiting.append((beat, ongoing))
                continue
            stretch = self._stretch(beat, ongoing, lateness, garbage)
            begun = self._begun() if begun is None else begun
            yield replace(stretch, let_in=max(0, begun - beat.begun))
        self._unfinished = waiting
        if not waiting:
            self.heartbeat.caught_up.clear()
            self.hurried = False

    def _stretch(
        self,
        beat: Late,
        ongoing: _Open | None,
        lateness: Lateness,
        garbage: Garbage,
        *,
        lasts: bool = False,
    ) -> Stretch:
        # Of a thread that is in the queue still, that is not counted yet.
        is_counted = beat.queued_ns is not None and not lasts
        doubts = lateness.doubts(beat.last_ns, beat.ran_ns, queued=is_counted)
        off_ns = max(0, beat.ran_ns - beat.last_ns - beat.cpu_ns)
        self._startup.calm(self._calm_from_ns, beat.last_ns)
        self._calm_from_ns = beat.ran_ns
        return Stretch(
            process=self.loop.process,
            loop=self.loop.loop,
            thread=self.loop.thread,
            last_tick_ns=beat.last_ns,
            due_ns=beat.due_ns,
            until_ns=beat.ran_ns,
            cpu_ns=beat.cpu_ns,
            doubts=Doubts(
                gil_ns=doubts.gil_ns,
                crowded_ns=doubts.crowded_ns,
                # Where the watchdog alone was off the processors, the loop ran.
                stopped_ns=min(doubts.stopped_ns, off_ns),
                suspended_ns=doubts.suspended_ns,
                unwatched_ns=doubts.unwatched_ns,
                throttled_ns=doubts.throttled_ns,
                gc_ns=garbage.within_ns(beat.last_ns, beat.ran_ns, doubts.gil_ns),
                queued_ns=beat.queued_ns,
                others_ns=beat.others_ns,
                holder=doubts.holder,
            ),
            looks=tuple(ongoing.looks) if ongoing else (),
            dropped_looks=ongoing.dropped if ongoing else 0,
            in_flight=ongoing.census.counted if ongoing else 0,
            in_flight_cut=ongoing.census.cut if ongoing else False,
            at_door=ongoing.at_door if ongoing else None,
            served_before=beat.begun,
            settled=(
                self._startup.over if self._started_ns is None else self._started_ns <= beat.due_ns
            ),
        )

    def _begun(self) -> int:
        """Requests of the process that have taken their first step, as far as this loop's are concerned."""
        loop = self.heartbeat.loop
        try:
            return REQUESTS.begun - (SERVERS.unstarted(loop) if loop is not None else 0)
        except Exception:  # a task of the host's own kind: its loop must go on
            return REQUESTS.begun

    def _should_say(self, ongoing: _Open, now: int) -> bool:
        late = now - ongoing.due_ns
        if late < self._settings.threshold_ns or not ongoing.looks:
            return False
        due_words = 1 + announcements(late)
        if due_words > ongoing.said:
            ongoing.said = due_words
            return True
        return False


def announcements(late_ns: int) -> int:
    """How many times a stall of this age should have been repeated."""
    seconds = late_ns / 1e9
    listed = sum(1 for at in ANNOUNCE_AT_S if seconds >= at)
    return listed + max(0, int(seconds - ANNOUNCE_AT_S[-1]) // _THEN_EVERY_S)


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
