"""The verdict of a phase: what it stands on, and when it is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.prove.phases import CALM, HANG, HIT, MISSED, healthy, ill, witness
from unstall.model.outcome import Outcome
from unstall.model.plan import Per
from unstall.model.proof import Exchanges
from unstall.model.report import WitnessVerdict
from unstall.prove.verdicts import chance_to_miss, judge, worst

ISOLATED, DEGRADED = WitnessVerdict.ISOLATED, WitnessVerdict.DEGRADED
FROZEN, UNSURE = WitnessVerdict.FROZEN, WitnessVerdict.NOT_ENOUGH_DATA
SLOW = witness(*[2.0] * 40, *[300.0] * 10)
STOPPED = witness(*[2.0] * 40, *[2_000.0] * 10)


@pytest.mark.parametrize(
    ("outcome", "verdict", "said"),
    [
        pytest.param(CALM, ISOLATED, "witness p99 2.0 ms", id="calm"),
        pytest.param(SLOW, DEGRADED, "witness p99 300 ms", id="slow"),
        pytest.param(STOPPED, FROZEN, "witness p99 2.00 s", id="stopped"),
        pytest.param(
            witness(*[2.0] * 40, unanswered=10), FROZEN, "10 of 50 not served", id="no answers"
        ),
        pytest.param(witness(unanswered=50), FROZEN, "50 of 50 not served", id="none at all"),
        pytest.param(
            witness(*[2.0] * 50, status=503),
            FROZEN,
            "50 of 50 not served",
            id="refused, though at once",
        ),
        pytest.param(witness(*[2.0] * 50, status=404), ISOLATED, "2.0 ms", id="a path nobody has"),
    ],
)
def test_a_fault_phase_is_judged_by_its_witness_beside_the_healthy_one(
    outcome: Outcome, verdict: WitnessVerdict, said: str
) -> None:
    found, because = judge(outcome, HANG, healthy(), (HIT,))
    assert found is verdict
    assert said in because
    assert "witness p99 2.0 ms when healthy" in because
    assert "24 of 500 exchanges with BILLING_URL met the fault" in because


def test_a_healthy_phase_is_judged_alone() -> None:
    assert judge(CALM, None, None) == (ISOLATED, "witness p99 2.0 ms")
    assert judge(SLOW, None, None) == (DEGRADED, "witness p99 300 ms")


def test_too_few_witnesses_are_no_verdict() -> None:
    verdict, because = judge(witness(*[5_000.0] * 9), HANG, healthy(), (HIT,))
    assert verdict is UNSURE
    assert because.startswith("9 witnesses came due, and 10 are needed")
    assert judge(Outcome(), None, None)[0] is UNSURE


@pytest.mark.parametrize(
    ("exchanges", "said"),
    [
        (MISSED, "no exchange met the fault, of 500 exchanges with BILLING_URL"),
        (Exchanges("BILLING_URL"), "nothing that was asked used BILLING_URL"),
        (Exchanges("OTHER_URL", 1, 1, 1, 1), "nothing that was asked used BILLING_URL"),
    ],
)
@pytest.mark.parametrize("outcome", [CALM, STOPPED], ids=["calm", "stopped"])
def test_a_fault_that_nobody_met_proves_nothing_whatever_was_felt(
    exchanges: Exchanges, said: str, outcome: Outcome
) -> None:
    verdict, because = judge(outcome, HANG, healthy(), (exchanges,))
    assert verdict is UNSURE
    assert because.startswith(said)


def test_hits_are_counted_in_the_unit_that_the_fault_is_thrown_for() -> None:
    fault = replace(HANG, kind="refuse", seconds=None, per=Per.EXCHANGE)
    _, because = judge(CALM, fault, None, (replace(HIT, hit=1, thrown=3),))
    assert "1 of 3 connections with BILLING_URL met the fault" in because


@pytest.mark.parametrize(
    ("now", "before"),
    [
        pytest.param(STOPPED, STOPPED, id="stopped when healthy"),
        pytest.param(SLOW, SLOW, id="slow when healthy"),
        pytest.param(SLOW, STOPPED, id="better than healthy"),
        pytest.param(witness(*[300.0] * 50), witness(*[100.0] * 50), id="both slow, one slower"),
        pytest.param(witness(*[55.0] * 50), witness(*[45.0] * 50), id="either side of the bound"),
        pytest.param(witness(*[2.0] * 46, *[900.0] * 4), CALM, id="four slow ones of fifty"),
        pytest.param(witness(*[2.0] * 49, unanswered=1), CALM, id="one without an answer"),
        pytest.param(
            witness(*[2.0] * 46, *[2_000.0] * 4),
            witness(*[2.0] * 48, *[300.0] * 2),
            id="four stopped, and two slow when healthy",
        ),
    ],
)
def test_what_is_hardly_worse_than_healthy_is_not_blamed_on_the_fault(
    now: Outcome, before: Outcome
) -> None:
    verdict, because = judge(now, HANG, healthy(before), (HIT,))
    assert verdict is UNSURE
    assert "when healthy: too little apart to blame the fault" in because


@pytest.mark.parametrize(
    ("now", "before", "verdict"),
    [
        pytest.param(STOPPED, SLOW, FROZEN, id="slow, and then stopped"),
        pytest.param(CALM, SLOW, ISOLATED, id="slow, and then calm"),
        pytest.param(
            witness(*[2.0] * 45, *[900.0] * 5), CALM, DEGRADED, id="five slow ones of fifty"
        ),
    ],
)
def test_what_is_clearly_worse_stands_though_healthy_was_not_perfect(
    now: Outcome, before: Outcome, verdict: WitnessVerdict
) -> None:
    assert judge(now, HANG, healthy(before), (HIT,))[0] is verdict


def test_what_may_be_chance_is_told_with_how_many_were_hurt() -> None:
    _, because = judge(witness(*[2.0] * 46, *[900.0] * 4), HANG, healthy(), (HIT,))
    assert because.endswith("(4 of 50 witnesses waited 50 ms or more, 0 of 50 when healthy)")


def test_a_late_generator_is_no_witness() -> None:
    for waits in ([2.0] * 50, [300.0] * 50, [1_050.0] * 50):
        verdict, because = judge(witness(*waits, late_ms=200), HANG, healthy(), (HIT,))
        assert verdict is UNSURE
        assert "the load generator itself was 200 ms late" in because or "20" in because


def test_a_freeze_that_the_generator_cannot_have_made_stands() -> None:
    outcome = witness(*[2.0] * 40, *[5_000.0] * 10, late_ms=200)
    assert judge(outcome, HANG, healthy(), (HIT,))[0] is FROZEN


def test_dropped_requests_are_told() -> None:
    assert judge(witness(*[2.0] * 50, dropped=1), None, None)[1].endswith(
        "1 request dropped, for too many were open"
    )


def test_a_run_is_as_bad_as_its_worst_fault_and_not_as_its_healthy_phase() -> None:
    calm, slow, stopped = ill(CALM), ill(SLOW), ill(STOPPED)
    unsure = ill(CALM, exchanges=MISSED)
    assert worst([healthy(SLOW), calm]) is ISOLATED
    assert worst([healthy(), calm, slow]) is DEGRADED
    assert worst([healthy(), stopped, slow, unsure]) is FROZEN
    assert worst([healthy(), calm, unsure]) is UNSURE
    assert worst([healthy(SLOW)]) is DEGRADED
    assert worst([]) is UNSURE


def test_who_freezes_without_a_fault_is_frozen_whatever_the_faults_came_to() -> None:
    for stopped in (healthy(STOPPED), healthy(witness(unanswered=50))):
        assert worst([stopped, ill(STOPPED, before=stopped)]) is FROZEN
        assert worst([stopped, ill(CALM)]) is FROZEN
        assert worst([healthy(), stopped, ill(CALM, exchanges=MISSED)]) is FROZEN
    late = healthy(witness(*[2.0] * 40, *[1_020.0] * 10, late_ms=300))
    assert worst([late, ill(CALM)]) is ISOLATED


def test_one_witness_that_a_busy_machine_held_up_is_no_freeze_without_a_fault() -> None:
    hiccup = healthy(witness(*[2.0] * 49, 1_200.0))
    assert worst([hiccup, ill(CALM)]) is ISOLATED


def test_more_calls_than_the_upstream_saw_did_not_all_ask_it() -> None:
    seen = replace(HIT, exchanges=2, thrown=2, hit=1)
    assert chance_to_miss(60, HANG, (seen,)) == 0.25
    assert chance_to_miss(1, HANG, (seen,)) == 0.5
    assert chance_to_miss(60, HANG, (HIT,)) == pytest.approx((1 - 24 / 500) ** 60)
    assert chance_to_miss(60, HANG, (MISSED,)) == 1.0


def test_a_witness_that_is_never_served_when_healthy_was_not_frozen() -> None:
    broken = witness(*[2.0] * 50, status=500)
    verdict, because = judge(broken, None, None)
    assert verdict is UNSURE
    assert because.endswith("give it a path that is served")
    assert judge(broken, HANG, healthy(broken), (HIT,))[0] is UNSURE
    assert judge(broken, HANG, healthy(), (HIT,))[0] is FROZEN
    assert judge(witness(*[2.0] * 40, unanswered=10), None, None)[0] is FROZEN
