"""Keeps what the watch saw in bounded memory, and counts what it had to let go."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import TypedDict, TypeVar

from unstall.model.anatomy import (
    Held,
    SlowRequest,
    Threads,
    merged_held,
    merged_threads,
    slowest,
)
from unstall.model.finding import Told
from unstall.model.latent import LatentCall, merged_latent
from unstall.model.observation import Loop, Losses, Process, Pulse, Stretch
from unstall.model.recording import Recording
from unstall.watch.pulses import Pulses

T = TypeVar("T")

KEEP_LOOPS = 1_000
KEEP_ROWS = 1_500
KEEP_SLOW = 100
KEEP_TOLD = 200
_ROOM = 50

Summed = Held | Threads | SlowRequest | LatentCall | Told


class Kept(TypedDict):
    held: tuple[Held, ...]
    slow: tuple[SlowRequest, ...]
    threads: tuple[Threads, ...]
    latent: tuple[LatentCall, ...]
    told: tuple[Told, ...]


class Sums:
    """What a recording holds beside stretches and pulses: added up, or the worst and the latest of it."""

    def __init__(self) -> None:
        self._held: list[Held] = []
        self._threads: list[Threads] = []
        self._slow: list[SlowRequest] = []
        self._latent: list[LatentCall] = []
        self._told: list[Told] = []
        self._most_held = self._most_threads = _room_after(0)

    def add(self, entry: Summed) -> str | None:
        """What had to be let go for it, or instead of it; None for nothing."""
        match entry:
            case Held():
                self._held.append(entry)
                if len(self._held) > self._most_held:
                    merged = merged_held(self._held)
                    self._held = _dearest(merged, lambda row: row.held.sum_ns)
                    self._most_held = _room_after(len(self._held))
                    return "rows of held time" if len(merged) > KEEP_ROWS else None
            case Threads():
                self._threads.append(entry)
                if len(self._threads) > self._most_threads:
                    pools = merged_threads(self._threads)
                    self._threads = _dearest(pools, lambda row: row.worked.sum_ns)
                    self._most_threads = _room_after(len(self._threads))
                    return "rows of threads" if len(pools) > KEEP_ROWS else None
            case SlowRequest():
                self._slow.append(entry)
                if len(self._slow) > KEEP_SLOW:
                    self._slow = slowest(self._slow, KEEP_SLOW)
                    return "slow requests"
            case LatentCall():
                self._latent = merged_latent([*self._latent, entry])[-KEEP_ROWS:]
            case Told():
                if len(self._told) >= KEEP_TOLD:
                    return "findings"
                self._told.append(entry)
        return None

    def kept(self) -> Kept:
        """As the fields of a `Recording`."""
        return Kept(
            held=tuple(merged_held(self._held)),
            slow=tuple(slowest(self._slow, KEEP_SLOW)),
            threads=tuple(merged_threads(self._threads)),
            latent=tuple(self._latent),
            told=tuple(self._told),
        )


def _room_after(rows: int) -> int:
    """How many rows there may be before they are merged again, so that neither memory nor work grows."""
    return 2 * rows + _ROOM


def _dearest(rows: list[T], price: Callable[[T], int]) -> list[T]:
    return rows if len(rows) <= KEEP_ROWS else sorted(rows, key=price, reverse=True)[:KEEP_ROWS]


class Recorder:
    """Filled by the watchdog, read by anybody."""

    def __init__(self, keep_stretches: int, keep_pulses: int) -> None:
        self._keep_stretches = keep_stretches
        self._lock = threading.Lock()
        self._loops: list[Loop] = []
        self._stretches: list[Stretch] = []
        self._pulses = Pulses(keep_pulses)
        self._dropped: Counter[str] = Counter()
        self._sums = Sums()

    def loop(self, loop: Loop) -> None:
        with self._lock:
            if len(self._loops) < KEEP_LOOPS:
                self._loops.append(loop)
            else:
                self._dropped["loops"] += 1

    def stretch(self, stretch: Stretch) -> None:
        """Past the bound the shortest stall kept makes room, or the new one is not kept."""
        with self._lock:
            if stretch.dropped_looks:
                self._dropped["looks"] += stretch.dropped_looks
            self._stretches.append(stretch)
            if len(self._stretches) > self._keep_stretches:
                drop_shortest(self._stretches)
                self._dropped["stalls"] += 1

    def pulse(self, pulse: Pulse) -> None:
        with self._lock:
            self._pulses.append(pulse)

    def sum(self, entry: Summed) -> None:
        with self._lock:
            if dropped := self._sums.add(entry):
                self._dropped[dropped] += 1

    def lost(self, what: str, times: int = 1) -> None:
        with self._lock:
            self._dropped[what] += times

    def dropped(self) -> dict[str, int]:
        with self._lock:
            return dict(self._dropped)

    def snapshot(self, process: Process, tool: str) -> Recording:
        with self._lock:
            loops, stretches = tuple(self._loops), tuple(self._stretches)
            pulses = self._pulses.copy()
            dropped, sums = dict(self._dropped), self._sums.kept()
        # Pulses are unpacked here: that takes long, and the watchdog must not wait for it.
        losses = (Losses(process.process, dropped),)
        return Recording(tool, (process,), loops, stretches, tuple(pulses), losses, **sums)


def drop_shortest(stretches: list[Stretch]) -> None:
    """Of several as short, the earliest."""
    del stretches[min(range(len(stretches)), key=lambda n: stretches[n].late_ns)]
