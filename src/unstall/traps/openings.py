"""Which traps are open, and which of them is told: of those that one thread has opened, the newest.

What a thread does that has a trap of its own is told to nobody else. What a thread without one does is told
to the newest trap of each thread, because it may belong to any of them.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from threading import get_ident
from typing import Generic, TypeVar

from unstall.clock import NS_PER_MS

_EARLY_NS = 5 * NS_PER_MS
"""A stretch is counted from the moment a beat was due, which may lie just before."""
_numbers = itertools.count()

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Opening(Generic[T]):
    """By whom a trap was opened, and from when to when it is open, in monotonic ns."""

    trap: T | None
    """None once it is closed."""
    ident: int
    thread: str
    from_ns: int
    until_ns: int | None = None
    number: int = field(default_factory=_numbers.__next__)

    def covers(self, at_ns: int) -> bool:
        return self.from_ns <= at_ns and (self.until_ns is None or at_ns <= self.until_ns)


class Openings(Generic[T]):
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: tuple[Opening[T], ...] = ()
        """The oldest first, with what has been closed since the oldest that is open was opened."""
        self.newest: dict[int, T] = {}
        """By the thread that opened it, and never changed but replaced. Empty while none is open."""

    def __bool__(self) -> bool:
        """Whether any is open."""
        return bool(self.newest)

    def open(self, trap: T) -> Opening[T]:
        from_ns = time.monotonic_ns() - _EARLY_NS
        made = Opening(trap, get_ident(), threading.current_thread().name, from_ns)
        with self._lock:
            since = min(
                (each.from_ns for each in self._all if each.until_ns is None), default=from_ns
            )
            kept = (e for e in self._all if e.until_ns is None or e.until_ns >= since)
            self._set((*kept, made))
        return made

    def close(self, trap: T) -> None:
        """From any thread."""
        with self._lock:
            for each in self._all:
                if each.trap is trap:
                    each.trap, each.until_ns = None, time.monotonic_ns()
            self._set(self._all)

    def told_by(self, ident: int) -> tuple[T, ...]:
        """Who is told of what this thread does now."""
        newest = self.newest
        own = newest.get(ident)
        return (own,) if own is not None else tuple(newest.values())

    def is_told(self, mine: Opening[T], thread: str, at_ns: int) -> bool:
        """Whether that trap is told of what a thread of this name did at a moment."""
        others = [each for each in self._all if each is not mine and each.covers(at_ns)]
        newer = any(each.ident == mine.ident and each.number > mine.number for each in others)
        theirs = mine.thread != thread and any(each.thread == thread for each in others)
        return mine.covers(at_ns) and not newer and not theirs

    def _set(self, openings: tuple[Opening[T], ...]) -> None:
        self._all = openings
        self.newest = {each.ident: each.trap for each in openings if each.trap is not None}
