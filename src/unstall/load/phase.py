"""What a load came to, as the phase of a run: what others understand, compare and keep."""

from __future__ import annotations

from collections.abc import Iterable

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.load.scenarios import Loaded
from unstall.model.histogram import Histogram
from unstall.model.observation import Pulse
from unstall.model.outcome import LATENESS_BOUND_NS, Outcome, StreamOutcome
from unstall.model.proof import HEALTHY, WITNESS, Phase
from unstall.model.report import Report, Verdict, WitnessVerdict
from unstall.triage.verdict import MIN_WITNESSES, witness_verdict
from unstall.version import TOOL

NEVER_SERVED = (
    "each answer to the witness was one of 500 or more, so it can tell of nobody: "
    "give it a path that is served"
)


def phase_of(
    loaded: Loaded, report: Report, repeat: int = 0, pulses: Iterable[Pulse] = (), ended: str = ""
) -> Phase:
    """`ended` is that of the phase: then nobody was frozen by a load."""
    verdict, because = felt_of(loaded.outcome, ended)
    return Phase(
        name=HEALTHY,
        fault=None,
        outcome=loaded.outcome,
        report=report,
        verdict=verdict,
        because=because,
        ended=ended,
        from_ns=loaded.from_ns,
        seconds=loaded.seconds,
        lag=lag_by_second(pulses, loaded.from_ns),
        repeat=repeat,
    )


def lag_by_second(pulses: Iterable[Pulse], from_ns: int) -> tuple[tuple[int, Histogram], ...]:
    """Loop lag of all loops together, by the second of the phase in which a pulse began."""
    seconds: dict[int, Histogram] = {}
    for pulse in pulses:
        at = (pulse.from_ns - from_ns) // NS_PER_S
        if at >= 0:
            seconds[at] = seconds.get(at, Histogram()) + pulse.lag
    return tuple(sorted(seconds.items()))


def unwatched(target: str) -> Report:
    """Of an app that runs already, of which only answers are seen."""
    return Report(TOOL, target, Verdict.NOT_ENOUGH_DATA)


def felt_of(outcome: Outcome, ended: str) -> tuple[WitnessVerdict, str]:
    """As `felt`; an app that ended while it was asked has frozen nobody."""
    return (WitnessVerdict.NOT_ENOUGH_DATA, ended) if ended else felt(outcome)


def felt(outcome: Outcome) -> tuple[WitnessVerdict, str]:
    """What bystanders felt, and the numbers behind it."""
    if not outcome.trustworthy:
        return WitnessVerdict.NOT_ENOUGH_DATA, lateness_of(outcome)
    witness = outcome.get(WITNESS)
    if witness is None or not witness.due:
        return WitnessVerdict.NOT_ENOUGH_DATA, "there was no witness"
    if witness.due < MIN_WITNESSES:
        few = f"{witness.due} requests of the witness say too little: {MIN_WITNESSES} are needed"
        return WitnessVerdict.NOT_ENOUGH_DATA, few
    if witness.unserved == witness.answered == witness.due:
        return WitnessVerdict.NOT_ENOUGH_DATA, NEVER_SERVED
    return witness_verdict(witness.latency, witness.due, witness.unserved), _witnessed(witness)


def lateness_of(outcome: Outcome) -> str:
    """Whose fault it is when requests left late: the generator's."""
    p99 = outcome.lateness.quantile_ns(0.99)
    if p99 is None:
        return "no request was sent"
    return (
        f"one in a hundred requests left {p99 / NS_PER_MS:.0f} ms late or more, "
        f"beyond the {LATENESS_BOUND_NS // NS_PER_MS} ms that are allowed to a generator"
    )


def _witnessed(witness: StreamOutcome) -> str:
    """A time-out is no time that anybody measured; an answer of 500 and more serves nobody."""
    p99 = witness.latency.quantile_ns(0.99) or 0
    lost = witness.due - witness.answered
    waited = f"the witness waited {p99 / NS_PER_MS:.1f} ms at p99, and "
    said = f"{lost} of {witness.due} of its requests got no answer"
    refused = witness.answered - witness.served
    more = f", {refused} one of 500 or more" if refused else ""
    return ("" if lost * 100 > witness.due else waited) + said + more
