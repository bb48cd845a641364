"""What a load came to, in a word and the numbers behind it."""

from __future__ import annotations

import pytest

from unstall.load.phase import felt, lag_by_second, phase_of, unwatched
from unstall.load.scenarios import Loaded
from unstall.model.histogram import Histogram
from unstall.model.observation import Pulse
from unstall.model.outcome import LATENESS_BOUND_NS, Outcome, StreamOutcome
from unstall.model.report import WitnessVerdict

MS = 1_000_000


def outcome(
    due: int = 50, answered: int = 50, ms: int = 2, late_ns: int = 1, failed: int = 0
) -> Outcome:
    statuses = {"200": answered - failed} | ({"503": failed} if failed else {})
    latency = Histogram.of([ms * MS] * due)
    witness = StreamOutcome(
        "witness", due, due, statuses=statuses, latency=latency,
        lateness=Histogram.of([late_ns] * due),
    )  # fmt: skip
    load = StreamOutcome("buy", 1, 1, statuses={"200": 1}, lateness=Histogram.of([late_ns]))
    return Outcome((load, witness))


@pytest.mark.parametrize(
    ("given", "verdict", "because"),
    [
        (outcome(), WitnessVerdict.ISOLATED,
         "the witness waited 2.0 ms at p99, and 0 of 50 of its requests got no answer"),
        (outcome(ms=80), WitnessVerdict.DEGRADED, "80.0 ms at p99"),
        (outcome(ms=1_500), WitnessVerdict.FROZEN, "1500.0 ms at p99"),
        (outcome(answered=40), WitnessVerdict.FROZEN, "10 of 50 of its requests got no answer"),
        (outcome(failed=1), WitnessVerdict.DEGRADED, "0 of 50 of its requests got no answer, 1 one of 500"),
        (outcome(failed=49), WitnessVerdict.FROZEN, "49 one of 500 or more"),
        (outcome(failed=50), WitnessVerdict.NOT_ENOUGH_DATA, "give it a path that is served"),
        (outcome(due=9, answered=9), WitnessVerdict.NOT_ENOUGH_DATA,
         "9 requests of the witness say too little: 10 are needed"),
        (outcome(late_ns=2 * LATENESS_BOUND_NS), WitnessVerdict.NOT_ENOUGH_DATA,
         "left 50 ms late or more, beyond the 25 ms"),
        (Outcome(outcome().streams[:1]), WitnessVerdict.NOT_ENOUGH_DATA, "there was no witness"),
        (Outcome(), WitnessVerdict.NOT_ENOUGH_DATA, "no request was sent"),
    ],
)  # fmt: skip
def test_what_bystanders_felt_has_its_numbers(
    given: Outcome, verdict: WitnessVerdict, because: str
) -> None:
    found, why = felt(given)
    assert found is verdict
    assert because in why


def test_where_more_than_one_in_a_hundred_got_no_answer_no_wait_is_told() -> None:
    assert felt(outcome(answered=40))[1] == "10 of 50 of its requests got no answer"


def test_an_app_that_ended_under_load_was_not_frozen_by_it() -> None:
    ended = "the app ended while it was asked"
    phase = phase_of(Loaded(outcome(answered=0), 17, 4.0), unwatched("x"), ended=ended)
    assert (phase.verdict, phase.because) == (WitnessVerdict.NOT_ENOUGH_DATA, ended)
    assert phase.ended == ended


def test_a_load_is_a_phase_without_a_fault_that_nobody_watched() -> None:
    phase = phase_of(Loaded(outcome(), 17, 4.0), unwatched("http://a"), 2)
    assert (phase.name, phase.fault, phase.from_ns, phase.seconds, phase.repeat) == (
        "healthy", None, 17, 4.0, 2,
    )  # fmt: skip
    assert not phase.report.lag.count


def test_lag_stands_by_the_second_since_the_first_request() -> None:
    def pulse(from_s: float, ms: int) -> Pulse:
        from_ns = int(from_s * 1e9)
        return Pulse("1", 1, from_ns, from_ns + 10**9, Histogram.of([ms * MS]), 0)

    pulses = pulse(3, 900), pulse(10, 1), pulse(10.5, 2), pulse(12, 3)
    lag = lag_by_second(pulses, 10 * 10**9)
    assert [(at, each.count, each.max_ns) for at, each in lag] == [(0, 2, 2 * MS), (2, 1, 3 * MS)]
    phase = phase_of(Loaded(outcome(), 10 * 10**9, 4.0), unwatched("http://a"), 0, pulses)
    assert (phase.lag, phase.lag_under_load.max_ns) == (lag, 3 * MS)
