"""Whether a run is worse than the one before, beyond the noise that both have measured in themselves.

Every figure of every phase is compared. A change counts when its interval leaves zero out and it is large
enough to matter. The intervals hold together: of two runs of the same service at most one comparison in
`1 / FALSE_ALARMS` names any regression at all. Too little data is said, and fails nothing.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from unstall.errors import UsageError
from unstall.model.proof import Run
from unstall.triage.compared import MATTERS_MS, Figure, figures_of
from unstall.triage.noise import Interval, difference, estimate
from unstall.triage.same_plan import differences

FALSE_ALARMS = 0.05
"""Of comparisons of a service with itself, at most."""


class Direction(enum.StrEnum):
    """What became of a figure."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    SAME = "same"
    """No change beyond noise, or none that matters."""
    UNKNOWN = "unknown"
    """Too little was seen to say."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one phase, before and after: the mean over repeats."""

    phase: str
    metric: str
    """As in thresholds: `STREAM.p99_ms`, `STREAM.error_rate`, `loop.lag_p99_ms`, `loop.stalls`."""
    direction: Direction
    before: float | None = None
    after: float | None = None
    low: float | None = None
    """Of the interval for what was added: a factor less 1 for milliseconds, else a difference."""
    high: float | None = None
    weaker: bool = False
    """One repeat a side: what a fresh start of the app changes was not measured."""
    because: str = ""
    """In a clause: the interval, or why nothing can be said."""

    @property
    def is_time(self) -> bool:
        return self.metric.endswith("_ms")

    @property
    def is_share(self) -> bool:
        return self.metric.endswith(".error_rate")


def compare(before: Run, after: Run, seed: int = 0) -> tuple[Change, ...]:
    """In the order of phases and figures. Raises UsageError when the plans are not the same."""
    if different := differences(before.plan, after.plan):
        raise UsageError(
            f"the two runs did different things, and cannot be compared: {'; '.join(different)}; "
            "run the same plan again for a baseline"
        )
    figures = [
        figure
        for name in dict.fromkeys(phase.name for phase in (*before.phases, *after.phases))
        for figure in figures_of(name, before.phases, after.phases)
    ]
    alpha = FALSE_ALARMS / max(1, sum(not figure.reason for figure in figures))
    return tuple(
        _change(figure, alpha, Random(f"{seed} {figure.phase} {figure.metric}"))
        for figure in figures
    )


def regressions(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(each for each in changes if each.direction is Direction.REGRESSION)


# --- the judgement ------------------------------------------------------------------------------


def _change(figure: Figure, alpha: float, rng: Random) -> Change:
    if figure.reason:
        return Change(figure.phase, figure.metric, Direction.UNKNOWN, because=figure.reason)
    before = estimate(figure.before, figure.statistic, rng)
    after = estimate(figure.after, figure.statistic, rng)
    interval = difference(before, after, alpha, figure.assumed)
    shown = math.exp if figure.times else float
    values = shown(before.value), shown(after.value)
    if interval is None:
        reason = "no noise could be measured: repeat the phases"
        return Change(figure.phase, figure.metric, Direction.UNKNOWN, *values, because=reason)
    added = math.expm1 if figure.times else float
    change = Change(
        figure.phase,
        figure.metric,
        _direction(figure, interval, values),
        *values,
        added(interval.low),
        added(interval.high),
        figure.weaker,
    )
    return replace(change, because=_because(change))


def _direction(figure: Figure, interval: Interval, values: tuple[float, float]) -> Direction:
    matters = abs(interval.value) >= figure.matters
    if figure.times:
        matters = matters and abs(values[1] - values[0]) >= MATTERS_MS
    if not matters or interval.low <= 0 <= interval.high:
        return Direction.SAME
    return Direction.REGRESSION if interval.value > 0 else Direction.IMPROVEMENT


def _because(change: Change) -> str:
    low, high = change.low or 0.0, change.high or 0.0
    alone = ", from one repeat alone" if change.weaker else ""
    if change.is_share:
        low, high = max(low, -1.0) * 100, min(high, 1.0) * 100
        return f"{low:+.1f} to {high:+.1f} points{alone}"
    if not change.is_time:
        return f"{low:+.1f} to {high:+.1f}{alone}"
    if low < -0.9 or high > 10:  # percents are no measure any more
        return f"{_factor(1 + low)} to {_factor(1 + high)} times{alone}"
    return f"{low:+.0%} to {high:+.0%}{alone}"


def _factor(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"
