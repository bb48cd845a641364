"""What opens and shuts a pipeline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.runs import HANG, Service, calm, frozen, run
from unstall.model.proof import Judged
from unstall.model.report import WitnessVerdict
from unstall.triage.gate import Gate, gate_of, missed, unmeasured
from unstall.triage.regression import Change, Direction

HELD = Judged("loop.stalls == 0", HANG.title, 0.0, True)
MISSED = Judged("loop.stalls == 0", HANG.title, 3.0, False)
UNMEASURED = Judged("witness.p99_ms < 50", HANG.title, None, False)
WORSE = Change("healthy", "checkout.p99_ms", Direction.REGRESSION, 10.0, 20.0)
BETTER = replace(WORSE, direction=Direction.IMPROVEMENT)
UNKNOWN = replace(WORSE, direction=Direction.UNKNOWN)


def test_a_run_that_nobody_felt_opens_with_thresholds_and_without() -> None:
    assert gate_of(calm()) is Gate.OPEN
    assert gate_of(replace(calm(), thresholds=())) is Gate.OPEN


def test_frozen_bystanders_shut_it_though_every_threshold_held() -> None:
    assert gate_of(replace(frozen(), thresholds=(HELD,))) is Gate.SHUT


def test_slowed_bystanders_are_a_matter_of_thresholds() -> None:
    slowed = replace(calm(), verdict=WitnessVerdict.DEGRADED, thresholds=())
    assert gate_of(slowed) is Gate.OPEN
    assert gate_of(replace(slowed, thresholds=(MISSED,))) is Gate.SHUT


def test_a_missed_threshold_weighs_more_than_one_that_was_not_measured() -> None:
    seen = replace(calm(), thresholds=(HELD, MISSED, UNMEASURED))
    assert gate_of(seen) is Gate.SHUT
    assert missed(seen) == [MISSED]
    assert unmeasured(seen) == [UNMEASURED]


@pytest.mark.parametrize(
    "seen",
    [
        replace(calm(), thresholds=(HELD, UNMEASURED)),
        replace(calm(), verdict=WitnessVerdict.NOT_ENOUGH_DATA),
        replace(calm(), interrupted=True),
        run(Service(), witness=0.5),
    ],
)
def test_what_was_not_seen_opens_nothing(seen: object) -> None:
    assert gate_of(seen) is Gate.NOT_ENOUGH_DATA  # type: ignore[arg-type]


def test_of_changes_only_a_regression_shuts() -> None:
    assert gate_of(calm(), (BETTER, UNKNOWN)) is Gate.OPEN
    assert gate_of(calm(), (BETTER, WORSE)) is Gate.SHUT
