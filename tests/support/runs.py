"""Runs as `unstall prove` would bring them home, from a service that is simulated: seeded, without a server.

The service answers after a lognormal time; while its loop is stalled it answers nobody. So latency, witness,
lag and stalls of a phase belong to each other, as they do in a real one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from tests.report.examples import CHARGE as SEEN
from unstall.clock import NS_PER_S
from unstall.explain.victims import distinct_victims
from unstall.model.finding import (
    Evidence,
    Stall,
)
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome, Second, StreamOutcome
from unstall.model.plan import AppPlan, Fault, Plan, Scenario, Stage, Threshold, WitnessPlan
from unstall.model.proof import WITNESS, Exchanges, Judged, Phase, Run, Unexercised
from unstall.model.report import Report, Verdict, WitnessVerdict
from unstall.testing import ns_of, stall
from unstall.triage.verdict import witness_verdict

TOOL = "unstall 0.1.0"
HANG = Fault("BILLING_URL", "hang", seconds=3.0, probability=0.05, bad=1)
SLOW = Fault("REDIS_URL", "latency", attributes={"latency": 40.0, "jitter": 10.0})
PLAN = Plan(
    name="checkout",
    app=AppPlan("uvicorn shop:app --port {port}", ready="/readyz"),
    witness=WitnessPlan("/livez", 20.0),
    scenarios=(
        Scenario("checkout", "POST", "/orders", stages=(Stage(60.0, 12.0),)),
        Scenario("browse", "GET", "/items/${int:1:100}", stages=(Stage(40.0, 12.0),)),
    ),
    faults=(HANG, SLOW),
    thresholds=(Threshold("checkout.p95_ms", "<", 150.0), Threshold("loop.stalls", "==", 0.0)),
    seed=7,
    file="plan.toml",
)
CHARGE = replace(
    SEEN,
    evidence=(
        Evidence("reached"),
        *SEEN.evidence,
        Evidence(
            "proved", count=3, total_ms=9020.0, victims=412, peer="127.0.0.1:9000",
            because="3 stalls up to 3.01 s; witness p99 2.95 s, and witness p99 5.3 ms when healthy",
            fault=HANG.title,
        ),
    ),
)  # fmt: skip
GAP = "3 looks were seen and not kept"
NEVER = Unexercised("DELETE /orders/{id}", "its parameter `id` has no example and no schema")


@dataclass(frozen=True, slots=True)
class Service:
    """What is simulated. Rates per second, times in ms and s."""

    base_ms: float = 12.0
    spread: float = 0.35
    """Sigma of the lognormal time to answer."""
    drift: float = 0.1
    """Sigma of what a whole second is slower or faster by."""
    start: float = 0.05
    """Sigma of what a fresh start changes."""
    failing: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    """Second in the phase, and for how long."""


def stream(name: str, service: Service, rate: float, seconds: int, random: Random) -> StreamOutcome:
    slices, everything, errors = [], [], 0
    slower = math.exp(random.gauss(0, service.start))
    for at in range(seconds):
        factor = slower * math.exp(random.gauss(0, service.drift))
        times = [
            ns_of(
                factor * service.base_ms * math.exp(random.gauss(0, service.spread))
                + 1e3 * _left(at + random.random(), service.stalls)
            )
            for _ in range(_poisson(rate, random))
        ]
        good = sum(random.random() >= service.failing for _ in times)
        errors += len(times) - good
        everything += times
        if times:
            slices.append(Second(at, len(times), good, Histogram.of(times)))
    due = len(everything)
    statuses = {"200": due - errors} | ({"503": errors} if errors else {})
    lateness = Histogram.of([ns_of(0.4)] * due)
    latency = Histogram.of(everything)
    return StreamOutcome(
        name, due, due, statuses=statuses, latency=latency, service=latency, lateness=lateness,
        seconds=tuple(slices),
    )  # fmt: skip


def phase(
    service: Service,
    fault: Fault | None = None,
    *,
    rates: Sequence[tuple[str, float]] = (("checkout", 60.0), ("browse", 40.0)),
    witness: float = 20.0,
    seconds: int = 12,
    seed: int = 1,
    repeat: int = 0,
    from_s: float = 0.0,
) -> Phase:
    random = Random(f"{seed} {fault} {repeat}")
    quick = replace(service, base_ms=2.0, failing=0.0)
    streams = [stream(name, service, rate, seconds, random) for name, rate in rates]
    streams.append(stream(WITNESS, quick, witness, seconds, random))
    seen = streams[-1]
    stalls = tuple(_stall(from_s, *each) for each in service.stalls)
    lag = tuple((at, _lag(at, service.stalls, random)) for at in range(seconds))
    verdict = witness_verdict(seen.latency, seen.due, seen.due - seen.answered)
    p99 = seen.latency.quantile_ns(0.99) or 0
    return Phase(
        name=fault.title if fault else "healthy",
        fault=fault,
        outcome=Outcome(tuple(streams)),
        report=Report(
            TOOL, "uvicorn shop:app", Verdict.FINDINGS if stalls else Verdict.CLEAN,
            findings=(CHARGE,) if stalls else (), stalls=stalls,
            lag=sum((each for _, each in lag), Histogram()),
            coverage={"loops": 1, "requests": 700, "victims": distinct_victims(stalls)},
        ),
        verdict=verdict,
        because=f"the witness waited {p99 / 1e6:.0f} ms at p99",
        from_ns=round(from_s * NS_PER_S),
        seconds=float(seconds),
        lag=lag,
        exchanges=(Exchanges(fault.upstream, 8, 700, 31),) if fault else (),
        repeat=repeat,
    )  # fmt: skip


def run(
    service: Service = Service(),
    faults: Sequence[tuple[Fault, Service]] = (),
    *,
    repeats: int = 1,
    seed: int = 1,
    seconds: int = 12,
    plan: Plan = PLAN,
    rates: Sequence[tuple[str, float]] = (("checkout", 60.0), ("browse", 40.0)),
    witness: float = 20.0,
) -> Run:
    """Healthy first, then one phase for each fault, `repeats` times each."""
    kinds: list[tuple[Fault | None, Service]] = [(None, service), *faults]
    phases = [
        phase(
            each, fault, rates=rates, witness=witness, seconds=seconds, seed=seed,
            repeat=repeat, from_s=100 + number * (seconds + 5.0),
        )
        for number, (fault, each, repeat) in enumerate(
            (fault, each, repeat) for fault, each in kinds for repeat in range(repeats)
        )
    ]  # fmt: skip
    judged = [each for each in phases if each.fault] or phases
    return Run(
        tool=TOOL,
        target="shop:app",
        plan=plan,
        started="2026-11-21T15:00:00Z",
        phases=tuple(phases),
        findings=(CHARGE,) if any(each.report.stalls for each in phases) else (),
        verdict=max((each.verdict for each in judged), key=_WORST.index),
        machine={"processors": "2", "python": "3.11.7", "system": "Linux 6.1"},
    )


_WORST = (
    WitnessVerdict.ISOLATED,
    WitnessVerdict.NOT_ENOUGH_DATA,
    WitnessVerdict.DEGRADED,
    WitnessVerdict.FROZEN,
)


def frozen() -> Run:
    """Three phases: healthy, one that freezes everybody, and one that nobody feels."""
    stalls = ((2.2, 3.0), (5.4, 3.01), (9.0, 2.4))
    made = run(
        faults=((HANG, Service(base_ms=14.0, failing=0.02, stalls=stalls)), (SLOW, Service(18.0)))
    )
    return replace(
        made,
        thresholds=(
            Judged("checkout.p95_ms < 150", "healthy", 31.2, True),
            Judged("checkout.p95_ms < 150", HANG.title, 2817.0, False),
            Judged("checkout.p95_ms < 150", SLOW.title, 43.0, True),
            Judged("loop.stalls == 0", HANG.title, 3.0, False),
            Judged("pool.wait_p99_ms < 5", SLOW.title, None, False),
        ),
        unexercised=(NEVER,),
        gaps=(GAP,),
    )


def calm() -> Run:
    """The same after it was mended."""
    made = run(faults=((HANG, Service(base_ms=14.0)), (SLOW, Service(18.0))), seed=2)
    return replace(made, thresholds=(Judged("loop.stalls == 0", HANG.title, 0.0, True),))


def _left(at_s: float, stalls: Sequence[tuple[float, float]]) -> float:
    """Seconds until the stall that goes on at `at_s` is over."""
    return max(
        (start + held - at_s for start, held in stalls if start <= at_s < start + held), default=0.0
    )


def _stall(from_s: float, at_s: float, held_s: float) -> Stall:
    made = stall(
        held_ms=held_s * 1e3, peer="127.0.0.1:9000", syscall="poll", served_before=round(at_s * 100),
        waiting_in_flight=4, at_door=round(held_s * 40),
    )  # fmt: skip
    from_ns = round((from_s + at_s) * NS_PER_S)
    return replace(made, from_ns=from_ns, until_ns=from_ns + round(held_s * NS_PER_S))


def _lag(at: int, stalls: Sequence[tuple[float, float]], random: Random) -> Histogram:
    beats = [(at + n / 50, random.gammavariate(2, 0.4)) for n in range(50)]
    return Histogram.of(ns_of(quiet + 1e3 * _left(when, stalls)) for when, quiet in beats)


def _poisson(mean: float, random: Random) -> int:
    """By the gaps between arrivals."""
    count, at = 0, random.expovariate(mean)
    while at < 1.0:
        count += 1
        at += random.expovariate(mean)
    return count
