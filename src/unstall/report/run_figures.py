"""The figures of a run that every format shows: a phase with all its repeats is one row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from unstall.explain.victims import distinct_victims
from unstall.model.finding import Finding, Stall, is_proved
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome, StreamOutcome
from unstall.model.plan import Fault
from unstall.model.proof import WITNESS, Judged, Phase, Run
from unstall.model.report import WitnessVerdict
from unstall.report.units import counted, milliseconds
from unstall.triage.gate import missed, unmeasured
from unstall.triage.regression import Change, regressions
from unstall.triage.secrets import in_text
from unstall.triage.verdict import frozen_alone, verdict_at, worst_of


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """One kind of request in a phase; quantiles in ms, None of nothing."""

    name: str
    due: int
    answered: int
    errors: int
    """Of those that were sent: failed, given up, never answered, or answered with 500 and above."""
    dropped: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    statuses: tuple[tuple[str, int], ...] = ()
    """And what broke, by kind."""


@dataclass(frozen=True, slots=True)
class PhaseFigures:
    """A phase over all its repeats."""

    name: str
    fault: str
    """What was ill, in words; empty of a healthy phase."""
    repeats: int
    streams: tuple[StreamFigures, ...]
    witness: StreamFigures | None
    watched: bool
    """Somebody watched the app's loops; else there are no stalls and victims to tell of."""
    lag_p99_ms: float | None
    stalls: int
    stalled_ms: float
    victims: int
    victims_at_least: bool
    late_ms: float | None
    """How late the generator itself was, at p99, if that was too late; None: it was on time."""
    verdict: WitnessVerdict
    because: str
    """Of the repeat with that verdict."""
    agreed: int
    """Repeats with that verdict."""
    seconds: float


def figures_of(run: Run) -> tuple[PhaseFigures, ...]:
    """In the order of the run."""
    return tuple(map(_figures, grouped(run.phases)))


def grouped(phases: Iterable[Phase]) -> list[list[Phase]]:
    """Repeats of a phase together, in the order of first appearance."""
    groups: dict[str, list[Phase]] = {}
    for phase in phases:
        groups.setdefault(phase.name, []).append(phase)
    return list(groups.values())


def fault_of(fault: Fault | None) -> str:
    """`hang BILLING_URL: 3 s, 5 % of exchanges, 1 bad address`"""
    if fault is None:
        return ""
    details = ", ".join(_details(fault))
    return f"{fault.kind} {fault.upstream}{f': {details}' if details else ''}"


def _details(fault: Fault) -> Iterator[str]:
    if fault.seconds is not None:
        yield f"{fault.seconds:g} s"
    for key, value in fault.attributes.items():
        yield f"{key} {value:g}"
    if fault.probability < 1:
        yield f"{fault.probability * 100:g} % of {fault.per}s"
    if fault.bad:
        yield counted(fault.bad, "bad address")
    if fault.after:
        yield f"from {fault.after:g} s"
    if fault.until is not None:
        yield f"until {fault.until:g} s"


def headline(run: Run) -> str:
    """The verdict, and what it rests on."""
    faults = [each for each in figures_of(run) if each.fault]
    of = f"{in_text(run.target)}{' (interrupted)' if run.interrupted else ''}"
    if run.verdict is WitnessVerdict.NOT_ENOUGH_DATA:
        return f"{run.verdict}: too little was seen of {of} to judge"
    felt = [each for each in faults if each.verdict is run.verdict]
    if not faults:
        return f"{run.verdict}: {_WITHOUT_FAULT[run.verdict]} {of}"
    if any(map(frozen_alone, run.phases)):
        return f"{run.verdict}: bystanders of {of} were frozen even without a fault"
    if run.verdict is WitnessVerdict.ISOLATED:
        subject = "the one fault was" if len(faults) == 1 else f"none of {len(faults)} faults was"
        negated = "not " if len(faults) == 1 else ""
        return f"{run.verdict}: {subject} {negated}felt by bystanders of {of}"
    number = (
        "the one fault" if len(faults) == 1 else f"{len(felt)} of {counted(len(faults), 'fault')}"
    )
    did = "held a loop of" if all(map(_witness_is_calm, felt)) else _DID[run.verdict]
    return f"{run.verdict}: {number} {did} {of}"


_WITHOUT_FAULT = {
    WitnessVerdict.FROZEN: "load alone froze bystanders of",
    WitnessVerdict.DEGRADED: "load alone slowed bystanders of",
    WitnessVerdict.ISOLATED: "load alone was not felt by bystanders of",
}
_DID = {
    WitnessVerdict.FROZEN: "froze bystanders of",
    WitnessVerdict.DEGRADED: "slowed bystanders of",
}


def _witness_is_calm(phase: PhaseFigures) -> bool:
    """Another worker may answer for a loop that stands still."""
    seen = phase.witness
    p99_ns = None if seen is None or seen.p99_ms is None else int(seen.p99_ms * 1e6)
    return seen is not None and verdict_at(p99_ns, seen.due, seen.errors) is WitnessVerdict.ISOLATED


