"""Durations in bounded memory that merge without loss.

Log-linear buckets in the manner of HdrHistogram (Gil Tene): below 128 ns every value has a bucket of
its own, above it each power of two is split into 64, so a quantile is at most 1.6 % from the truth.
Two histograms of the same data in any split add up to the same histogram.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

_SUB_BITS = 6
_SUB = 1 << _SUB_BITS
_MAX_NS = (1 << 53) - 1  # 104 days, and still exact as a JSON number


def bucket_of(ns: int) -> int:
    """The bucket index of a duration; negative durations count as 0, endless ones as the largest."""
    if not 0 <= ns <= _MAX_NS:
        ns = min(max(ns, 0), _MAX_NS)
    shift = ns.bit_length() - _SUB_BITS - 1
    return ns if shift <= 0 else (shift << _SUB_BITS) + (ns >> shift)


def upper_edge(bucket: int) -> int:
    """The largest duration, in ns, that falls into a bucket."""
    shift = (bucket >> _SUB_BITS) - 1
    if shift <= 0:
        return bucket
    return (((bucket & (_SUB - 1)) | _SUB) + 1 << shift) - 1


_LAST_BUCKET = bucket_of(_MAX_NS)


@dataclass(frozen=True, slots=True)
class Histogram:
    """A frozen distribution of durations in ns: sparse `(bucket, count)` pairs in bucket order."""

    buckets: tuple[tuple[int, int], ...] = ()
    count: int = 0
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0

    def __post_init__(self) -> None:
        if self.buckets and not 0 <= self.buckets[0][0] <= self.buckets[-1][0] <= _LAST_BUCKET:
            raise ValueError("a bucket beyond the longest duration")

    @classmethod
    def of(cls, durations_ns: Iterable[int]) -> Histogram:
        builder = HistogramBuilder()
        for ns in durations_ns:
            builder.add(ns)
        return builder.freeze()

    def __add__(self, other: Histogram) -> Histogram:
        if not self.count or not other.count:  # an empty one may hold time of what is not over yet
            some = self if self.count else other
            return replace(some, sum_ns=self.sum_ns + other.sum_ns)
        counts = dict(self.buckets)
        for bucket, n in other.buckets:
            counts[bucket] = counts.get(bucket, 0) + n
        return Histogram(
            tuple(sorted(counts.items())),
            self.count + other.count,
            self.sum_ns + other.sum_ns,
            min(self.min_ns, other.min_ns),
            max(self.max_ns, other.max_ns),
        )

    def at_least(self, ns: int) -> int:
        """How many durations are in buckets that reach so far."""
        return sum(count for bucket, count in self.buckets if upper_edge(bucket) >= ns)

    def quantile_ns(self, q: float) -> int | None:
        """The smallest bucket edge that at least `q` (0..1) of the durations do not exceed.

        None when the histogram is empty. The extremes are exact.
        """
        if not self.count:
            return None
        rank = max(1, -int(-q * self.count // 1))
        seen = 0
        for bucket, n in self.buckets:
            seen += n
            if seen >= rank:
                return max(self.min_ns, min(upper_edge(bucket), self.max_ns))
        return self.max_ns


class HistogramBuilder:
    """The mutable half: add durations, then `freeze`. Not for use from two threads at once."""

    __slots__ = ("_count", "_counts", "_max", "_min", "_sum")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._count = self._sum = self._min = self._max = 0

    def add(self, ns: int, times: int = 1) -> None:
        if not 0 <= ns <= _MAX_NS:
            ns = min(max(ns, 0), _MAX_NS)
        bucket = bucket_of(ns)
        counts = self._counts
        counts[bucket] = counts.get(bucket, 0) + times
        if ns < self._min or not self._count:
            self._min = ns
        if ns > self._max:
            self._max = ns
        self._count += times
        self._sum += ns * times

    def freeze(self) -> Histogram:
        return Histogram(
            tuple(sorted(self._counts.items())), self._count, self._sum, self._min, self._max
        )
