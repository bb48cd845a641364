"""The only stateful object a user sees: switch the watch on, read it, switch it off."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from unstall.explain.stalls import judged
from unstall.meters import METERS
from unstall.model.anatomy import Held, SlowRequest, Threads
from unstall.model.finding import Cause, Finding, Stall, Told
from unstall.model.latent import LatentCall
from unstall.model.observation import Loop, Losses, Process, Pulse, Stretch
from unstall.model.recording import Entry, Recording
from unstall.settings import Settings, from_environment
from unstall.threads import BESIDE_INTERPRETERS, GREEN, are_green, beside_interpreters
from unstall.version import TOOL
from unstall.watch.anatomy import Anatomy
from unstall.watch.callbacks import Callbacks, Hook
from unstall.watch.carried import Carried, Reader
from unstall.watch.deadman import Deadman
from unstall.watch.discover import Discovery, ImportHooks
from unstall.watch.door import Door
from unstall.watch.frameworks import Frameworks
from unstall.watch.garbage import Garbage
from unstall.watch.intent import Intent
from unstall.watch.lifespans import Lifespans
from unstall.watch.measure import Measure
from unstall.watch.recorder import Recorder
from unstall.watch.scope import REQUESTS
from unstall.watch.stacks import Places, StackReader
from unstall.watch.startup import StartUp
from unstall.watch.subject import Subject
from unstall.watch.threads import ThreadUse
from unstall.watch.watchdog import Watchdog

_CARRIED_NS = 30_000_000_000
_SETTLE_PAUSE_S = 0.001

Listener = Callable[[Entry], None]
"""Is given all that is seen, on the watchdog's thread. One that raises is removed and counted.

`Losses` come whenever a loop has ended, and hold what was lost since the last of them.
"""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a monitor has to say of itself at one moment."""

    running: bool
    loops: int
    stalls: int
    blocked_s: float
    """Age of the longest stall going on now; 0.0 when no loop is stalled."""
    requests: int
    dropped: dict[str, int]
    inactive: tuple[str, ...]
    """Hooks that do not work on this system, each with its reason."""
    paused: int = 0
    """How often a loop stood at a debugger's prompt; these are no stalls."""