def gate_line(run: Run, changes: Sequence[Change] = ()) -> str:
    """`2 of 5 thresholds missed, 1 regression`; empty if there was nothing to hold."""
    said = []
    if run.thresholds:
        total = counted(len(run.thresholds), "threshold")
        if bad := missed(run):
            said.append(f"{len(bad)} of {total} missed")
        elif not unmeasured(run):
            said.append(f"{total} held")
        if unknown := unmeasured(run):
            said.append(f"{len(unknown)} could not be measured")
    if changes:
        number = len(regressions(changes))
        said.append(counted(number, "regression") if number else "no regression")
    return ", ".join(said)


def judged_line(judged: Judged) -> str:
    """`checkout.p95_ms < 150 in hang BILLING_URL: 2817`"""
    where = f" in {judged.phase}" if judged.phase else ""
    value = "there was nothing to measure it by" if judged.value is None else f"{judged.value:g}"
    return f"{judged.text}{where}: {value}"


def judged_word(judged: Judged) -> str:
    return "unknown" if judged.value is None else "held" if judged.held else "missed"


def change_values(change: Change) -> str:
    """`12 ms to 24 ms`"""
    return " to ".join(change_value(change, each) for each in (change.before, change.after))


def change_value(change: Change, value: float | None) -> str:
    if value is None:
        return "-"
    if change.is_time:
        return milliseconds(value)
    return f"{value * 100:.1f} %" if change.is_share else f"{value:.1f}"


def culprits(run: Run, most: int | None = None) -> tuple[Finding, ...]:
    """Proved ones, then what was measured; what was only read in source is the audit's to tell."""
    seen = [
        each
        for each in run.findings
        if any(evidence.kind in ("proved", "measured") for evidence in each.evidence)
    ]
    return tuple(sorted(seen, key=lambda each: not is_proved(each))[:most])


def no_harm(run: Run) -> list[Finding]:
    """Calls that were seen on the loop, and stalled nobody yet."""
    seen = culprits(run)
    return [each for each in run.findings if each.latent and each not in seen]


def witness_text(phase: PhaseFigures) -> str:
    """Its 99th percentile; in latencies who got no answer stands with a time-out that nobody measured."""
    witness = phase.witness
    if witness and (witness.due - witness.answered) * 100 > witness.due:
        return "no answer"
    return time_of(witness.p99_ms if witness else None)


def stalls_text(phase: PhaseFigures) -> str:
    return str(phase.stalls) if phase.watched else "-"


def victims_text(phase: PhaseFigures) -> str:
    """`12+` if there were more than could be counted."""
    return f"{phase.victims}{'+' if phase.victims_at_least else ''}" if phase.watched else "-"


def because_text(phase: PhaseFigures) -> str:
    late = phase.late_ms
    said = f"the load generator was up to {milliseconds(late)} late itself (p99)" if late else ""
    return "; ".join(part for part in (phase.because, said) if part)


def time_of(ms: float | None) -> str:
    return "-" if ms is None else milliseconds(ms)


# --- from the run -------------------------------------------------------------------------------


def _figures(repeats: Sequence[Phase]) -> PhaseFigures:
    first = repeats[0]
    worst = worst_of(each.verdict for each in repeats)
    agreeing = [each for each in repeats if each.verdict is worst]
    outcome = reduce(Outcome.__add__, (each.outcome for each in repeats))
    streams = {each.name: _stream(each) for each in outcome.streams}
    witness = streams.pop(WITNESS, None)
    stalls = [stall for each in repeats for stall in each.report.stalls]
    return PhaseFigures(
        name=first.name,
        fault=fault_of(first.fault),
        repeats=len(repeats),
        streams=tuple(streams.values()),
        witness=witness,
        watched=any(each.report.lag.count for each in repeats),
        lag_p99_ms=_ms(sum((each.lag_under_load for each in repeats), Histogram()), 0.99),
        stalls=len(stalls),
        stalled_ms=sum(stall.held_ns for stall in stalls) / 1e6,
        victims=sum(_victims(each) for each in repeats),
        victims_at_least=any(stall.at_least for stall in stalls),
        late_ms=None if outcome.trustworthy else _ms(outcome.lateness, 0.99),
        verdict=worst,
        because=agreeing[0].because,
        agreed=len(agreeing),
        seconds=sum(each.seconds for each in repeats),
    )


def _stream(stream: StreamOutcome) -> StreamFigures:
    broken = {
        "given up": stream.timed_out,
        "unanswered": stream.unanswered,
        "dropped": stream.dropped,
    }
    return StreamFigures(
        name=stream.name,
        due=stream.due,
        answered=stream.answered,
        errors=stream.unserved,
        dropped=stream.dropped,
        p50_ms=_ms(stream.latency, 0.5),
        p95_ms=_ms(stream.latency, 0.95),
        p99_ms=_ms(stream.latency, 0.99),
        statuses=tuple(_some(stream.statuses, stream.errors, broken)),
    )


def _some(*counts: dict[str, int]) -> Iterator[tuple[str, int]]:
    for each in counts:
        yield from ((key, number) for key, number in sorted(each.items()) if number)


def _victims(phase: Phase) -> int:
    return phase.report.coverage.get("victims", distinct_victims(phase.report.stalls))


def _ms(durations: Histogram, q: float) -> float | None:
    ns = durations.quantile_ns(q)
    return None if ns is None else ns / 1e6


def stalls_of(phases: Iterable[Phase]) -> list[tuple[Phase, Stall]]:
    """The longest first."""
    seen = [(phase, stall) for phase in phases for stall in phase.report.stalls]
    return sorted(seen, key=lambda each: -each[1].held_ns)
