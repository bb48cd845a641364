"""How much a figure of a run moves by itself, estimated from the run: pure, and seeded.

A run repeats its phases a few times, and each repeat is a row of seconds. Two kinds of noise are told apart:

    within   what chance does inside one repeat: its seconds are drawn anew, with replacement and in blocks,
             because a second that waited for the one before is not independent of it
    between  what a fresh start of the app changes, which no second of one start can show

They are added, although `between` holds some of `within` already: the interval may be too wide, never too
narrow. Few repeats measure their own noise badly, so the interval is Student's, with the degrees of freedom
that Satterthwaite's rule gives the sum. A plain percentile bootstrap over three repeats would cry wolf.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, variance

ROUNDS = 200
"""Draws of the bootstrap: more change the width of an interval by less than it is worth."""
_MOST_FREEDOM = 200.0  # beyond, Student's distribution is the normal one

Repeat = Sequence[int]
"""One repeat, second by second; a second is an integer whose fields add up as the integers do."""
Statistic = Callable[[int], float]
"""The figure of some seconds, from their sum."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A variance, and the degrees of freedom with which it is known."""

    variance: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of all repeats of a phase: the mean over them."""

    points: tuple[float, ...]
    within: Spread

    @property
    def value(self) -> float:
        return fmean(self.points)


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference, and the bounds that hold the true one with the level that was asked for."""

    value: float
    low: float
    high: float


def estimate(repeats: Sequence[Repeat], statistic: Statistic, rng: Random) -> Estimate:
    """Raises ValueError without a repeat."""
    if not repeats:
        raise ValueError("no repeat to estimate from")
    points = tuple(statistic(sum(seconds)) for seconds in repeats)
    spreads = [_bootstrapped(seconds, statistic, rng) for seconds in repeats]
    count = len(repeats)
    return Estimate(
        points,
        Spread(
            sum(each.variance for each in spreads) / count**2,
            sum(each.freedom for each in spreads),
        ),
    )


def difference(
    before: Estimate, after: Estimate, alpha: float, assumed: float = 0.0
) -> Interval | None:
    """After less before; the truth is below or above it with probability `alpha` each.

    `assumed` is a variance that is taken for granted. None if no noise could be measured.
    """
    between = _between(before.points, after.points)
    spreads = [each for each in (between, before.within, after.within) if each.freedom >= 1]
    if not spreads:
        return None
    if assumed:
        spreads.append(Spread(assumed, _MOST_FREEDOM))
    total = sum(each.variance for each in spreads)
    value = after.value - before.value
    if not total:
        return Interval(value, value, value)
    freedom = total**2 / sum(each.variance**2 / each.freedom for each in spreads)
    reach = student(1 - 2 * alpha, freedom) * math.sqrt(total)
    return Interval(value, value - reach, value + reach)


def student(inside: float, freedom: float) -> float:
    """The t for which Student's distribution lies in ±t with probability `inside`."""
    whole = max(1, int(min(freedom, _MOST_FREEDOM)))  # rounded down: wider, never narrower
    low, high = 0.0, 1.0
    while _inside(high, whole) < inside:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _inside(middle, whole) < inside else (low, middle)
    return high


def block_length(seconds: int) -> int:
    """How many seconds in a row are drawn together: the cube root, as is usual for short memory."""
    return max(1, round(math.cbrt(seconds)))


def _bootstrapped(seconds: Repeat, statistic: Statistic, rng: Random) -> Spread:
    """The variance of the statistic, by drawing circular blocks of seconds."""
    count = len(seconds)
    length = block_length(count)
    blocks = -(-count // length)
    if blocks < 2:
        return Spread(0.0, 0.0)
    around = [*seconds, *seconds[: length - 1]]
    sums = [sum(around[start : start + length]) for start in range(count)]
    drawn = [statistic(sum(rng.choices(sums, k=blocks))) for _ in range(ROUNDS)]
    # Of few blocks the plain variance is too small by this factor.
    return Spread(variance(drawn) * blocks / (blocks - 1), blocks - 1)


def _between(before: Sequence[float], after: Sequence[float]) -> Spread:
    """Pooled over both sides, so that a side with one repeat borrows the other's noise."""
    freedom = len(before) + len(after) - 2
    if not freedom:
        return Spread(0.0, 0.0)
    squares = sum((x - fmean(side)) ** 2 for side in (before, after) for x in side)
    return Spread(squares / freedom * (1 / len(before) + 1 / len(after)), freedom)


def _inside(t: float, freedom: int) -> float:
    """The probability of ±t for a whole number of degrees of freedom, which is a finite sum."""
    angle = math.atan2(t, math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    for n in range(2 + odd, freedom, 2):
        term *= cosine**2 * (n - 1) / n
        total += term
    if not odd:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + (math.sin(angle) * total if freedom > 1 else 0.0))
