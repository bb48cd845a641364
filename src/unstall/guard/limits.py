"""How many requests may be under way, learned from how long they take.

Two rules as Netflix's concurrency-limits has them: AIMD, which grows by one and falls by a tenth, and the
gradient of recent times to long-term ones. Both see windows, not single requests. Time comes in as an
argument.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

from unstall.clock import NS_PER_MS
from unstall.errors import UsageError

_WINDOW_NS: Final = 100 * NS_PER_MS
_WINDOW_LEAST: Final = 10
"""Requests in a window before it counts; without them it goes on."""


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen for a while."""

    requests: int = 0
    sum_ns: int = 0
    in_flight: int = 0
    """At most."""
    dropped: bool = False
    """Whether an answer was a time-out or a refusal from below."""

    @property
    def mean_ns(self) -> float:
        return self.sum_ns / self.requests if self.requests else 0.0

    def with_request(self, took_ns: int, in_flight: int, dropped: bool) -> Window:
        if dropped:
            return replace(self, dropped=True, in_flight=max(self.in_flight, in_flight))
        return Window(
            self.requests + 1, self.sum_ns + took_ns, max(self.in_flight, in_flight), self.dropped
        )


class Rule(Protocol):
    """Pure but for what it remembers of earlier windows."""

    def next(self, limit: float, window: Window) -> float: ...


class AIMD:
    """Grows by one while the slots are used, falls by a tenth when something was dropped or took too long."""

    def __init__(self, *, backoff: float = 0.9, slow_ns: int | None = None) -> None:
        if not 0.5 <= backoff < 1:
            raise UsageError(f"backoff is {backoff}: give a share from 0.5 to less than 1")
        self._backoff = backoff
        self._slow_ns = slow_ns

    def next(self, limit: float, window: Window) -> float:
        slow = self._slow_ns is not None and window.mean_ns > self._slow_ns
        if window.dropped or slow:
            return limit * self._backoff
        return limit + 1 if window.in_flight * 2 >= limit else limit


class Gradient:
    """Shrinks as recent times leave the long-term mean behind, and grows by what may queue while they do
    not.

    `tolerance` is how many times the mean is still well. The limit falls by no more than a half in a
    window, and moves by a fifth of the way.
    """

    def __init__(
        self, *, tolerance: float = 1.5, queue: int = 4, smoothing: float = 0.2, windows: int = 600
    ) -> None:
        if tolerance < 1:
            raise UsageError(f"tolerance is {tolerance}: give 1.0 or more")
        self._tolerance = tolerance
        self._queue = queue
        self._smoothing = smoothing
        self._weight = 2 / (windows + 1)
        self._warm = 10
        self._seen = 0
        self.long_ns = 0.0

    def next(self, limit: float, window: Window) -> float:
        if window.dropped:
            return limit * 0.9
        short = window.mean_ns
        self._learn(short)
        if self.long_ns / max(short, 1.0) > 2:  # the load has gone: forget it sooner
            self.long_ns *= 0.95
        if window.in_flight < limit / 2:
            return limit  # the slots were not what held it back
        gradient = max(0.5, min(1.0, self._tolerance * self.long_ns / max(short, 1.0)))
        wanted = limit * gradient + self._queue
        return limit * (1 - self._smoothing) + wanted * self._smoothing

    def _learn(self, short: float) -> None:
        self._seen += 1
        if self._seen <= self._warm:  # a plain mean, until there are enough of them
            self.long_ns += (short - self.long_ns) / self._seen
        else:
            self.long_ns += (short - self.long_ns) * self._weight


class Adaptive:
    """A limit that moves between `least` and `most`."""

    def __init__(self, rule: Rule, *, start: int = 20, least: int = 4, most: int = 1_000) -> None:
        if not 1 <= least <= start <= most:
            raise UsageError(
                f"least is {least}, start {start} and most {most}: give 1 or more, in this order"
            )
        self._rule = rule
        self._least, self._most = least, most
        self._exact = float(start)
        self._window = Window()
        self._until_ns: int | None = None
        self.limit = start

    def ended(self, now: int, took_ns: int, in_flight: int, dropped: bool) -> None:
        """A request that was let in has been answered. `in_flight` counts itself."""
        if self._until_ns is None:
            self._until_ns = now + _WINDOW_NS
        self._window = self._window.with_request(took_ns, in_flight, dropped)
        if now < self._until_ns:
            return
        if self._window.requests < _WINDOW_LEAST and not self._window.dropped:
            return
        self._exact = min(self._most, max(self._least, self._rule.next(self._exact, self._window)))
        self.limit = int(self._exact)
        self._window, self._until_ns = Window(), None
