"""What bystanders felt in a phase, with the numbers behind it: pure.

A verdict stands on a witness that was well before, on a generator that was on time, and on a fault that was
met. Where one of them is missing it is not-enough-data, and `because` says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import comb

from unstall.chaos.kinds import spec_of
from unstall.load.phase import NEVER_SERVED
from unstall.model.finding import Stall
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome, StreamOutcome
from unstall.model.plan import Fault
from unstall.model.proof import WITNESS, Exchanges, Phase
from unstall.model.report import WitnessVerdict
from unstall.prove.stood import NOBODYS, NOT_RUN, Watched, excused, stood, stood_text
from unstall.report.units import counted, duration
from unstall.triage.verdict import (
    FROZEN_FROM_NS,
    ISOLATED_BELOW_NS,
    MIN_WITNESSES,
    frozen_alone,
    hurt,
    is_worse,
    verdict_at,
    worst_of,
)

UNWATCHED = Watched()
_TOLD_APART = 2
"""A 99th percentile that did not double is no difference to speak of."""
_BY_CHANCE = 0.05
"""A phase has some dozens of witnesses: one that a busy machine held up is no proof."""


MISSED_AT_MOST = 0.01
"""Who had a greater chance never to meet the fault cannot be said to have been tried."""


@dataclass(frozen=True, slots=True)
class Felt:
    """Witnesses of a phase. An answer of 500 and more is none: nobody is served by it."""

    due: int
    unserved: int
    p99_ns: int | None
    silent: int
    """Witnesses that got no answer at all. In latencies they stand with their time-out."""
    late_ns: int
    """How late the generator's requests left, 99th percentile; 0 while that is within bounds."""
    latency: Histogram

    def hurt(self, bound_ns: int) -> int:
        """Witnesses that waited at least so long, or were not served."""
        return hurt(self.latency, self.due, self.unserved, bound_ns)

    @property
    def verdict(self) -> WitnessVerdict:
        return verdict_at(self.p99_ns, self.due, self.unserved)

    @property
    def surely(self) -> WitnessVerdict:
        """What is left of it when the generator's own delay, on the way out and back, is taken off."""
        p99_ns = None if self.p99_ns is None else max(0, self.p99_ns - 2 * self.late_ns)
        return verdict_at(p99_ns, self.due, self.unserved)

    def __str__(self) -> str:
        none = self.p99_ns is None or self.silent * 100 > self.due
        p99 = "no answer" if none else f"witness p99 {duration(self.p99_ns or 0)}"
        return p99 + (f", {self.unserved} of {self.due} not served" if self.unserved else "")


def felt(outcome: Outcome) -> Felt:
    witness = outcome.get(WITNESS) or StreamOutcome(WITNESS)
    late_ns = 0 if outcome.trustworthy else (outcome.lateness.quantile_ns(0.99) or 0)
    p99_ns = witness.latency.quantile_ns(0.99)
    silent = witness.due - witness.answered
    return Felt(witness.due, witness.unserved, p99_ns, silent, late_ns, witness.latency)


def judge(
    outcome: Outcome,
    fault: Fault | None,
    healthy: Phase | None,
    exchanges: Sequence[Exchanges] = (),
    watched: Watched = UNWATCHED,
    doubt: str = "",
) -> tuple[WitnessVerdict, str]:
    """The verdict of a phase and the numbers behind it; `healthy` is the phase it is compared with.

    `doubt`: why the witness can say nothing of this fault, if that is known already.
    """
    now = felt(outcome)
    if (
        doubt := doubt
        or _doubt(now)
        or (_not_met(fault, exchanges) if fault else _never_served(now))
        or _not_run(outcome, now, fault, watched)
    ):
        return WitnessVerdict.NOT_ENOUGH_DATA, doubt
    numbers = [str(now)]
    if fault and healthy is not None:
        before = felt(healthy.outcome)
        if _proves_nothing(now, before):
            said = f"{now}, and {before} when healthy: too little apart to blame the fault"
            bound_ns = _bound_ns(before)
            hurt = (
                f"{now.hurt(bound_ns)} of {now.due} witnesses waited {duration(bound_ns)} or more"
            )
            then = f"{before.hurt(bound_ns)} of {before.due} when healthy"
            return WitnessVerdict.NOT_ENOUGH_DATA, f"{said} ({hurt}, {then})"
        numbers.append(f"{before} when healthy")
    if fault:
        numbers.append(_met(fault, exchanges))
    verdict = now.verdict
    if verdict is WitnessVerdict.ISOLATED and (stalls := stood(watched)):
        verdict, numbers[0] = _with_stood(now, stalls, healthy, watched)
    if dropped := sum(stream.dropped for stream in outcome.streams):
        numbers.append(f"{counted(dropped, 'request')} dropped, for too many were open")
    return verdict, "; ".join(numbers)


def chance_to_miss(calls: int, fault: Fault, exchanges: Sequence[Exchanges]) -> float:
    """That not one of so many calls met the fault, if each used the upstream once.

    What was seen there bounds it: sixty calls that left two exchanges did not all use it.
    """
    seen = _at(fault, exchanges)
    if not seen.hit:
        return 1.0
    thrown = max(seen.thrown, seen.hit)
    return float((1.0 - seen.hit / thrown) ** min(calls, thrown))


