"""Stretches of code that somebody answers for: nothing in them is caught. The check is one look at a flag."""

from __future__ import annotations

import time
from collections import deque
from contextvars import ContextVar
from types import TracebackType
from typing import NamedTuple

from unstall.errors import UsageError
from unstall.watch.caller import task_name

ALLOWED: ContextVar[bool] = ContextVar("unstall.allowed", default=False)


class Span(NamedTuple):
    """When a region was entered and left, on the monotonic clock, by whom."""

    from_ns: int
    until_ns: int
    task: str | None


SPANS: deque[Span] = deque(maxlen=2_000)
"""Of regions that were long enough to excuse a stall: the watchdog sees stalls, and no flags."""


class Least:
    """How long a region must be to be kept, in ns; None while nobody watches."""

    ns: int | None = None


class Region:
    """Holds for the task it is entered in, across its awaits, and for the tasks that start inside of it."""

    __slots__ = ("_before", "_from_ns", "reason")

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self._before = False
        self._from_ns = 0

    def __enter__(self) -> Region:
        self._before = ALLOWED.get()
        self._from_ns = time.monotonic_ns()
        ALLOWED.set(True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ALLOWED.set(self._before)
        now = time.monotonic_ns()
        if Least.ns is not None and now - self._from_ns >= Least.ns:
            SPANS.append(Span(self._from_ns, now, task_name()))


def allow(reason: str) -> Region:
    """`with unstall.allow("read once, from memory"): …`; costs half a microsecond outside of tests."""
    if type(reason) is not str or not reason.strip():
        raise UsageError(
            f"allow() was given {reason!r}: say why it may block, as in allow('a local file of 1 kB')"
        )
    return Region(reason)


def is_allowed(at_ns: int, task: str | None) -> bool:
    """Whether a task of that name was in a region at a moment that is over."""
    return any(span.from_ns <= at_ns <= span.until_ns and span.task == task for span in list(SPANS))
