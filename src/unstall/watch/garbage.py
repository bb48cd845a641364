"""When the garbage collector ran.

From `gc.callbacks` where that is safe. On Python 3.11 a callback written in Python lets threads switch in the
middle of C code that did not expect it: `ast.parse` in two threads then fails in the host. There full
collections are only counted, and the time that nobody got the interpreter lock is taken for theirs.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from typing import Any

_WORTH_KEEPING_NS = 1_000_000
_OLD = 200
"""Collections of the middle generation since the last full one. As many are hardly between two looks, for
they take one and a half million new containers; if they are, a full one is missed."""


class Garbage:
    """Keeps the spans of collections longer than a millisecond; the last 256 of them.

    A collection holds the interpreter lock, so there is one at a time, whichever thread it runs on.
    """

    def __init__(self, *, timed: bool = sys.version_info >= (3, 12)) -> None:
        self._timed = timed
        self._began_ns = 0
        self._spans: deque[tuple[int, int]] = deque(maxlen=256)
        self._counted: deque[tuple[int, int]] = deque(maxlen=256)
        self._since_full = 0

    def start(self) -> None:
        if self._timed:
            gc.callbacks.append(self._on_gc)

    def stop(self) -> None:
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)

    def count(self, now: int) -> None:
        """Called with each beat of a loop, and by the watchdog each time it wakes."""
        if self._timed:
            return
        before, self._since_full = self._since_full, gc.get_count()[-1]
        if self._since_full >= before >= _OLD:
            return  # none was full, and the statistics cost ten times as much
        full = gc.get_stats()[-1]["collections"]
        if not self._counted or self._counted[-1][1] != full:
            self._counted.append((now, full))

    def within_ns(self, from_ns: int, until_ns: int, locked_ns: int) -> int:
        """Time that collections took between two moments; one still going on counts.

        `locked_ns` is how long nobody got the interpreter lock meanwhile.
        """
        if not self._timed:
            ran = any(from_ns < at <= until_ns + locked_ns for at, _ in list(self._counted)[1:])
            return locked_ns if ran else 0
        spans = list(self._spans)
        if self._began_ns:
            spans.append((self._began_ns, until_ns))
        took = sum(max(0, min(end, until_ns) - max(begin, from_ns)) for begin, end in spans)
        return min(took, until_ns - from_ns)

    def _on_gc(self, phase: str, info: dict[str, Any]) -> None:
        now = time.monotonic_ns()
        if phase == "start":
            self._began_ns = now
        elif self._began_ns:
            if now - self._began_ns > _WORTH_KEEPING_NS:
                self._spans.append((self._began_ns, now))
            self._began_ns = 0
