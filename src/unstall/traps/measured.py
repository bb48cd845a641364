"""The watchdog's truth inside a trap: what held a loop for longer than the threshold, called or computed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from unstall.catalog.allowed import packs
from unstall.clock import NS_PER_MS
from unstall.explain.blame import step_of
from unstall.explain.findings import findings_of, is_startup
from unstall.explain.latent import STARTING
from unstall.explain.report import settled
from unstall.explain.stalls import judged
from unstall.model.finding import Cause, Finding, Stall
from unstall.model.observation import Look, Stretch
from unstall.model.recording import Entry
from unstall.settings import Settings, threshold_of
from unstall.traps.judge import below, is_ignored
from unstall.traps.regions import is_allowed
from unstall.watch.monitor import Monitor

_BLAMED = frozenset({Cause.WAITING, Cause.LOCK, Cause.CPU, Cause.GIL})
"""Causes for which a line of the application is at fault."""
_SETTLE_S = 0.5
_EARLY_NS = 5 * NS_PER_MS
_MOST = 1_000


class Monitors:
    """One monitor for all traps with equal settings: a watchdog for each test would cost more than most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Settings, tuple[Monitor, int]] = {}

    def hold(self, settings: Settings) -> Monitor:
        with self._lock:
            monitor, times = self._held.get(settings, (None, 0))
            if monitor is None:
                monitor = Monitor(settings).start()
            self._held[settings] = monitor, times + 1
            return monitor

    def release(self, settings: Settings) -> None:
        with self._lock:
            monitor, times = self._held[settings]
            if times > 1:
                self._held[settings] = monitor, times - 1
                return
            del self._held[settings]
        monitor.stop()

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
    """Those that begin while a trap is open."""

    def __init__(self, threshold_ms: float, root: Path) -> None:
        self._settings = settings_of(threshold_ms, root)
        self._stretches: list[Stretch] = []
        self._since_ns = 0
        self._monitor: Monitor | None = None

    def start(self) -> None:
        self._since_ns = time.monotonic_ns() - _EARLY_NS
        self._monitor = MONITORS.hold(self._settings)
        self._monitor.listen(self.heard)

    def stop(self) -> None:
        if self._monitor is not None:
            self._monitor.settle(_SETTLE_S)
            self._monitor.unlisten(self.heard)
            self._monitor = None
            MONITORS.release(self._settings)

    def findings(self, ignore: Sequence[str]) -> tuple[Finding, ...]:
        stretches = settled(list(self._stretches))
        stalls = (judged(each, self._settings.threshold_ns) for each in stretches)
        return findings_of(stall for stall, look in stalls if _counts(stall, look, ignore))

    def heard(self, entry: Entry) -> None:
        """On the watchdog's thread."""
        room = len(self._stretches) < _MOST
        if room and isinstance(entry, Stretch) and entry.due_ns >= self._since_ns:
            self._stretches.append(entry)


def _counts(stall: Stall, look: Look | None, ignore: Sequence[str]) -> bool:
    site, entry = stall.site, stall.entry
    if stall.cause not in _BLAMED or site is None or entry is None or look is None:
        return False
    if is_startup(stall) or entry.kind in STARTING:
        return False
    frames, is_app = below(step_of(look.stack))
    code = findings_of([stall])[0].code
    if not is_app or any(pack.holds(code, site.file, frames) for pack in packs() if not pack.codes):
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
