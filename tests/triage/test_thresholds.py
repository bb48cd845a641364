"""Thresholds are held against what was measured, and never by what was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unstall.errors import UsageError
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome, StreamOutcome
from unstall.model.plan import Plan, Scenario, Threshold, WitnessPlan
from unstall.model.proof import Phase
from unstall.model.report import Report, Verdict, WitnessVerdict
from unstall.triage.thresholds import LOOPS, STREAMS, check, from_outside, judge, value_of

MS = 1_000_000
BUY = StreamOutcome(
    "buy", due=10, sent=9, dropped=1, timed_out=1, unanswered=1,
    statuses={"200": 3, "404": 1, "503": 2}, errors={"refused": 1},
    latency=Histogram.of(ms * MS for ms in (1, 2, 3, 4, 5, 6, 7, 8, 100)),
    service=Histogram.of([2 * MS] * 6),
)  # fmt: skip
WATCHED = Report("unstall", "app", Verdict.CLEAN, lag=Histogram.of([1 * MS, 7 * MS]))
BLIND = Report("unstall", "app", Verdict.NOT_ENOUGH_DATA)


def phase(name: str = "healthy", report: Report = WATCHED, *streams: StreamOutcome) -> Phase:
    return Phase(
        name, None, Outcome(streams or (BUY,)), report, WitnessVerdict.ISOLATED, "", seconds=4.0
    )


def one(text: str, *phases: Phase) -> list[tuple[bool, float | None]]:
    metric, operator, value = text.split()
    found = judge([Threshold(metric, operator, float(value))], phases or (phase(),))
    return [(each.held, each.value) for each in found]


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("buy.due", 10), ("buy.sent", 9), ("buy.answered", 6), ("buy.dropped", 1),
        ("buy.failed", 1), ("buy.timed_out", 1), ("buy.unanswered", 1), ("buy.errors", 6),
        ("buy.error_rate", 0.6), ("buy.good_rate", 0.4), ("buy.answered_per_s", 1.5),
        ("buy.max_ms", 100), ("buy.mean_ms", 136 / 9), ("loop.stalls", 0), ("loop.lag_max_ms", 7),
    ],
)  # fmt: skip
def test_each_metric_is_what_it_says(metric: str, value: float) -> None:
    assert value_of(metric, phase()) == pytest.approx(value)


def test_errors_and_good_ones_are_all_that_was_due() -> None:
    good, errors = value_of("buy.good_rate", phase()), value_of("buy.error_rate", phase())
    assert good is not None
    assert errors is not None
    assert good + errors == pytest.approx(1)


def test_quantiles_are_in_milliseconds() -> None:
    assert value_of("buy.p50_ms", phase()) == pytest.approx(5, rel=0.02)
    assert value_of("buy.service_p95_ms", phase()) == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize(
    ("text", "held"),
    [("buy.due < 10", False), ("buy.due <= 10", True), ("buy.due == 10", True),
     ("buy.due >= 11", False), ("buy.due > 9", True)],
)  # fmt: skip
def test_each_operator_compares_as_it_is_written(text: str, held: bool) -> None:
    assert one(text) == [(held, 10.0)]


def test_lag_is_that_under_load_where_it_is_known_by_second() -> None:
    seconds = (0, Histogram.of([1 * MS])), (3, Histogram.of([5 * MS]))
    whole = Histogram.of([1 * MS, 5 * MS, 900 * MS])
    watched = replace(phase("healthy", replace(WATCHED, lag=whole)), lag=seconds)
    assert value_of("loop.lag_max_ms", watched) == 5
    assert value_of("loop.lag_max_ms", replace(watched, lag=())) == 900


@pytest.mark.parametrize("text", ["loop.stalls == 0", "loop.lag_p99_ms < 5", "loop.victims == 0"])
def test_a_loop_that_nobody_watched_holds_no_threshold(text: str) -> None:
    assert one(text, phase("healthy", BLIND)) == [(False, None)]


@pytest.mark.parametrize("what", STREAMS)
def test_a_stream_that_was_not_there_or_sent_nothing_holds_no_threshold(what: str) -> None:
    assert one(f"nobody.{what} >= 0") == [(False, None)]
    silent = phase("healthy", WATCHED, StreamOutcome("buy"))
    assert one(f"buy.{what} >= 0", silent) == [(False, None)]


def test_a_threshold_is_for_all_phases_or_for_the_one_it_names() -> None:
    phases = (phase("healthy"), phase("hang A"), replace(phase("hang A"), repeat=1))
    everywhere = judge([Threshold("buy.due", "<", 1)], phases)
    assert [each.phase for each in everywhere] == ["healthy", "hang A", "hang A"]
    there = judge([Threshold("buy.due", "<", 1, "healthy")], phases)
    assert [each.phase for each in there] == ["healthy"]


def test_only_metrics_of_the_loop_need_somebody_inside() -> None:
    inside, outside = Threshold("loop.stalls", "==", 0), Threshold("buy.p95_ms", "<", 1)
    held, told = from_outside([inside, outside])
    assert held == (outside,)
    assert told == (
        "not held to loop.stalls == 0: the app was not started here, so nobody watched its loop",
    )
    assert from_outside([outside]) == ((outside,), ())


FLOW = Scenario("shop", call="loads:shop")
PLAN = Plan(scenarios=(Scenario("buy"), Scenario("v1.look"), FLOW), file="plan.toml")


@pytest.mark.parametrize(
    "metric",
    [*(f"buy.{what}" for what in STREAMS), *(f"loop.{what}" for what in LOOPS),
     "witness.p99_ms", "v1.look.p95_ms", "shop.p50_ms", "shop first step.p50_ms"],
)  # fmt: skip
def test_every_metric_there_is_may_be_asked_for(metric: str) -> None:
    check(replace(PLAN, thresholds=(Threshold(metric, "<", 1),)), ["healthy"])


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        (Threshold("buy.p95", "<", 1), "asks for 'p95'; did you mean 'p95_ms'?"),
        (Threshold("by.p95_ms", "<", 1), "is for 'by'; did you mean 'buy'?"),
        (Threshold("loop.stall", "<", 1), "did you mean 'stalls'?"),
        (Threshold("p95_ms", "<", 1), "write it as in witness.p99_ms"),
        (Threshold("buy step.p95_ms", "<", 1), "is for 'buy step'"),
        (Threshold("buy.p95_ms", "=<", 1), "has '=<'"),
        (Threshold("buy.p95_ms", "<", 1, "hang A"), "is for the phase 'hang A'"),
    ],
)
def test_a_metric_that_there_is_not_is_refused(threshold: Threshold, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        check(replace(PLAN, thresholds=(threshold,)), ["healthy"])
    assert message in str(refused.value)
    assert "in plan.toml" in str(refused.value)


def test_without_a_witness_nothing_can_be_asked_of_it() -> None:
    plan = replace(
        PLAN, witness=WitnessPlan(rate=0), thresholds=(Threshold("witness.due", "<", 1),)
    )
    with pytest.raises(UsageError, match="is for 'witness'"):
        check(plan, ["healthy"])
