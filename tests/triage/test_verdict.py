"""What bystanders felt, as a table of decisions."""

from __future__ import annotations

import pytest

from tests.prove.phases import healthy, held, report, witness
from unstall.model.histogram import Histogram
from unstall.model.report import WitnessVerdict
from unstall.testing import ns_of
from unstall.triage.verdict import frozen_alone, witness_verdict, worst_of

ISOLATED, DEGRADED = WitnessVerdict.ISOLATED, WitnessVerdict.DEGRADED
FROZEN, UNSURE = WitnessVerdict.FROZEN, WitnessVerdict.NOT_ENOUGH_DATA


@pytest.mark.parametrize(
    ("p99_ms", "due", "unanswered", "verdict"),
    [
        pytest.param(49.9, 100, 0, ISOLATED, id="fast, and all answered"),
        pytest.param(50, 100, 0, DEGRADED, id="just too slow to be isolated"),
        pytest.param(2, 100, 1, DEGRADED, id="fast, and one unanswered"),
        pytest.param(999.9, 100, 0, DEGRADED, id="just not frozen"),
        pytest.param(1000, 100, 0, FROZEN, id="a second"),
        pytest.param(2, 100, 5, DEGRADED, id="one in twenty unanswered"),
        pytest.param(2, 100, 6, FROZEN, id="more than one in twenty unanswered"),
        pytest.param(2, 10, 0, ISOLATED, id="just enough witnesses"),
        pytest.param(2, 9, 0, UNSURE, id="too few, though fast"),
        pytest.param(5000, 9, 0, UNSURE, id="too few, though slow"),
        pytest.param(2, 9, 9, UNSURE, id="too few, though unanswered"),
        pytest.param(2, 0, 0, UNSURE, id="none at all"),
    ],
)
def test_a_witness_is_judged(
    p99_ms: float, due: int, unanswered: int, verdict: WitnessVerdict
) -> None:
    latency = Histogram.of([ns_of(p99_ms)] * (due - unanswered))
    assert witness_verdict(latency, due, unanswered) is verdict


def test_one_slow_answer_in_a_thousand_does_not_hide_behind_a_median() -> None:
    some = Histogram.of([ns_of(2)] * 980 + [ns_of(400)] * 20)
    assert witness_verdict(some, 1_000, 0) is DEGRADED


def test_a_single_outlier_beyond_the_99th_percentile_is_forgiven() -> None:
    one = Histogram.of([ns_of(2)] * 999 + [ns_of(400)])
    assert witness_verdict(one, 1_000, 0) is ISOLATED


def test_nobody_answering_is_frozen() -> None:
    assert witness_verdict(Histogram(), 20, 20) is FROZEN


def test_answers_that_are_still_due_are_no_verdict() -> None:
    assert witness_verdict(Histogram(), 20, 0) is UNSURE


def test_the_worst_of_several_counts_and_of_none_not_enough_is_known() -> None:
    assert worst_of([ISOLATED, FROZEN, DEGRADED]) is FROZEN
    assert worst_of([ISOLATED, UNSURE]) is UNSURE
    assert worst_of([UNSURE, DEGRADED]) is DEGRADED
    assert worst_of([]) is UNSURE


# --- frozen without a fault


@pytest.mark.parametrize(
    ("unanswered", "alone"),
    [
        pytest.param(2, False, id="two of thirty got no answer: each counts once"),
        pytest.param(3, True, id="three did not"),
    ],
)
def test_a_witness_without_an_answer_is_hurt_once_though_it_also_waited_long(
    unanswered: int, alone: bool
) -> None:
    phase = healthy(witness(*[2.0] * (30 - unanswered), unanswered=unanswered))
    assert phase.verdict is FROZEN
    assert frozen_alone(phase) is alone


def test_three_slow_witnesses_froze_without_a_fault_and_two_may_be_a_hiccup() -> None:
    assert frozen_alone(healthy(witness(*[2.0] * 27, *[1_000.0] * 3)))
    assert not frozen_alone(healthy(witness(*[2.0] * 28, *[1_000.0] * 2)))


def test_one_slow_witness_is_enough_where_a_loop_stood_still() -> None:
    slow = witness(*[2.0] * 29, 1_000.0)
    assert frozen_alone(healthy(slow, report([held(1_000, 500)])))
    assert not frozen_alone(healthy(slow, report([held(1_000, 499)])))
