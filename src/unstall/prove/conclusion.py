"""What the phases of a run come to: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from unstall.model.finding import Finding
from unstall.model.proof import WITNESS, Run, Unexercised
from unstall.model.report import WitnessVerdict
from unstall.prove.evidence import Upstreams, merged
from unstall.prove.verdicts import MISSED_AT_MOST, chance_to_miss, worst
from unstall.report.units import counted
from unstall.triage.thresholds import judge


def concluded(run: Run, source: Iterable[Finding], upstreams: Upstreams) -> Run:
    """With findings, thresholds, verdict and gaps from its phases and from source."""
    gaps = (
        *run.gaps,
        *(f"{phase.name}: {gap}" for phase in run.phases for gap in phase.report.gaps),
        *hardly_tried(run),
        *unwatched(run),
    )
    return replace(
        run,
        findings=merged(run.phases, source, upstreams),
        thresholds=judge(run.plan.thresholds, run.phases),
        verdict=worst(run.phases),
        unexercised=(*run.unexercised, *never_well(run)),
        gaps=tuple(dict.fromkeys(gaps)),
    )


def unwatched(run: Run) -> Iterator[str]:
    """Phases in which no stall could have been seen."""
    blind = [phase.name for phase in run.phases if not phase.report.lag.count]
    if blind:
        where = ", ".join(dict.fromkeys(blind)) if len(blind) < len(run.phases) else "the app"
        yield f"no event loop was watched in {where}: what stood still there was not seen"


def never_well(run: Run) -> Iterator[Unexercised]:
    """Scenarios that were refused even without a fault: whatever is behind them was not tried."""
    healthy = next((phase for phase in run.phases if phase.fault is None), None)
    if healthy is None:
        return
    for scenario in run.plan.scenarios:
        stream = healthy.outcome.get(scenario.name)
        if stream is None or not stream.due or stream.answered_below(400):
            continue
        seen = [f"{count} times {status}" for status, count in stream.statuses.items()]
        seen += [f"{count} times {error} error" for error, count in stream.errors.items()]
        seen += [
            f"{count} without an answer"
            for count in [stream.timed_out + stream.unanswered]
            if count
        ]
        route = f"{scenario.method} {scenario.path}" if not scenario.call else scenario.call
        yield Unexercised(route, f"no request was answered well, even healthy: {', '.join(seen)}")


def hardly_tried(run: Run) -> Iterator[str]:
    """Where a calm phase says little, because what was asked may never have met its fault."""
    for phase in run.phases:
        if phase.fault is None or phase.verdict is not WitnessVerdict.ISOLATED:
            continue
        asked = {s.name: s.answered for s in phase.outcome.streams if s.name != WITNESS and s.due}
        seldom = {
            name: chance
            for name, calls in asked.items()
            if (chance := chance_to_miss(calls, phase.fault, phase.exchanges)) > MISSED_AT_MOST
        }
        if seldom:
            yield (
                f"{phase.name}: {len(seldom)} of {counted(len(asked), 'scenario')} may never have met the "
                f"fault ({max(seldom, key=lambda n: seldom[n])}: a chance of {max(seldom.values()):.0%}), so "
                "that nobody was kept waiting says little of them: raise the probability, the rate or the "
                "seconds"
            )
