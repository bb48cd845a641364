"""How much time the request that runs has left, for whoever works for it, in tasks and in threads."""

from __future__ import annotations

import math
import re
import time
from contextvars import ContextVar
from datetime import datetime
from typing import Final

from unstall.clock import NS_PER_S

HEADER: Final = "x-request-deadline"
_EXAMPLE = "1763719200.250 (seconds since 1970), 2025-11-21T10:00:00.250Z, or 750ms"
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_SECONDS = re.compile(_NUMBER)
_SPAN = re.compile(rf"({_NUMBER})(ms|s)")
_MOST_SPAN_S = 1e9
"""Thirty years: more is a mistake, or somebody who tries what happens."""
_LEAST_EPOCH_S = 1e9
"""Less is no moment of this century."""
_MOST_EPOCH_S = 1e11


class Budget:
    """Of one request. Its identity tells whose a context is."""

    __slots__ = ("allowed_ns", "due_ns", "queued", "route")

    def __init__(self, due_ns: int, allowed_ns: int, route: str) -> None:
        self.due_ns = due_ns
        """On the monotonic clock."""
        self.allowed_ns = allowed_ns
        self.route = route
        self.queued = False
        """Whether it waits at a guard's door or was refused there, so that nothing was begun."""

    def left_ns(self) -> int:
        return self.due_ns - time.monotonic_ns()


CURRENT: ContextVar[Budget | None] = ContextVar("unstall_budget", default=None)


def remaining() -> float | None:
    """Seconds until the deadline of the request that is worked for, 0.0 after it; None without one."""
    budget = CURRENT.get()
    return None if budget is None else max(0, budget.left_ns()) / NS_PER_S


class BadDeadline(ValueError):
    """A header that says no time; the message says what to send."""


def left_of(text: str, epoch_s: float) -> float:
    """Seconds from now, negative if it is past, of a header's value; `epoch_s` is now. Raises BadDeadline.

    A moment is better than a span: a span forgets the time that the request has waited on its way here.
    """
    text = text.strip()
    span = _SPAN.fullmatch(text)
    if span is not None:
        seconds = float(span.group(1)) / (1e3 if span.group(2) == "ms" else 1)
        if seconds <= _MOST_SPAN_S:
            return seconds
    else:
        moment = _moment(text)
        if moment is not None and _LEAST_EPOCH_S <= moment <= _MOST_EPOCH_S:
            return moment - epoch_s
    raise BadDeadline(f"{HEADER} is {text[:80]!r}, which is no time: send {_EXAMPLE}")


def _moment(text: str) -> float | None:
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        found = datetime.fromisoformat(text)
        return found.timestamp() if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def header_value(budget: Budget) -> str:
    """The deadline as a moment, never a later one, for whoever is called next."""
    milliseconds = math.floor((time.time() + budget.left_ns() / NS_PER_S) * 1_000)
    return f"{milliseconds / 1_000:.3f}"
