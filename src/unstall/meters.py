"""What is counted in this process. Parts write, exporters read; neither waits for the other.

To write is to append a tuple. Sums are made when somebody reads, so a hot path costs what an append
costs, and an unread meter stays bounded: beyond `_MOST_PENDING` the writer folds, once in so many.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from unstall.model.metric import BOUNDS_S, Family, Kind, Sample

Labels = tuple[str, ...]
Reading = Callable[[], Iterable[tuple[Labels, float]]]

OTHER = "other"
"""Label values of all series beyond the first `MOST_SERIES`."""
MOST_SERIES = 200
_MOST_PENDING = 500
_BOUNDS_NS = tuple(int(bound * 1e9) for bound in BOUNDS_S)


class Counter:
    """Only grows."""

    def __init__(self, name: str, help: str, labels: Labels = ()) -> None:
        self._family = Family(name, Kind.COUNTER, help, labels)
        self.renew()

    def renew(self) -> None:
        """From zero, and with a lock that nobody holds; for a forked child."""
        self._pending: deque[tuple[Labels, float]] = deque()
        self._sums: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def add(self, labels: Labels = (), amount: float = 1) -> None:
        self._pending.append((labels, amount))
        if len(self._pending) > _MOST_PENDING:
            self._fold()

    def family(self) -> Family:
        with self._lock:
            self._drain()
            samples = tuple(Sample(labels, value) for labels, value in sorted(self._sums.items()))
        return _filled(self._family, samples)

    def _fold(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._lock.release()

    def _drain(self) -> None:
        pending = self._pending
        for _ in range(len(pending)):
            labels, amount = pending.popleft()
            series = _series(labels, self._sums, self._family)
            self._sums[series] = self._sums.get(series, 0.0) + amount


class Distribution:
    """Durations, in ns when written, in seconds when read."""

    def __init__(self, name: str, help: str, labels: Labels = ()) -> None:
        self._family = Family(name, Kind.HISTOGRAM, help, labels)
        self.renew()

    def renew(self) -> None:
        """From zero, and with a lock that nobody holds; for a forked child."""
        self._pending: deque[tuple[Labels, int, int]] = deque()
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, int] = {}
        self._lock = threading.Lock()

    def observe(self, labels: Labels, duration_ns: int, times: int = 1) -> None:
        """`times` is for a sample that stands for so many."""
        self._pending.append((labels, duration_ns, times))
        if len(self._pending) > _MOST_PENDING:
            self._fold()

    def family(self) -> Family:
        with self._lock:
            self._drain()
            samples = tuple(
                Sample(labels, self._sums[labels] / 1e9, tuple(buckets))
                for labels, buckets in sorted(self._buckets.items())
            )
        return _filled(self._family, samples)

    def _fold(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._lock.release()

    def _drain(self) -> None:
        pending = self._pending
        for _ in range(len(pending)):
            labels, duration, times = pending.popleft()
            series = _series(labels, self._buckets, self._family)
            buckets = self._buckets.get(series)
            if buckets is None:
                buckets = self._buckets[series] = [0] * (len(_BOUNDS_NS) + 1)
                self._sums[series] = 0
            buckets[bisect_left(_BOUNDS_NS, duration)] += times
            self._sums[series] += duration * times


class Gauge:
    """Is asked when somebody reads; `read` must not wait, and one that raises is left out."""

    def __init__(self, name: str, help: str, read: Reading, labels: Labels = ()) -> None:
        self._family = Family(name, Kind.GAUGE, help, labels)
        self._read = read

    def renew(self) -> None:
        """It keeps nothing."""

    def family(self) -> Family:
        try:
            samples = tuple(Sample(labels, value) for labels, value in self._read())
        except Exception:  # a meter never harms; one that fails says nothing
            samples = ()
        return _filled(self._family, samples[:MOST_SERIES])


Meter = Counter | Distribution | Gauge


class Meters:
    """The meters of a process, by name; a second one of a name replaces the first."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}

    def add(self, *meters: Meter) -> None:
        self._meters = self._meters | {meter._family.name: meter for meter in meters}

    def remove(self, *meters: Meter) -> None:
        ours = set(map(id, meters))
        self._meters = {name: m for name, m in self._meters.items() if id(m) not in ours}

    def families(self) -> tuple[Family, ...]:
        return tuple(meter.family() for meter in self._meters.values())

    def renew(self) -> None:
        """In a forked child: its parent's numbers are not its own."""
        for meter in self._meters.values():
            meter.renew()


METERS = Meters()
"""Of this process. A monitor renews it in a forked child."""


def _series(labels: Labels, known: Mapping[Labels, object], family: Family) -> Labels:
    if labels in known:
        return labels
    if len(labels) == len(family.labels) and len(known) < MOST_SERIES:
        return labels
    return (OTHER,) * len(family.labels)


def _filled(family: Family, samples: tuple[Sample, ...]) -> Family:
    return Family(family.name, family.kind, family.help, family.labels, samples)
