"""What loops that stood still say of a witness: pure.

The witness alone can err both ways. A process that was not run at all answers nobody, and no upstream did
that; and of several workers a free one answers for the one that stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.explain.victims import distinct_victims
from unstall.model.finding import Cause, Stall
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome, Second
from unstall.model.proof import WITNESS
from unstall.prove.felt import left_ns
from unstall.report.units import counted, duration
from unstall.triage.verdict import FROZEN_FROM_NS

WAITS = frozenset({Cause.WAITING, Cause.LOCK})
"""What a fault of an upstream can bring about; nobody computes because a server hangs."""
NOT_RUN = frozenset({Cause.STARVED, Cause.PAUSED})
NOBODYS = NOT_RUN | {Cause.GC}
"""What no upstream can bring about, and no line of the app; collecting garbage is the app's all the same."""
_CATCHES_UP_NS = 250 * NS_PER_MS
"""After a pause the loop serves whoever has come meanwhile, in turn."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What monitors in the app's workers saw of a phase."""

    stalls: tuple[Stall, ...] = ()
    from_ns: int = 0
    """Where the second 0 begins."""
    seconds: float = math.inf
    """Of load."""
    addresses: tuple[str, ...] = ()
    """Of the upstream that is ill, as `host:port`."""

    @property
    def under_load(self) -> tuple[Stall, ...]:
        until_ns = self.from_ns + self.seconds * NS_PER_S
        return tuple(s for s in self.stalls if s.until_ns > self.from_ns and s.from_ns < until_ns)


@dataclass(frozen=True, slots=True)
class Excused:
    """What is left of the witness without the seconds that nothing but a pause accounts for."""

    seconds: tuple[Second, ...]
    paused_ns: int
    """In the seconds that were left out; 0: there were none."""
    causes: str

    @property
    def due(self) -> int:
        return sum(second.due for second in self.seconds)

    @property
    def unserved(self) -> int:
        return sum(second.due - second.good for second in self.seconds)

    @property
    def latency(self) -> Histogram:
        return sum((second.latency for second in self.seconds), Histogram())


def excused(
    outcome: Outcome, watched: Watched, bound_ns: int, causes: AbstractSet[Cause] = NOT_RUN
) -> Excused:
    """A hurt second is left out if the longest stall in it was of these causes, and the slowest waited no
    longer. A call of the app is never one of them.
    """
    witness = outcome.get(WITNESS)
    left: list[Second] = []
    pauses: set[Stall] = set()
    for second in witness.seconds if witness else ():
        slowest = second.latency.quantile_ns(1.0) or 0
        late = second.good == second.due and slowest >= bound_ns  # an answer of 500 is no delay
        within = _pauses(second, slowest, watched, causes) if late else []
        pauses.update(within)
        if not within:
            left.append(second)
    named = " and ".join(sorted({str(stall.cause) for stall in pauses}))
    return Excused(tuple(left), sum(stall.held_ns for stall in pauses), named)


def stood(watched: Watched) -> list[Stall]:
    """Waits for this upstream, or with victims of whomever, that lasted as long as freezes a witness."""
    return [
        stall
        for stall in watched.under_load
        if stall.cause in WAITS
        and stall.held_ns >= FROZEN_FROM_NS
        and (stall.victims or stall.peer in watched.addresses)
    ]


def stood_text(stalls: Sequence[Stall]) -> str:
    """`a loop stood still for 2.00 s, with 2 victims`"""
    longest = max(stall.held_ns for stall in stalls)
    times = f" (the longest of {len(stalls)} times)" if len(stalls) > 1 else ""
    victims = counted(distinct_victims(stalls), "victim")
    return f"a loop stood still for {duration(longest)}{times}, with {victims}"


def _pauses(
    second: Second, slowest_ns: int, watched: Watched, causes: AbstractSet[Cause]
) -> list[Stall]:
    """The pauses that account for whoever waited in that second; none if anything else may."""
    left = {
        stall: left_ns(stall, second.at, watched.from_ns, _CATCHES_UP_NS)
        for stall in watched.under_load
    }
    pauses = [s for s, ns in left.items() if ns > 0 and s.cause in causes and s.site is None]
    others = [ns for stall, ns in left.items() if stall not in pauses]
    longest = max((left[stall] for stall in pauses), default=0)
    if longest <= max(others, default=0):
        return []
    return pauses if slowest_ns <= sum(left[each] for each in pauses) + _CATCHES_UP_NS else []