class Monitor:
    """Watches every event loop of this process from `start` to `stop`.

    `on_stall` is called on a thread of its own with a stall while it lasts (`ongoing` is true, at the
    threshold and then at 1, 2, 5, 10, 20, 30 s and every 30 s) and once when it is over. Loops that run
    already are watched if `start` is called on their thread or through `attach`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        on_stall: Callable[[Stall], None] | None = None,
        listeners: tuple[Listener, ...] = (),
        deadman: Deadman | None = None,
        patrol_ns: int = 0,
    ) -> None:
        """`patrol_ns`: how late the end of a loop may be heard of, where loops come and go by the hundred."""
        self.settings = settings or from_environment()
        self._carried = Carried(self._let_go)
        self._door = Door()
        self._callbacks = Callbacks(self._carried, self._let_go)
        if on_stall is not None:
            self._callbacks.add(lambda stall, _: on_stall(stall))
        self._listeners = list(listeners)
        self._deadman = deadman
        self._patrol_ns = patrol_ns
        self._running = False
        self._attached: dict[int, Subject] = {}
        self._lock = threading.RLock()
        self._imports = ImportHooks(self._failed)
        self._discovery = Discovery(self.around, self._imports)
        self._frameworks = Frameworks(self._imports, measures=self.settings.measure)
        self._lifespans = Lifespans(self._imports, self._starting)
        self._garbage = Garbage()
        self._anatomy = Anatomy(self._imports, self._failed)
        self._threads = ThreadUse(self._name, self._imports, self._failed)
        self._measure = Measure(
            self._name,
            self._anatomy,
            self._failed,
            slow_ns=self.settings.slow_ns,
            server_timing=self.settings.server_timing,
            ring=self._ring,
            queued_ns=self._queued_ns,
        )
        self._intent = self._new_intent() if self.settings.latent else None
        self._watchdog: Watchdog | None = None
        self._followers: list[Callable[[Subject], None]] = []
        self._numbers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int]
        self._numbers = weakref.WeakKeyDictionary()
        self._loops: set[int] = set()
        self._begin()

    def _begin(self) -> None:
        """A fresh record, for a new monitor and for a forked child."""
        self._recorder = Recorder(self.settings.keep_stretches, self.settings.keep_pulses)
        self._stalls = self._paused = 0
        self._startup: StartUp | None = None
        self._lost: Counter[str] = Counter()
        self._told_findings: deque[Told] = deque(maxlen=200)
        self._told: set[int] = set()
        self._process = Process(
            process=f"{os.getpid()}-{os.urandom(3).hex()}",
            pid=os.getpid(),
            started=time.time(),
            started_ns=time.monotonic_ns(),
            command=tuple(getattr(sys, "orig_argv", sys.argv)),
            python=sys.version.split()[0],
            threshold_ns=self.settings.threshold_ns,
        )

    # --- switching ----------------------------------------------------------------------------

    def start(self) -> Monitor:
        """Never raises. A second monitor in the process is one more observer, at its own cost.

        The one started last should be stopped first: what it wrapped is the other's wrapper.
        """
        with self._lock:
            if self._running:
                return self
            _active.add(self)
            self._running = True
            self._garbage.start()
            self._discovery.start()
            if self.settings.count:
                self._frameworks.start()
            self._lifespans.start()
            self._imports.when("greenlet", lambda _: self._greenlets())
            if self.settings.measure:
                self._anatomy.start()
                self._threads.start()
                self._measure.start()
            if self._intent is not None:
                self._intent.start()
            self._imports.start()
            atexit.register(self.stop)
        try:
            self.attach(asyncio.get_running_loop())
        except RuntimeError:
            pass  # no loop runs on this thread
        return self

    def stop(self) -> None:
        """Restores everything that was patched; what was recorded stays readable."""
        with self._lock:
            if not self._running:
                return
            self._running = False
            self._imports.stop()
            self._discovery.stop()
            self._frameworks.stop()
            self._lifespans.stop()
            if self._intent is not None:
                self._intent.stop()
            self._measure.stop()
            self._threads.stop()
            self._anatomy.stop()
            self._garbage.stop()
            atexit.unregister(self.stop)
            watchdog, self._watchdog = self._watchdog, None
        for subject in list(self._attached.values()):
            self._stop_heartbeat(subject)
        if watchdog is not None:
            watchdog.stop()
        self._callbacks.stop()
        self._carried.clear()
        if self._deadman is not None:
            self._deadman.stop()
        self._attached.clear()
        _active.discard(self)

    def __enter__(self) -> Monitor:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- reading ------------------------------------------------------------------------------

    def statistics(self) -> Statistics:
        """Safe from any thread, at any time."""
        now = time.monotonic_ns()
        watchdog = self._watchdog
        subjects = watchdog.subjects() if watchdog else []
        return Statistics(
            running=self._running,
            loops=len(subjects),
            stalls=self._stalls,
            blocked_s=max((s.blocked_ns(now) for s in subjects), default=0) / 1e9,
            requests=REQUESTS.begun,
            dropped=self._recorder.dropped(),
            inactive=self._process.inactive,
            paused=self._paused,
        )

    def recording(self) -> Recording:
        return self._recorder.snapshot(self._process, TOOL)

    def settle(self, seconds: float) -> bool:
        """Waits until every stall that is over has been told of, `seconds` at most; not on the watchdog."""
        watchdog = self._watchdog
        if watchdog is None:
            return True
        until = time.monotonic() + seconds
        while unsettled := [each for each in watchdog.subjects() if not each.settled]:
            for subject in unsettled:
                subject.hurried = True
            watchdog.ring()
            if time.monotonic() >= until:
                return False
            time.sleep(_SETTLE_PAUSE_S)
        return True

    # --- telling ------------------------------------------------------------------------------

    def subscribe(
        self,
        hook: Hook,
        read: Reader | None = None,
        *,
        idle: Callable[[], float | None] = lambda: None,
        last: Callable[[], None] = lambda: None,
    ) -> None:
        """Like `on_stall`, and on a thread of its own; before or after `start`.

        `read` is run in a copy of the context of the step that is to blame, and the hook is given what it
        returned. `idle` and `last` are those of `unstall.watch.callbacks.Worker`.
        """
        self._callbacks.add(hook, read, idle=idle, last=last)

    def unsubscribe(self, hook: Hook) -> None:
        self._callbacks.remove(hook)

    def listen(self, listener: Listener) -> None:
        """Before or after `start`."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def follow(self, each_loop: Callable[[Subject], None]) -> None:
        """It is told of every loop that is watched, on its thread, and at once of those that are already."""
        self._followers.append(each_loop)
        for subject in list(self._attached.values()):
            self._call(each_loop, subject)

    def unfollow(self, each_loop: Callable[[Subject], None]) -> None:
        if each_loop in self._followers:
            self._followers.remove(each_loop)

    def report(self, finding: Finding) -> None:
        """Puts a finding that somebody else has made on the record. From any thread."""
        self._told_findings.append(Told(self._process.process, finding))
        self._ring()

    # --- loops --------------------------------------------------------------------------------

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watches a loop that runs already, from whichever thread; a second call changes nothing."""
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            self._enter(loop)
        else:
            loop.call_soon_threadsafe(self._enter, loop)

    @contextmanager
    def around(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Watches a loop for as long as the block lasts; on its own thread."""
        self._enter(loop)
        try:
            yield
        finally:
            self._leave(loop)

    def _enter(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            if self._watchdog is None and are_green():
                self._is_without(GREEN)  # it would run on the loop's own thread, and hold it
                return
            with self._lock:
                known = self._attached.get(id(loop))
                if not self._running or (known is not None and not known.ended):
                    return
                watchdog = self._watchdog or self._new_watchdog()
                # `asyncio.run` runs its loop three or four times: it stays the same loop.
                number = self._numbers.setdefault(loop, len(self._loops) + 1)
                self._loops.add(number)
                self._startup = self._startup or StartUp(time.monotonic_ns())
                subject = Subject(
                    self._process.process, number, loop, self.settings, self._garbage.count,
                    self._carried, self._startup, self._door,
                )  # fmt: skip
                self._attached[id(loop)] = subject
            subject.heartbeat.start()
            watchdog.add(subject)
            for each_loop in list(self._followers):
                if not self._call(each_loop, subject):
                    self.unfollow(each_loop)
        except Exception as error:
            self._failed(error)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            with self._lock:
                subject = self._attached.pop(id(loop), None)
                watchdog = self._watchdog
            if subject is None:
                return
            subject.heartbeat.stop()
            if watchdog is not None:
                watchdog.remove(subject)
        except Exception as error:
            self._failed(error)

    def _greenlets(self) -> None:
        """A step imports the library that it is about to run on: before the next beat, its loop may stall."""
        for subject in list(self._attached.values()):
            if subject.ident == threading.get_ident():
                subject.heartbeat.ground.note_greenlet()

    def _starting(self, starting: bool) -> None:
        """The lifespan of an app is under way on this thread's loop, or has completed its start-up."""
        try:
            subject = self._attached.get(id(asyncio.get_running_loop()))
        except RuntimeError:  # a loop of another kind
            return
        if subject is not None:
            subject.starting(starting)

    @staticmethod
    def _stop_heartbeat(subject: Subject) -> None:
        """From any thread: the timer belongs to the loop's."""
        subject.ended = True
        if subject.ident == threading.get_ident():
            subject.heartbeat.stop()
            return
        loop = subject.heartbeat.loop
        try:
            if loop is not None:
                loop.call_soon_threadsafe(subject.heartbeat.stop)
        except RuntimeError:
            return  # the loop is closed, and its timers with it

    # --- from the watchdog --------------------------------------------------------------------

    def _new_watchdog(self) -> Watchdog:
        if self._deadman is not None:
            self._deadman.speaks_for(self._process, self.settings.interval_ns)
        self._watchdog = Watchdog(
            StackReader(Places(self.settings.root)),
            self._garbage,
            self._write,
            self._failed,
            self._ready,
            self._last_word,
            self._deadman,
            self._sums,
            self._measure.adapt if self.settings.measure else None,
            self.settings.pulse_ns,
            self._patrol_ns,
        )
        self._watchdog.start()
        return self._watchdog

    def _new_intent(self) -> Intent:
        reader = StackReader(Places(self.settings.root))
        return Intent(self._name, self._imports, self._failed, self._let_go, reader)

    def _ready(self, inactive: tuple[str, ...]) -> None:
        if self._deadman is not None and self._deadman.inactive is not None:
            inactive = (*inactive, self._deadman.inactive)
        self._process = replace(self._process, inactive=inactive)
        self._tell(self._process)

    def _is_without(self, hook: str) -> None:
        """It may have worked when the watchdog began."""
        if hook not in self._process.inactive:
            self._process = replace(self._process, inactive=(*self._process.inactive, hook))
            self._tell(self._process)

    def _name(self) -> str:
        return self._process.process

    def _queued_ns(self) -> dict[tuple[int, int], int]:
        return {
            (each.loop.loop, each.tid): each.heartbeat.queued_ns
            for each in list(self._attached.values())
            if each.heartbeat.queued_ns is not None
        }

    def _ring(self) -> None:
        if self._watchdog is not None:
            self._watchdog.ring()

    def _sums(self, now: int, *, all_of_it: bool) -> Iterator[Entry]:
        """What was measured since the last time; in between only what cannot wait."""
        while self._told_findings:
            yield self._told_findings.popleft()
        yield from self._measure.slow()
        if lost := self._measure.slow_lost():
            self._recorder.lost("slow requests", lost)
        if all_of_it:
            yield from self._measure.held(now)
            yield from self._threads.taken(now)
            if self._intent is not None:
                ends = not self._running or not self._attached
                yield from self._intent.taken(now, all_of_it=ends)

    def _write(self, entry: Entry) -> None:
        match entry:
            case Stretch():
                if not entry.ongoing:
                    self._recorder.stretch(entry)
                if not entry.looks and beside_interpreters():
                    self._is_without(BESIDE_INTERPRETERS)
                self._tell_callbacks(entry)
            case Pulse():
                self._recorder.pulse(entry)
                self._carried.drop(entry.loop, entry.until_ns - _CARRIED_NS)
            case Held() | SlowRequest() | Threads() | Told() | LatentCall():
                self._recorder.sum(entry)
            case Loop():
                if entry.loop in self._told:
                    return
                self._told.add(entry.loop)
                self._recorder.loop(entry)
        self._tell(entry)

    def _last_word(self) -> None:
        """A loop has ended, and its process may end with it, without a word from `atexit`."""
        dropped = Counter(self._recorder.dropped())
        since, self._lost = dropped - self._lost, dropped
        self._tell(Losses(self._process.process, dict(since)))

    def _tell_callbacks(self, stretch: Stretch) -> None:
        if self._callbacks or not stretch.ongoing:
            stall, look = judged(stretch, self.settings.threshold_ns)
            paused = stall.cause is Cause.PAUSED
            where = (stretch.loop, stretch.due_ns, look.step) if look is not None else None
            if not paused:
                self._callbacks.tell(stall, where)
        if not stretch.ongoing:
            self._paused += paused
            self._stalls += not paused
            self._carried.drop(stretch.loop, stretch.due_ns)

    def _tell(self, entry: Entry) -> None:
        for listener in list(self._listeners):
            if not self._call(listener, entry):
                self._listeners.remove(listener)

    def _call(self, hook: Callable[[Any], None], value: Any) -> bool:
        try:
            hook(value)
        except Exception as error:
            self._recorder.lost(f"listener removed after {type(error).__name__}")
            return False
        return True

    def _let_go(self, what: str, times: int = 1) -> None:
        self._recorder.lost(what, times)

    def _failed(self, error: BaseException) -> None:
        self._recorder.lost(f"internal {type(error).__name__}")

    # --- fork ---------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        """In the child: one thread is left, and it is not the watchdog's.

        A loop of the parent is not watched on: a pool's worker carries its copy and never runs it. A
        loop that the child starts is.
        """
        self._lock = threading.RLock()
        if self._watchdog is not None:
            self._watchdog.forget()
            self._watchdog = None
        if self._deadman is not None:
            self._deadman.stop()
        self._callbacks.forget()
        if self._intent is not None:
            self._intent.forget()
        self._carried.clear()
        self._attached.clear()
        self._measure.renew()
        self._threads.renew()
        METERS.renew()
        self._begin()


_active: weakref.WeakSet[Monitor] = weakref.WeakSet()


def active() -> int:
    """How many monitors of this process are on."""
    return len(_active)


def running() -> tuple[Monitor, ...]:
    """The monitors of this process that are on."""
    return tuple(_active)


def _in_forked_child() -> None:
    for monitor in list(_active):
        monitor._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
