"""What is counted in this process. Parts write, exporters read; neither waits for the other.

To write is to append a tuple. Sums are made when somebody reads, so a hot path costs what an append
costs, and an unread meter stays bounded: beyond `_MOST_PENDING` the writer folds, once in so many.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Generic, TypeVar

from unstall.model.metric import BOUNDS_S, Family, Kind, Sample

Item = TypeVar("Item")
Labels = tuple[str, ...]
Reading = Callable[[], Iterable[tuple[Labels, float]]]

OTHER = "other"
"""Label values of all series beyond the first `MOST_SERIES`."""
MOST_SERIES = 200
_MOST_PENDING = 500
_BOUNDS_NS = tuple(int(bound * 1e9) for bound in BOUNDS_S)


class Folding(ABC, Generic[Item]):
    """What is appended by those who must not wait, and added up by who reads it, or finds much of it."""

    def __init__(self, most_pending: int = _MOST_PENDING) -> None:
        self._most_pending = most_pending
        self.renew()

    def renew(self) -> None:
        """From zero, and with a lock that nobody holds; for a forked child."""
        self._pending: deque[Item] = deque()
        self._lock = threading.Lock()

    @abstractmethod
    def _fold(self, item: Item) -> None:
        """Adds one up; one thread at a time."""

    @contextmanager
    def _folded(self) -> Iterator[None]:
        """All that was appended is added up, and nobody else adds meanwhile."""
        with self._lock:
            self._drain()
            yield

    def _append(self, item: Item) -> None:
        self._pending.append(item)
        if len(self._pending) > self._most_pending and self._lock.acquire(blocking=False):
            try:
                self._drain()
            finally:
                self._lock.release()

    def _drain(self) -> None:
        for _ in range(len(self._pending)):
            self._fold(self._pending.popleft())


class Counter(Folding[tuple[Labels, float]]):
    """Only grows."""

    def __init__(self, name: str, help: str, labels: Labels = ()) -> None:
        self._family = Family(name, Kind.COUNTER, help, labels)
        super().__init__()

    def renew(self) -> None:
        super().renew()
        self._sums: dict[Labels, float] = {}

    def add(self, labels: Labels = (), amount: float = 1) -> None:
        self._append((labels, amount))

    def family(self) -> Family:
        with self._folded():
            samples = tuple(Sample(labels, value) for labels, value in sorted(self._sums.items()))
        return replace(self._family, samples=samples)

    def _fold(self, item: tuple[Labels, float]) -> None:
        labels, amount = item
        series = _series(labels, self._sums, self._family)
        self._sums[series] = self._sums.get(series, 0.0) + amount


class Distribution(Folding[tuple[Labels, int, int]]):
    """Durations, in ns when written, in seconds when read."""

    def __init__(self, name: str, help: str, labels: Labels = ()) -> None:
        self._family = Family(name, Kind.HISTOGRAM, help, labels)
        super().__init__()

    def renew(self) -> None:
        super().renew()
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, int] = {}

    def observe(self, labels: Labels, duration_ns: int, times: int = 1) -> None:
        """`times` is for a sample that stands for so many."""
        self._append((labels, duration_ns, times))

    def family(self) -> Family:
        with self._folded():
            samples = tuple(
                Sample(labels, self._sums[labels] / 1e9, tuple(buckets))
                for labels, buckets in sorted(self._buckets.items())
            )
        return replace(self._family, samples=samples)

    def _fold(self, item: tuple[Labels, int, int]) -> None:
        labels, duration, times = item
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
        return replace(self._family, samples=samples[:MOST_SERIES])


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
