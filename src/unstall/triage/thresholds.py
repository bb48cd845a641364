"""Thresholds of a plan, held against what was measured.

A metric is `SUBJECT.WHAT`: the subject is a scenario, `witness` or `loop`. What there was nothing to measure
by has no value, and then the threshold is not held: a gate must not open because nobody looked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

from unstall.clock import NS_PER_MS
from unstall.errors import UsageError
from unstall.explain.victims import distinct_victims
from unstall.model.histogram import Histogram
from unstall.model.outcome import StreamOutcome
from unstall.model.plan import Plan, Threshold
from unstall.model.proof import WITNESS, Judged, Phase

LOOP = "loop"

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


def judge(thresholds: Iterable[Threshold], phases: Sequence[Phase]) -> tuple[Judged, ...]:
    """One answer for each threshold and each phase that it is for."""
    return tuple(
        _judged(threshold, phase)
        for threshold in thresholds
        for phase in phases
        if threshold.phase in ("", phase.name)
    )


def check(plan: Plan, phases: Iterable[str]) -> None:
    """Raises UsageError for a threshold on a metric, a scenario or a phase that there is not."""
    phases = tuple(phases)
    calls = tuple(f"{each.name} " for each in plan.scenarios if each.call)
    subjects = {LOOP: LOOPS, **dict.fromkeys([each.name for each in plan.scenarios], STREAMS)}
    if plan.witness.rate:
        subjects[WITNESS] = STREAMS
    for threshold in plan.thresholds:
        where = f"threshold {threshold.metric!r}" + (f" in {plan.file}" if plan.file else "")
        subject, dot, what = threshold.metric.rpartition(".")
        if not dot:
            raise UsageError(f"{where} names no metric: write it as in witness.p99_ms")
        if subject not in subjects and not (calls and subject.startswith(calls)):
            raise UsageError(f"{where} is for {subject!r}; {_near(subject, subjects)}")
        metrics = subjects.get(subject, STREAMS)
        if what not in metrics:
            raise UsageError(f"{where} asks for {what!r}; {_near(what, metrics)}")
        if threshold.operator not in OPERATORS:
            raise UsageError(f"{where} has {threshold.operator!r}; {_near('', OPERATORS)}")
        if threshold.phase and threshold.phase not in phases:
            raise UsageError(
                f"{where} is for the phase {threshold.phase!r}; {_near(threshold.phase, phases)}"
            )


def from_outside(thresholds: Iterable[Threshold]) -> tuple[tuple[Threshold, ...], tuple[str, ...]]:
    """Those that can be held where nobody watches the app's loop, and a sentence about the others."""
    asked = tuple(thresholds)
    inside = [each for each in asked if each.metric.rpartition(".")[0] == LOOP]
    if not inside:
        return asked, ()
    told = ", ".join(map(str, inside))
    return tuple(each for each in asked if each not in inside), (
        f"not held to {told}: the app was not started here, so nobody watched its loop",
    )


def _judged(threshold: Threshold, phase: Phase) -> Judged:
    value = value_of(threshold.metric, phase)
    held = value is not None and OPERATORS[threshold.operator](value, threshold.value)
    return Judged(str(threshold), phase.name, value, held)


def value_of(metric: str, phase: Phase) -> float | None:
    """None: nothing was measured that could tell."""
    subject, _, what = metric.rpartition(".")
    if subject == LOOP:
        return LOOPS[what](phase)
    stream = phase.outcome.get(subject)
    return None if stream is None else STREAMS[what](stream, phase.seconds)


def _near(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"


Stream = Callable[[StreamOutcome, float], float | None]
"""From a stream and the seconds of load."""


def _quantile(which: str, q: float) -> Stream:
    def value(stream: StreamOutcome, seconds: float) -> float | None:
        return _ms(getattr(stream, which), q)

    return value


def _ms(histogram: Histogram, q: float) -> float | None:
    ns = histogram.quantile_ns(q)
    return None if ns is None else ns / NS_PER_MS


def _count(which: str) -> Stream:
    return lambda stream, seconds: float(getattr(stream, which)) if stream.due else None


def _mean_ms(stream: StreamOutcome, seconds: float) -> float | None:
    latency = stream.latency
    return latency.sum_ns / latency.count / NS_PER_MS if latency.count else None


def _share(which: str) -> Stream:
    return lambda stream, seconds: getattr(stream, which) / stream.due if stream.due else None


def _rate(stream: StreamOutcome, seconds: float) -> float | None:
    return stream.answered / seconds if stream.due and seconds > 0 else None


STREAMS: Mapping[str, Stream] = {
    "p50_ms": _quantile("latency", 0.5),
    "p90_ms": _quantile("latency", 0.9),
    "p95_ms": _quantile("latency", 0.95),
    "p99_ms": _quantile("latency", 0.99),
    "p999_ms": _quantile("latency", 0.999),
    "max_ms": _quantile("latency", 1.0),
    "mean_ms": _mean_ms,
    "service_p50_ms": _quantile("service", 0.5),
    "service_p95_ms": _quantile("service", 0.95),
    "service_p99_ms": _quantile("service", 0.99),
    "due": _count("due"),
    "sent": _count("sent"),
    "answered": _count("answered"),
    "dropped": _count("dropped"),
    "failed": _count("failed"),
    "timed_out": _count("timed_out"),
    "unanswered": _count("unanswered"),
    "errors": _count("unserved"),
    "error_rate": _share("unserved"),
    "good_rate": _share("served"),
    "answered_per_s": _rate,
}
"""What can be asked of a scenario and of the witness. Latency counts from when a request was due."""


Loop = Callable[[Phase], float | None]


def _watched(value: Callable[[Phase], float]) -> Loop:
    """Where nobody watched, that nothing was seen means nothing."""
    return lambda phase: value(phase) if phase.report.lag.count else None


def _longest_ms(phase: Phase) -> float:
    return max((stall.held_ns for stall in phase.report.stalls), default=0) / NS_PER_MS


LOOPS: Mapping[str, Loop] = {
    "stalls": _watched(lambda phase: float(len(phase.report.stalls))),
    "findings": _watched(lambda phase: float(len(phase.report.findings))),
    "victims": _watched(lambda phase: float(distinct_victims(phase.report.stalls))),
    "stall_max_ms": _watched(_longest_ms),
    "lag_p50_ms": lambda phase: _ms(phase.lag_under_load, 0.5),
    "lag_p99_ms": lambda phase: _ms(phase.lag_under_load, 0.99),
    "lag_max_ms": lambda phase: _ms(phase.lag_under_load, 1.0),
}
"""What can be asked of the app's event loops, where they are watched."""
