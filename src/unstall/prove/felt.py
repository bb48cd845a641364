"""Which stalls the witness waited through: pure.

Witnesses are known by the second in which they were due. One that was due while a loop stalled waits at
least until the stall ends, so the slowest of a second speaks for the longest stall that goes on in it, and
for no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unstall.clock import NS_PER_S
from unstall.model.finding import Stall
from unstall.model.proof import WITNESS, Phase
from unstall.triage.verdict import ISOLATED_BELOW_NS


def felt_stalls(stalls: Iterable[Stall], phase: Phase) -> list[Stall]:
    """Those of `stalls` that surely kept a witness waiting; all stalls of the phase are in its report."""
    slowest = {
        second.at: second.latency.quantile_ns(1.0) or 0 for second in phase.outcome[WITNESS].seconds
    }
    return [stall for stall in stalls if _felt(stall, phase, slowest)]


def left_ns(stall: Stall, at: int, from_ns: int, after_ns: int = 0) -> int:
    """How long who was due in that second waits for it at most; the second 0 begins at `from_ns`.

    0: nobody does. Who comes up to `after_ns` after it still does, for 1 ns.
    """
    begins = from_ns + at * NS_PER_S
    if stall.from_ns >= begins + NS_PER_S or stall.until_ns + after_ns <= begins:
        return 0
    return max(1, stall.until_ns - max(begins, stall.from_ns))


def _felt(stall: Stall, phase: Phase, slowest: dict[int, int]) -> bool:
    return any(
        slowest.get(at, 0) >= max(ISOLATED_BELOW_NS, left_ns(stall, at, phase.from_ns) // 2)
        and _is_longest(stall, at, phase, phase.report.stalls)
        for at in _seconds(stall, phase)
    )


def _seconds(stall: Stall, phase: Phase) -> range:
    """Of the phase, those in which it went on."""
    first = max(0, (stall.from_ns - phase.from_ns) // NS_PER_S)
    return range(first, (stall.until_ns - phase.from_ns) // NS_PER_S + 1)


def _is_longest(stall: Stall, at: int, phase: Phase, others: Sequence[Stall]) -> bool:
    ours = left_ns(stall, at, phase.from_ns)
    return all(
        left_ns(other, at, phase.from_ns) <= ours for other in others if other.site != stall.site
    )
