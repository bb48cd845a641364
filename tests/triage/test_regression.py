"""A run against the one before: what is named, and what noise must not turn into news."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.support.runs import HANG, PLAN, SLOW, Service, run
from unstall.errors import UsageError
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome
from unstall.model.plan import AppPlan, Plan, Scenario, Stage, WitnessPlan
from unstall.model.proof import Run
from unstall.triage.regression import FALSE_ALARMS, Change, Direction, compare, regressions
from unstall.triage.same_plan import cautions, differences

ONE = (("checkout", 50.0),)


def short(
    service: Service, seed: int, repeats: int = 3, seconds: int = 6, *, fault: Service | None = None
) -> Run:
    faults = ((HANG, fault),) if fault else ()
    return run(
        service, faults, repeats=repeats, seed=seed, seconds=seconds, rates=ONE, witness=10.0
    )


def named(changes: tuple[Change, ...], metric: str, phase: str = "healthy") -> Change:
    (found,) = [each for each in changes if (each.phase, each.metric) == (phase, metric)]
    return found


def test_twice_the_latency_is_found_and_told_with_its_interval() -> None:
    changes = compare(short(Service(12.0), 1, 5, 12), short(Service(24.0), 2, 5, 12))
    for metric in ("checkout.p50_ms", "checkout.p95_ms"):
        change = named(changes, metric)
        assert change.direction is Direction.REGRESSION
        assert change.low is not None
        assert change.high is not None
        assert 0 < change.low < 1.0 < change.high
        assert not change.weaker
    assert named(changes, "checkout.p50_ms").because.startswith("+")
    assert named(changes, "loop.stalls").direction is Direction.SAME


def test_half_the_latency_is_an_improvement_and_fails_nothing() -> None:
    changes = compare(short(Service(24.0), 1, 5, 12), short(Service(12.0), 2, 5, 12))
    assert named(changes, "checkout.p50_ms").direction is Direction.IMPROVEMENT
    assert regressions(changes) == ()


@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0.0, 0.1]))
@examples(max_examples=8)
def test_a_run_is_no_worse_than_itself(seed: int, repeats: int, failing: float) -> None:
    same = short(Service(failing=failing), seed, repeats, fault=Service(stalls=((1.0, 2.0),)))
    assert {each.direction for each in compare(same, same)} <= {Direction.SAME, Direction.UNKNOWN}


@pytest.mark.slow
@pytest.mark.parametrize(
    "restless",
    [Service(drift=0.25, start=0.05, failing=0.02), Service(drift=0.02, start=0.25)],
    ids=["from second to second", "from start to start"],
)
def test_noise_is_news_at_most_as_often_as_is_stated(restless: Service) -> None:
    """30 comparisons of a service with itself."""
    alarms = sum(
        bool(regressions(compare(short(restless, 2 * n), short(restless, 2 * n + 1), seed=n)))
        for n in range(30)
    )
    assert alarms <= 30 * FALSE_ALARMS


def test_new_stalls_and_what_they_do_to_the_witness_are_found() -> None:
    before = run(repeats=4, rates=ONE)
    after = run(
        Service(stalls=((1.0, 0.6), (4.0, 0.5), (7.0, 0.7), (10.0, 0.6))),
        repeats=4,
        rates=ONE,
        seed=9,
    )
    changes = compare(before, after)
    assert named(changes, "loop.stalls").direction is Direction.REGRESSION
    assert named(changes, "loop.lag_p99_ms").direction is Direction.REGRESSION
    assert named(changes, "witness.p99_ms").direction is Direction.REGRESSION


def test_one_stall_more_in_one_of_three_repeats_is_chance() -> None:
    before, after = run(repeats=3, rates=ONE), run(repeats=3, rates=ONE, seed=9)
    stalls = short(Service(stalls=((1.0, 0.3),)), 1).phases[0].report.stalls
    lucky = replace(after.phases[1], report=replace(after.phases[1].report, stalls=stalls))
    changes = compare(before, replace(after, phases=(after.phases[0], lucky, after.phases[2])))
    assert named(changes, "loop.stalls").direction is Direction.SAME


def test_errors_that_were_not_there_before_are_found() -> None:
    changes = compare(short(Service(), 1, 4, 12), short(Service(failing=0.1), 2, 4, 12))
    change = named(changes, "checkout.error_rate")
    assert change.direction is Direction.REGRESSION
    assert change.before == 0.0
    assert change.after == pytest.approx(0.1, abs=0.03)
    assert "points" in change.because


def test_one_repeat_alone_is_compared_by_its_seconds_and_said_to_be_weaker() -> None:
    changes = compare(short(Service(12.0), 1, 1, 30), short(Service(36.0), 2, 1, 30))
    change = named(changes, "checkout.p50_ms")
    assert change.direction is Direction.REGRESSION
    assert change.weaker
    assert "from one repeat alone" in change.because


def test_one_repeat_alone_needs_a_larger_change() -> None:
    steady = Service(12.0, spread=0.01, drift=0.001, start=0.0)
    slower = replace(steady, base_ms=15.0)
    alone = compare(short(steady, 1, 1, 30), short(slower, 2, 1, 30))
    repeated = compare(short(steady, 1, 3, 30), short(slower, 2, 3, 30))
    assert named(alone, "checkout.p50_ms").direction is Direction.SAME
    assert named(repeated, "checkout.p50_ms").direction is Direction.REGRESSION


def test_too_few_requests_or_seconds_are_said_and_fail_nothing() -> None:
    few = compare(short(Service(), 1, 1, 3), short(Service(99.0), 2, 1, 3))
    assert regressions(few) == ()
    assert "are too few for a p99: 500 are needed" in named(few, "checkout.p99_ms").because
    assert "repeat the phases" in named(few, "checkout.p50_ms").because
    assert named(few, "checkout.p50_ms").direction is Direction.UNKNOWN


def test_what_is_a_few_percent_slower_every_time_does_not_matter() -> None:
    steady = Service(50.0, spread=0.01, drift=0.0, start=0.0)
    changes = compare(short(steady, 1), short(replace(steady, base_ms=53.0), 2))
    assert named(changes, "checkout.p50_ms").direction is Direction.SAME


def test_a_generator_that_was_late_is_no_witness_against_the_service() -> None:
    after = short(Service(99.0), 2)
    (first, *rest) = after.phases
    streams = [
        replace(each, lateness=Histogram.of([80_000_000] * 50)) for each in first.outcome.streams
    ]
    late = replace(after, phases=(replace(first, outcome=Outcome(tuple(streams))), *rest))
    change = named(compare(short(Service(), 1), late), "checkout.p50_ms")
    assert change.direction is Direction.UNKNOWN
    assert "the generator itself was late" in change.because


def test_lag_by_second_may_be_missing() -> None:
    one, other = (
        replace(made, phases=tuple(replace(phase, lag=()) for phase in made.phases))
        for made in (short(Service(), 1), short(Service(), 2))
    )
    assert named(compare(one, other), "loop.lag_p99_ms").direction is Direction.SAME


def test_a_phase_that_did_not_run_is_said() -> None:
    whole, cut = short(Service(), 1, fault=Service()), short(Service(), 2)
    changes = compare(whole, cut)
    change = named(changes, "phase", HANG.title)
    assert change.direction is Direction.UNKNOWN
    assert change.because == "it did not run in the run after"


# --- the same plan --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (
            replace(PLAN, scenarios=PLAN.scenarios[:1]),
            "scenario 'browse' is only in the run before",
        ),
        (
            replace(PLAN, scenarios=(replace(PLAN.scenarios[0], method="PUT"), PLAN.scenarios[1])),
            "method of scenario 'checkout' was 'POST' and is 'PUT'",
        ),
        (replace(PLAN, faults=(HANG,)), "fault 'latency REDIS_URL' is only in the run before"),
        (
            replace(PLAN, faults=(replace(HANG, probability=0.5), SLOW)),
            "probability of fault 'hang BILLING_URL' was 0.05 and is 0.5",
        ),
        (replace(PLAN, witness=WitnessPlan("/livez", 5.0)), "rate of witness was 20.0 and is 5.0"),
        (replace(PLAN, in_flight=10), "in_flight was 5000 and is 10"),
    ],
)
def test_different_plans_are_refused_in_a_sentence_that_names_what_differs(
    plan: Plan, said: str
) -> None:
    assert differences(PLAN, plan) == (said,)
    with pytest.raises(UsageError, match="cannot be compared") as refused:
        compare(run(), run(plan=plan))
    assert said in str(refused.value)


def test_how_the_app_is_started_its_thresholds_and_the_seed_may_differ() -> None:
    other = replace(
        PLAN, app=AppPlan("granian app:app"), thresholds=(), seed=8, repeat=5, name="x", file="y"
    )
    assert differences(PLAN, other) == ()


def test_a_long_value_is_cut() -> None:
    stages = tuple(Stage(n, 1.0) for n in range(1, 40))
    one, other = (Plan(scenarios=(Scenario("a", stages=each),)) for each in ((), stages))
    (said,) = differences(one, other)
    assert len(said) < 130


def test_another_machine_another_version_and_a_cut_run_are_cautions() -> None:
    before = run()
    after = replace(
        before, machine=before.machine | {"processors": "8"}, tool="unstall 9", interrupted=True
    )
    told = cautions(before, after)
    assert len(told) == 3
    assert told[0].startswith("processors was 2 before and is 8 now")
    assert cautions(before, before) == ()