def worst(phases: Iterable[Phase]) -> WitnessVerdict:
    """Of the phases that have a fault; of a run without faults, of all.

    Who freezes without a fault cannot be judged under one, and is frozen all the same.
    """
    phases = tuple(phases)
    judged = [each for each in phases if each.fault or frozen_alone(each)] or phases
    return worst_of(phase.verdict for phase in judged)


def _doubt(now: Felt) -> str:
    if now.due < MIN_WITNESSES:
        return (
            f"{counted(now.due, 'witness')} came due, and {MIN_WITNESSES} are needed: "
            "let the phase last longer, or raise the witness's rate"
        )
    if now.late_ns and (now.surely is not now.verdict or now.verdict is WitnessVerdict.ISOLATED):
        return (
            f"the load generator itself was {duration(now.late_ns)} late (p99), and {now}: "
            "lower the rate, or free this machine"
        )
    return ""


def _never_served(now: Felt) -> str:
    return NEVER_SERVED if now.unserved == now.due and not now.silent else ""


def _not_run(outcome: Outcome, now: Felt, fault: Fault | None, watched: Watched) -> str:
    """Why the witness waited, if the process was not run and little is left without that."""
    if now.verdict not in (WitnessVerdict.DEGRADED, WitnessVerdict.FROZEN):
        return ""
    rest = excused(outcome, watched, ISOLATED_BELOW_NS, NOBODYS if fault else NOT_RUN)
    p99_ns = rest.latency.quantile_ns(0.99)
    verdict = verdict_at(p99_ns, rest.due, rest.unserved)
    if not rest.paused_ns or not is_worse(now.verdict, verdict):
        return ""
    left = f"{rest.due} of {now.due} witnesses were due in other seconds"
    if p99_ns is not None:
        left += f", with a p99 of {duration(p99_ns)}"
    return (
        f"{now}, but the process did not run the app for {duration(rest.paused_ns)} ({rest.causes}), and no "
        f"{'fault' if fault else 'call'} explains that; {left}: free this machine, and run it again"
    )


def _with_stood(
    now: Felt, stalls: Sequence[Stall], healthy: Phase | None, watched: Watched
) -> tuple[WitnessVerdict, str]:
    """Calm witnesses, and yet a loop that stood still: another worker answered them."""
    said = f"{now}, but {stood_text(stalls)}"
    seen = (
        replace(watched, stalls=healthy.report.stalls, from_ns=healthy.from_ns)
        if healthy
        else watched
    )
    before = max((s.held_ns for s in stood(seen)), default=0) if healthy else 0
    if max(stall.held_ns for stall in stalls) < _TOLD_APART * before:
        said += f", and for {duration(before)} when healthy: too little apart to blame the fault"
        return WitnessVerdict.NOT_ENOUGH_DATA, said
    return WitnessVerdict.DEGRADED, said


def _proves_nothing(now: Felt, before: Felt) -> bool:
    if now.verdict is WitnessVerdict.ISOLATED:
        return False
    slower = (now.p99_ns or 0) >= _TOLD_APART * (before.p99_ns or 0)
    if not slower and now.unserved <= before.unserved:
        return True
    well = before.verdict is WitnessVerdict.ISOLATED
    if not well and not is_worse(now.verdict, before.verdict):
        return True
    bound_ns = _bound_ns(before)
    return _by_chance(now.hurt(bound_ns), now.due, before.hurt(bound_ns), before.due) > _BY_CHANCE


def _bound_ns(before: Felt) -> int:
    """From where on a witness counts as hurt."""
    well = before.verdict is WitnessVerdict.ISOLATED
    return ISOLATED_BELOW_NS if well else FROZEN_FROM_NS


def _by_chance(now: int, of_now: int, before: int, of_before: int) -> float:
    """That so many of all who were hurt fell into this phase, were both phases the same (Fisher, exact)."""
    all_hurt, everybody = now + before, of_now + of_before
    ways = sum(
        comb(of_now, here) * comb(of_before, all_hurt - here)
        for here in range(now, min(all_hurt, of_now) + 1)
    )
    return ways / comb(everybody, all_hurt)


def _not_met(fault: Fault, exchanges: Sequence[Exchanges]) -> str:
    seen = _at(fault, exchanges)
    if seen.hit:
        return ""
    if not (seen.thrown or seen.exchanges or seen.connections):
        return (
            f"nothing that was asked used {fault.upstream}: name a scenario that does, or the variable that "
            "the app really reads"
        )
    return (
        f"no exchange met the fault, of {_total(fault, seen)} with {fault.upstream}: "
        "raise its probability, the rate or the seconds"
    )


def _met(fault: Fault, exchanges: Sequence[Exchanges]) -> str:
    seen = _at(fault, exchanges)
    return f"{seen.hit} of {_total(fault, seen)} with {fault.upstream} met the fault"


def _total(fault: Fault, seen: Exchanges) -> str:
    return counted(max(seen.thrown, seen.hit), spec_of(fault).per.value)


def _at(fault: Fault, exchanges: Sequence[Exchanges]) -> Exchanges:
    return next(
        (each for each in exchanges if each.upstream == fault.upstream), Exchanges(fault.upstream)
    )
