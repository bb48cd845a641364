"""What bystanders felt during a run, judged from its witness: one word from three numbers."""

from __future__ import annotations

from collections.abc import Iterable

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.model.histogram import Histogram
from unstall.model.proof import WITNESS, Phase
from unstall.model.report import WitnessVerdict

# A quantile of fewer says more about chance than about the service.
MIN_WITNESSES = 10

# A cheap route answers in a few milliseconds; 50 ms more is what a person begins to notice in a chain
# of such calls, and well above what a busy but healthy loop adds.
ISOLATED_BELOW_NS = 50 * NS_PER_MS

# Probes of load balancers and orchestrators commonly give up after a second: past it, the service
# counts as down for whoever asks.
FROZEN_FROM_NS = 1 * NS_PER_S

# One in twenty that never comes back cannot be called slow any more.
FROZEN_ABOVE_UNANSWERED_PERCENT = 5

# Where nothing was ill, a freeze is the app's own if a loop stood so long, or so many witnesses were hurt:
# less may be a hiccup of the machine.
STOOD_FROM_NS = 500 * NS_PER_MS
HURT_FROM = 3

_WORST_FIRST = (
    WitnessVerdict.FROZEN,
    WitnessVerdict.DEGRADED,
    WitnessVerdict.NOT_ENOUGH_DATA,
    WitnessVerdict.ISOLATED,
)


def witness_verdict(latency: Histogram, due: int, unanswered: int) -> WitnessVerdict:
    """Pure. `latency` counts from the moment a witness was due."""
    return verdict_at(latency.quantile_ns(0.99), due, unanswered)


def verdict_at(p99_ns: int | None, due: int, unanswered: int) -> WitnessVerdict:
    """The same from the 99th percentile alone; None: no witness came to an end."""
    if due < MIN_WITNESSES:
        return WitnessVerdict.NOT_ENOUGH_DATA
    if unanswered * 100 > due * FROZEN_ABOVE_UNANSWERED_PERCENT:
        return WitnessVerdict.FROZEN
    if p99_ns is None:
        return WitnessVerdict.NOT_ENOUGH_DATA
    if p99_ns >= FROZEN_FROM_NS:
        return WitnessVerdict.FROZEN
    if p99_ns < ISOLATED_BELOW_NS and unanswered == 0:
        return WitnessVerdict.ISOLATED
    return WitnessVerdict.DEGRADED


def worst_of(verdicts: Iterable[WitnessVerdict]) -> WitnessVerdict:
    """Of none, not enough is known."""
    return min(verdicts, key=_WORST_FIRST.index, default=WitnessVerdict.NOT_ENOUGH_DATA)


def is_worse(one: WitnessVerdict, than: WitnessVerdict) -> bool:
    return _WORST_FIRST.index(one) < _WORST_FIRST.index(than)


def hurt(latency: Histogram, due: int, unserved: int, bound_ns: int) -> int:
    """Witnesses that waited at least so long, or were not served: who did both counts once."""
    return min(due, max(latency.at_least(bound_ns), unserved))


def frozen_alone(phase: Phase) -> bool:
    """Bystanders were frozen, and nothing was ill: a loop stood still, or it was more than a hiccup."""
    if phase.fault is not None or phase.verdict is not WitnessVerdict.FROZEN:
        return False
    if any(stall.held_ns >= STOOD_FROM_NS for stall in phase.report.stalls):
        return True
    seen = phase.outcome.get(WITNESS)
    return (
        seen is not None
        and hurt(seen.latency, seen.due, seen.unserved, FROZEN_FROM_NS) >= HURT_FROM
    )
