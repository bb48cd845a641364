"""Medians, quantiles and bootstrap intervals; pure."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

RESAMPLES = 4_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and the bounds between which it lies with 95 % confidence."""

    median: float
    low: float
    high: float
    count: int

    def text(self, render: Callable[[float], str]) -> str:
        """`1.20 [0.90, 1.50]`; one value alone has no bounds."""
        middle = render(self.median)
        if self.count < 2:
            return f"{middle} [alone]"
        return f"{middle} [{render(self.low)}, {render(self.high)}]"


def median_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Percentile bootstrap of the median; the same values and seed give the same bounds.

    Raises ValueError when there are no values.
    """
    if not values:
        raise ValueError("the median of nothing")
    middle = statistics.median(values)
    chance = random.Random(seed)
    medians = sorted(
        statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    return Interval(middle, quantile(medians, 0.025), quantile(medians, 0.975), len(values))


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest value that at least `q` (0..1) of the values do not exceed; values in any order.

    Raises ValueError when there are no values.
    """
    if not values:
        raise ValueError("a quantile of nothing")
    ordered = sorted(values)
    rank = max(1, -int(-q * len(ordered) // 1))
    return ordered[min(rank, len(ordered)) - 1]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen's: the median of the slopes between all pairs of points, which a few leaps do not bend.

    Raises ValueError when there are fewer than two points, or all of one moment.
    """
    slopes = [
        (later - earlier) / (until - since)
        for at, (since, earlier) in enumerate(points)
        for until, later in points[at + 1 :]
        if until != since
    ]
    if not slopes:
        raise ValueError("a slope needs two moments")
    return statistics.median(slopes)


def lost_percent(with_it: float, without: float) -> float:
    """How much of a rate is gone: 1.0 is one per cent; negative when it grew."""
    return 100.0 * (1.0 - with_it / without)


def added_percent(with_it: float, without: float) -> float:
    """How much a cost has grown: 1.0 is one per cent; negative when it shrank."""
    return 100.0 * (with_it / without - 1.0)
