"""When the garbage collector ran, from `gc.callbacks`."""

from __future__ import annotations

import gc
import time
from collections import deque
from typing import Any

_WORTH_KEEPING_NS = 1_000_000


class Garbage:
    """Keeps the spans of collections longer than a millisecond; the last 256 of them.

    A collection holds the interpreter lock, so there is one at a time, whichever thread it runs on.
    """

    def __init__(self) -> None:
        self._began_ns = 0
        self._spans: deque[tuple[int, int]] = deque(maxlen=256)

    def start(self) -> None:
        gc.callbacks.append(self._on_gc)

    def stop(self) -> None:
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)

    def within_ns(self, from_ns: int, until_ns: int) -> int:
        """Time that collections took between two moments; one still going on counts."""
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
