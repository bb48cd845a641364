"""What of two runs is compared: their figures, second by second, as `noise` takes them."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.model.histogram import Histogram, upper_edge
from unstall.model.outcome import StreamOutcome
from unstall.model.proof import Phase
from unstall.triage.noise import Repeat

MATTERS_TIMES = 1.10
"""Quantiles that changed by less than a tenth are not worth anybody's morning."""
ASSUMED_TIMES = 1.15
"""What a fresh start is taken to change times by (one standard deviation) where no repeat has measured it."""
MATTERS_MS = 1.0
MATTERS_ERRORS = 0.005
MATTERS_STALLS = 1.0

# A quantile is read off the slowest few; in how far these are luck is shown by repeats, or by more of them.
FEWEST_BEYOND = 1
FEWEST_BEYOND_ALONE = 5
FEWEST_SECONDS_ALONE = 10
FEWEST = 10

QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
_LATE = "the generator itself was late, so its latencies are partly its own"
_LEAST_NS = NS_PER_MS // 10  # below, a ratio says nothing about the service


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a phase as the noise is estimated from: seconds of each repeat, packed."""

    phase: str
    metric: str
    before: tuple[Repeat, ...] = ()
    after: tuple[Repeat, ...] = ()
    statistic: Callable[[int], float] = float
    times: bool = False
    """The statistic is the logarithm of a duration in ms."""
    matters: float = 0.0
    weaker: bool = False
    """One repeat a side: nothing has measured what a fresh start changes."""
    assumed: float = 0.0
    """The variance that is taken for it."""
    reason: str = ""
    """Why it cannot be compared."""


def figures_of(name: str, before: Sequence[Phase], after: Sequence[Phase]) -> Iterator[Figure]:
    old = [phase for phase in before if phase.name == name]
    new = [phase for phase in after if phase.name == name]
    if not old or not new:
        when = "after" if old else "before"
        yield Figure(name, "phase", reason=f"it did not run in the run {when}")
        return
    streams = dict.fromkeys(
        stream.name for phase in (*old, *new) for stream in phase.outcome.streams
    )
    for stream in streams:
        yield from _of_stream(name, stream, _streams(old, stream), _streams(new, stream))
    yield from _lag(name, old, new)
    yield _stalls(name, old, new)


def _streams(phases: Sequence[Phase], name: str) -> list[StreamOutcome]:
    return [each for phase in phases for each in phase.outcome.streams if each.name == name]


def _of_stream(
    phase: str, name: str, before: Sequence[StreamOutcome], after: Sequence[StreamOutcome]
) -> Iterator[Figure]:
    late = any(each.lateness.count and not each.trustworthy for each in (*before, *after))
    old, new = (
        [[second.latency for second in each.seconds] for each in side] for side in (before, after)
    )
    metrics = {f"{name}.{quantile}": q for quantile, q in QUANTILES.items()}
    if late:
        yield from (Figure(phase, metric, reason=_LATE) for metric in metrics)
    else:
        yield from _of_times(phase, metrics, old, new)
    counts = [
        [[_good(s.good, s.due) for s in each.seconds] for each in side] for side in (before, after)
    ]
    yield _judged(
        Figure(
            phase, f"{name}.error_rate", *_rows(*counts), statistic=_errors, matters=MATTERS_ERRORS,
            weaker=_alone(before, after),
        )
    )  # fmt: skip


def _lag(name: str, before: Sequence[Phase], after: Sequence[Phase]) -> Iterator[Figure]:
    old, new = (
        [[lag for _, lag in phase.lag] or [phase.report.lag] for phase in side]
        for side in (before, after)
    )
    yield from _of_times(name, {"loop.lag_p99_ms": 0.99}, old, new)


def _stalls(name: str, before: Sequence[Phase], after: Sequence[Phase]) -> Figure:
    if not all(phase.report.lag.count for phase in (*before, *after)):
        return Figure(name, "loop.stalls", reason="nobody watched the loop in both runs")
    return _judged(
        Figure(
            name, "loop.stalls", *_rows(map(_stalls_by_second, before), map(_stalls_by_second, after)),
            statistic=float, matters=MATTERS_STALLS, weaker=_alone(before, after),
        )
    )  # fmt: skip


def _stalls_by_second(phase: Phase) -> list[int]:
    counts = [0] * max(1, math.ceil(phase.seconds))
    for stall in phase.report.stalls:
        at = (stall.from_ns - phase.from_ns) // NS_PER_S
        counts[min(max(at, 0), len(counts) - 1)] += 1
    return counts


def _of_times(
    phase: str,
    metrics: Mapping[str, float],
    before: Sequence[Sequence[Histogram]],
    after: Sequence[Sequence[Histogram]],
) -> Iterator[Figure]:
    """Quantiles of one kind of durations, by the metrics they are called."""
    weaker = _alone(before, after)
    packing = _Packing.of(each for side in (before, after) for repeat in side for each in repeat)
    rows = _rows(*([map(packing.packed, repeat) for repeat in side] for side in (before, after)))
    for metric, q in metrics.items():
        reason = _too_few("before", before, q, weaker) or _too_few("after", after, q, weaker)
        yield (
            Figure(phase, metric, reason=reason)
            if reason
            else _judged(
                Figure(
                    phase, metric, *rows, statistic=partial(_log_ms, packing, q), times=True,
                    matters=math.log(MATTERS_TIMES), weaker=weaker,
                    assumed=2 * math.log(ASSUMED_TIMES) ** 2 if weaker else 0.0,
                )
            )
        )  # fmt: skip


def _too_few(when: str, repeats: Sequence[Sequence[Histogram]], q: float, alone: bool) -> str:
    beyond = FEWEST_BEYOND_ALONE if alone else FEWEST_BEYOND
    needed = max(FEWEST, math.ceil(beyond / (1 - q) - 1e-9))
    seen = sum(each.count for repeat in repeats for each in repeat)
    if seen >= needed:
        return ""
    of = f"a p{q * 100:g}" if q != 0.5 else "a median"
    return f"{seen} {when} are too few for {of}: {needed} are needed"


def _judged(figure: Figure) -> Figure:
    """With one repeat a side the seconds are all there is, so there must be some."""
    seconds = [len(repeat) for side in (figure.before, figure.after) for repeat in side]
    if figure.weaker and min(seconds, default=0) < FEWEST_SECONDS_ALONE:
        reason = (
            f"one repeat of {min(seconds, default=0)} s shows no noise to compare with: "
            f"repeat the phases, or load for {FEWEST_SECONDS_ALONE} s"
        )
        return replace(figure, reason=reason)
    if not figure.before or not figure.after:
        return replace(figure, reason="it was not measured in both runs")
    return figure


def _alone(before: Sequence[object], after: Sequence[object]) -> bool:
    return max(len(before), len(after)) < 2


def _rows(
    before: Iterable[Iterable[int]], after: Iterable[Iterable[int]]
) -> tuple[tuple[Repeat, ...], tuple[Repeat, ...]]:
    return tuple(map(tuple, before)), tuple(map(tuple, after))


# --- figures of seconds -------------------------------------------------------------------------

_FIELD_BITS = 32
_FIELD = (1 << _FIELD_BITS) - 1


@dataclass(frozen=True, slots=True)
class _Packing:
    """Distributions as integers: for each bucket a field with the count of it and all below.

    So a second is added by one addition, and a quantile is one search: the bootstrap asks for many.
    """

    buckets: tuple[int, ...]

    @classmethod
    def of(cls, histograms: Iterable[Histogram]) -> _Packing:
        return cls(tuple(sorted({bucket for each in histograms for bucket, _ in each.buckets})))

    def packed(self, histogram: Histogram) -> int:
        counts = dict(histogram.buckets)
        below = accumulate(counts.get(bucket, 0) for bucket in self.buckets)
        return int.from_bytes(struct.pack(f"<{len(self.buckets)}I", *below), "little")

    def quantile_ns(self, packed: int, q: float) -> int:
        """0 of nothing."""

        def below(place: int) -> int:
            return packed >> place * _FIELD_BITS & _FIELD

        last = len(self.buckets) - 1
        rank = max(1, math.ceil(q * below(last) - 1e-9)) if last >= 0 else 0
        place = bisect_left(range(last), rank, key=below)
        return upper_edge(self.buckets[place]) if packed else 0


def _log_ms(packing: _Packing, q: float, packed: int) -> float:
    return math.log(max(packing.quantile_ns(packed, q), _LEAST_NS) / NS_PER_MS)


def _good(good: int, due: int) -> int:
    return good << 64 | due


def _errors(packed: int) -> float:
    due = packed & (1 << 64) - 1
    return 1 - (packed >> 64) / due if due else 0.0
