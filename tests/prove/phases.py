"""Phases of a run, built in few words. Times are in milliseconds after the phase began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unstall.explain.findings import findings_of
from unstall.model.cost import EntryCost, PieceCost
from unstall.model.finding import Finding, Site, Stall
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome, Second, StreamOutcome
from unstall.model.plan import Fault
from unstall.model.proof import WITNESS, Exchanges, Phase
from unstall.model.report import Report, Verdict
from unstall.prove.verdicts import judge
from unstall.testing import ns_of, site, stall

BEGAN_MS = 5_000.0
HANG = Fault("BILLING_URL", "hang", seconds=1, probability=0.05)
HIT = Exchanges("BILLING_URL", connections=3, exchanges=500, hit=24, thrown=500)
MISSED = replace(HIT, hit=0)
UPSTREAMS = {"BILLING_URL": ("10.0.0.9:443",), "DATABASE_URL": ("10.0.0.5:5432",)}


def witness(
    *waits_ms: float, status: int = 200, unanswered: int = 0, late_ms: float = 0, dropped: int = 0
) -> Outcome:
    """Ten witnesses a second that waited so long each; those without an answer waited a minute."""
    waits = [*waits_ms, *[60_000.0] * unanswered]
    answered = len(waits_ms)

    def good(first: int, number: int) -> int:
        return max(0, min(number, answered - first)) if status < 500 else 0

    seconds = [
        Second(at, len(part), good(at * 10, len(part)), Histogram.of([ns_of(ms) for ms in part]))
        for at in range(-(-len(waits) // 10))
        if (part := waits[at * 10 : at * 10 + 10])
    ]
    return Outcome(
        (
            StreamOutcome(
                WITNESS,
                due=len(waits) + dropped,
                sent=len(waits),
                dropped=dropped,
                unanswered=unanswered,
                statuses={str(status): answered} if answered else {},
                latency=Histogram.of([ns_of(ms) for ms in waits]),
                lateness=Histogram.of([ns_of(late_ms)] * len(waits)),
                seconds=tuple(seconds),
            ),
        )
    )


CALM = witness(*[2.0] * 50)


def held(
    from_ms: float, held_ms: float, *, at: Site | None = None, peer: str | None = "10.0.0.9:443",
    victims: int = 3, number: int = 0,
) -> Stall:  # fmt: skip
    """A stall in the phase; `number`: requests served before it, so that victims are told apart."""
    made = stall(
        held_ms=held_ms, at=at or site(), peer=peer, at_door=victims, served_before=1 + 10 * number
    )
    begin = ns_of(BEGAN_MS + from_ms)
    return replace(made, from_ns=begin, until_ns=begin + ns_of(held_ms))


def report(
    stalls: Sequence[Stall] = (), more: Sequence[Finding] = (), asked: dict[str, int] | None = None
) -> Report:
    entries = tuple(
        EntryCost(
            name, calls, Histogram(), 0, 0, pieces=(PieceCost("endpoint", "f", 1, calls, 0, 0, 0),)
        )
        for name, calls in (asked or {}).items()
    )
    found = (*findings_of(stalls), *more)
    return Report("t", "t", Verdict.CLEAN, findings=found, stalls=tuple(stalls), entries=entries)


def healthy(outcome: Outcome = CALM, seen: Report | None = None) -> Phase:
    verdict, because = judge(outcome, None, None)
    return Phase(
        "healthy",
        None,
        outcome,
        seen or report(),
        verdict,
        because,
        from_ns=ns_of(BEGAN_MS),
        seconds=5,
    )


def ill(
    outcome: Outcome,
    seen: Report | None = None,
    *,
    before: Phase | None = None,
    fault: Fault = HANG,
    exchanges: Exchanges = HIT,
) -> Phase:
    verdict, because = judge(outcome, fault, before, (exchanges,))
    return Phase(
        fault.title, fault, outcome, seen or report(), verdict, because,
        from_ns=ns_of(BEGAN_MS), seconds=5, exchanges=(exchanges,),
    )  # fmt: skip
