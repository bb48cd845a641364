"""The watchdog's truth inside a trap: what held a loop for longer than the threshold, called or computed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from unstall.catalog.allowed import packs
from unstall.explain.blame import step_of
from unstall.explain.findings import findings_of, is_startup
from unstall.explain.latent import STARTING
from unstall.explain.report import settled
from unstall.explain.stalls import judged
from unstall.model.finding import Cause, Finding, Stall
from unstall.model.observation import Look, Stretch
from unstall.model.place import Owner
from unstall.model.recording import Entry
from unstall.settings import Settings, threshold_of
from unstall.traps.judge import below, is_ignored
from unstall.traps.regions import Least, is_allowed
from unstall.watch.monitor import Monitor

_BLAMED = frozenset({Cause.WAITING, Cause.LOCK, Cause.CPU, Cause.GIL})
"""Causes for which a line of the application is at fault."""
_SETTLE_S = 0.5
_PAUSE_S = 0.005
_MOST = 1_000

IsOurs = Callable[[str, int], bool]
"""Whether a stretch of the thread of that name, due at that moment, belongs to a trap."""


class Monitors:
    """One monitor for all traps with equal settings: a watchdog for each test would cost more than most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Settings, tuple[Monitor, int]] = {}

    def hold(self, settings: Settings) -> Monitor:
        with self._lock:
            monitor, times = self._held.get(settings, (None, 0))
            if monitor is None:
                monitor = Monitor(settings, patrol_ns=settings.look_after_ns // 2).start()
            self._held[settings] = monitor, times + 1
            self._set_least()
            return monitor

    def release(self, settings: Settings) -> None:
        with self._lock:
            monitor, times = self._held[settings]
            if times > 1:
                self._held[settings] = monitor, times - 1
                return
            del self._held[settings]
            self._set_least()
        monitor.stop()

    def _set_least(self) -> None:
        """A region that excuses a stall holds the middle of it."""
        Least.ns = min((each.threshold_ns // 2 for each in self._held), default=None)

    @contextmanager
    def held(self, settings: Settings) -> Iterator[None]:
        """It stays on for as long as the block lasts, whether or not a trap is open."""
        self.hold(settings)
        try:
            yield
        finally:
            self.release(settings)


MONITORS = Monitors()


def settings_of(threshold_ms: float, root: Path) -> Settings:
    """Raises UsageError for a threshold that cannot be watched."""
    threshold = threshold_of(f"{threshold_ms:g}", "threshold_ms")
    return Settings(threshold_ms=threshold, root=root, count=False, measure=False)


class Stretches:
    """Those that begin while a trap is open, and are no newer trap's."""

    def __init__(self, threshold_ms: float, root: Path) -> None:
        self._settings = settings_of(threshold_ms, root)
        self._stretches: list[Stretch] = []
        self._is_ours: IsOurs = lambda thread, at_ns: False
        self._monitor: Monitor | None = None
        self._closed_ns: int | None = None

    def start(self, is_ours: IsOurs) -> None:
        """Before that nothing is heard."""
        self._is_ours = is_ours
        self._monitor = MONITORS.hold(self._settings)
        self._monitor.listen(self.heard)

    def settle(self) -> None:
        """Waits for stalls that are over and not yet told of. Not on a loop: it would be held, and no late
        beat could come meanwhile."""
        if self._monitor is not None:
            self._closed_ns = time.monotonic_ns()
            self._monitor.settle(_SETTLE_S)

    async def settle_on_loop(self) -> None:
        """The same from a coroutine."""
        monitor, until = self._monitor, time.monotonic() + _SETTLE_S
        self._closed_ns = time.monotonic_ns()
        for _ in range(2):  # the late beat runs in the second turn
            await asyncio.sleep(0)
        # What it waits for is written by another thread, which can set no event of this loop.
        while monitor is not None and not monitor.settle(0) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE_S)

    def stop(self) -> None:
        if self._monitor is not None:
            self._monitor.unlisten(self.heard)
            self._monitor = None
            MONITORS.release(self._settings)

    def findings(self, ignore: Sequence[str]) -> tuple[Finding, ...]:
        stretches = [each for each in settled(list(self._stretches)) if self._is_long(each)]
        stalls = (judged(each, self._settings.threshold_ns) for each in stretches)
        return findings_of(stall for stall, look in stalls if _counts(stall, look, ignore))

    def _is_long(self, stretch: Stretch) -> bool:
        """What goes on after the trap was closed is not its own."""
        until_ns = (
            stretch.until_ns if self._closed_ns is None else min(stretch.until_ns, self._closed_ns)
        )
        return until_ns - stretch.due_ns >= self._settings.threshold_ns

    def heard(self, entry: Entry) -> None:
        """On the watchdog's thread."""
        if not isinstance(entry, Stretch) or len(self._stretches) >= _MOST:
            return
        if self._is_ours(entry.thread, entry.due_ns):
            self._stretches.append(entry)


def _counts(stall: Stall, look: Look | None, ignore: Sequence[str]) -> bool:
    site, entry = stall.site, stall.entry
    if stall.cause not in _BLAMED or site is None or entry is None or look is None:
        return False
    if is_startup(stall) or entry.kind in STARTING:
        return False
    step = step_of(look.stack)
    if not any(frame.owner is Owner.APP for frame in step.frames):
        return False
    (under, _), code = below(step), findings_of([stall])[0].code
    if any(pack.holds(code, site.file, under) for pack in packs() if not pack.codes):
        return False
    middle = (stall.from_ns + stall.until_ns) // 2
    return not is_ignored(code, (site.call,), ignore) and not is_allowed(middle, look.task)


def merged(measured: Iterable[Finding], seen: Iterable[Finding]) -> tuple[Finding, ...]:
    """A call that was seen and whose stall was measured is one finding, with both for evidence."""
    left = list(seen)
    found: list[Finding] = []
    for finding in measured:
        same = next((each for each in left if _is_same(finding, each)), None)
        if same is None:
            found.append(finding)
            continue
        left.remove(same)
        evidence = (*finding.evidence, *same.evidence)
        found.append(
            replace(same, latent=False, impact=None, cause=finding.cause, evidence=evidence)
        )
    return (*found, *left)


def _is_same(one: Finding, other: Finding) -> bool:
    if one.site is None or other.site is None or one.entry != other.entry:
        return False
    place = one.site.file, one.site.function
    if place != (other.site.file, other.site.function):
        return False
    return one.code == other.code or one.site.line == other.site.line
