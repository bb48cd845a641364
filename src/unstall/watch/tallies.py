"""What measured paths add up to, by entry and piece, until somebody reads it."""

from __future__ import annotations

import threading
from time import perf_counter_ns

from unstall.model.histogram import bucket_of
from unstall.watch.held import Path, Root, Span

MOST_ROWS = 500
OTHER = "other"


class Tally:
    """The sums of one piece of one entry since they were read last; times in ns, scaled to all requests."""

    __slots__ = (
        "away_sum", "began_sum", "calls", "ended", "held", "held_max", "held_min", "held_sum", "hops",
        "own_sum", "queued_max", "queued_sum", "took_max", "took_sum", "worked_sum",
    )  # fmt: skip

    def __init__(self) -> None:
        self.calls = self.hops = 0
        self.ended = 0
        """Of the calls, those that are over; fewer only while connections are open."""
        self.held: dict[int, int] = {}
        """Those that are over, by bucket of `model.histogram`."""
        self.held_sum = self.held_min = self.held_max = self.own_sum = 0
        self.took_sum = self.took_max = 0
        self.queued_sum = self.queued_max = self.worked_sum = self.away_sum = 0
        self.began_sum = 0
        """After the beginning of the request."""

    def add(self, span: Span, times: int) -> None:
        held, took = span.held_ns or 0, span.took_ns
        bucket = bucket_of(held)
        if not self.ended or held < self.held_min:
            self.held_min = held
        self.calls += times
        self.ended += times
        self.held[bucket] = self.held.get(bucket, 0) + times
        self.held_sum += held * times
        self.own_sum += span.own_ns * times
        self.took_sum += took * times
        self.away_sum += span.away_ns * times
        self.began_sum += (span.began_ns - span.path.root.began_ns) * times
        self.held_max = max(self.held_max, held)
        self.took_max = max(self.took_max, took)
        if span.hops:
            self.hops += span.hops * times
            self.queued_sum += span.queued_ns * times
            self.worked_sum += span.worked_ns * times
            self.queued_max = max(self.queued_max, span.queued_ns)

    def grow(self, root: Root, times: int, now: int) -> None:
        """What a connection that is still open has added since it was told of last."""
        held, took = root.path.held_ns, now - root.began_ns
        if not root.told:
            self.calls += times
        self.held_sum += (held - root.told_held_ns) * times
        self.took_sum += (took - root.told_took_ns) * times
        root.told, root.told_held_ns, root.told_took_ns = True, held, took

    def without_told(self, root: Root, times: int) -> None:
        """Takes back what `grow` has told of a connection that is over now."""
        if root.told:
            self.calls -= times
            self.held_sum -= root.told_held_ns * times
            self.took_sum -= root.told_took_ns * times


Row = tuple[str, str, str, int]
"""Entry, kind, name, depth."""


class Tallies:
    """Bounded: rows beyond `MOST_ROWS` are added to one that is named `other`. From any thread."""

    def __init__(self) -> None:
        self._rows: dict[Row, Tally] = {}
        # The collector may close an abandoned request in the midst of an addition, on the same thread.
        self._lock = threading.RLock()

    def add(self, entry: str, path: Path) -> None:
        now = perf_counter_ns()
        with self._lock:
            for span in path.spans:
                if span.took_ns < 0:  # something that outlives its request
                    span.took_ns = now - span.began_ns
                self._row(entry, span).add(span, path.times)
            self._row(entry, path.root).without_told(path.root, path.times)

    def grow(self, entry: str, path: Path) -> None:
        """Of a connection that is still open, what is new; its pieces are added when it ends."""
        now = perf_counter_ns()
        with self._lock:
            if not path.over:
                self._row(entry, path.root).grow(path.root, path.times, now)

    def take(self) -> dict[Row, Tally]:
        with self._lock:
            rows, self._rows = self._rows, {}
        return rows

    def _row(self, entry: str, span: Span) -> Tally:
        row = entry, span.kind, span.name, span.depth
        tally = self._rows.get(row)
        if tally is None:
            if len(self._rows) >= MOST_ROWS:
                row = OTHER, span.kind, OTHER, min(span.depth, 1)
            tally = self._rows.setdefault(row, Tally())
        return tally
