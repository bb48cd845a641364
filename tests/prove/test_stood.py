"""Verdicts beside what the loops did: processes that were not run, and workers that stood still unseen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.prove.phases import BEGAN_MS, CALM, HANG, HIT, healthy, held, report, witness
from unstall.model.finding import Cause, Stall
from unstall.model.outcome import Outcome
from unstall.model.plan import Fault
from unstall.model.proof import Phase
from unstall.model.report import WitnessVerdict
from unstall.prove.stood import Watched, stood
from unstall.prove.verdicts import judge, worst
from unstall.testing import ns_of, site
from unstall.triage.verdict import frozen_alone

ISOLATED, DEGRADED = WitnessVerdict.ISOLATED, WitnessVerdict.DEGRADED
FROZEN, UNSURE = WitnessVerdict.FROZEN, WitnessVerdict.NOT_ENOUGH_DATA
BILLING = ("10.0.0.9:443",)
LATE = witness(*[2.0] * 10, *[1_900.0] * 10, *[900.0] * 10, *[2.0] * 20)
"""Ten a second; those of the seconds 1 and 2 waited until 3."""


def watched(*stalls: Stall) -> Watched:
    return Watched(stalls, ns_of(BEGAN_MS), 5, BILLING)


def pause(from_ms: float, held_ms: float, cause: Cause = Cause.STARVED) -> Stall:
    return replace(held(from_ms, held_ms, peer=None, victims=0), cause=cause, site=None)


def verdict(
    outcome: Outcome, *stalls: Stall, fault: Fault | None = HANG, before: Phase | None = None
) -> tuple[WitnessVerdict, str]:
    before = before or healthy()
    return judge(outcome, fault, before if fault else None, (HIT,), watched(*stalls))


# --- processes that were not run


@pytest.mark.parametrize("cause", [Cause.STARVED, Cause.PAUSED, Cause.GC])
def test_who_waited_only_for_a_process_that_was_not_run_was_frozen_by_no_fault(
    cause: Cause,
) -> None:
    found, because = verdict(LATE, pause(1_050, 1_900, cause))
    assert found is UNSURE
    assert because.startswith(
        f"witness p99 1.90 s, but the process did not run the app for 1.90 s ({cause}), and no fault"
    )
    assert "30 of 50 witnesses were due in other seconds, with a p99 of 2.0 ms" in because


def test_a_host_that_paused_is_no_freeze_without_a_fault_either() -> None:
    found, because = verdict(LATE, pause(1_050, 1_900), fault=None)
    assert found is UNSURE
    assert "and no call explains that" in because
    assert not frozen_alone(replace(healthy(LATE), verdict=found))


def test_collecting_garbage_is_the_app_s_own_where_there_is_no_fault() -> None:
    assert verdict(LATE, pause(1_050, 1_900, Cause.GC), fault=None)[0] is FROZEN


@pytest.mark.parametrize(
    ("outcome", "stalls"),
    [
        pytest.param(LATE, (), id="no stall at all: a pool that was full"),
        pytest.param(LATE, (held(1_050, 1_900),), id="a call"),
        pytest.param(LATE, (held(1_050, 1_900), pause(1_100, 300)), id="a call, and a short pause"),
        pytest.param(LATE, (pause(1_050, 300),), id="a pause too short for it"),
        pytest.param(LATE, (pause(3_500, 1_400),), id="a pause in another second"),
        pytest.param(
            LATE, (replace(pause(1_050, 1_900), site=site()),), id="a line that is to blame"
        ),
        pytest.param(
            witness(*[2.0] * 10, *[1_900.0] * 10, *[900.0] * 10, *[1_500.0] * 20),
            (pause(1_050, 1_900),),
            id="frozen in other seconds as well",
        ),
        pytest.param(witness(*[2.0] * 40, unanswered=10), (pause(4_000, 900),), id="no answer"),
    ],
)
def test_a_freeze_that_no_pause_accounts_for_stands(
    outcome: Outcome, stalls: tuple[Stall, ...]
) -> None:
    assert verdict(outcome, *stalls)[0] is FROZEN


def test_an_answer_of_500_is_not_excused_by_a_pause() -> None:
    refused = witness(*[2.0] * 50, status=503)
    assert verdict(refused, pause(0, 5_000))[0] is FROZEN


def test_a_pause_before_the_load_excuses_nothing() -> None:
    early = witness(*[1_900.0] * 10, *[2.0] * 40)
    assert verdict(early, pause(-3_000, 2_900))[0] is FROZEN


# --- workers that stood still unseen


def test_a_loop_that_stood_still_forbids_isolated_though_another_worker_answered() -> None:
    found, because = verdict(CALM, held(1_050, 2_000, victims=2))
    assert found is DEGRADED
    assert because.startswith(
        "witness p99 2.0 ms, but a loop stood still for 2.00 s, with 2 victims; "
    )


@pytest.mark.parametrize(
    "stall",
    [
        pytest.param(held(1_050, 2_000, victims=0), id="for this upstream, without a victim"),
        pytest.param(held(1_050, 2_000, peer="10.0.0.5:5432"), id="for another, with victims"),
        pytest.param(replace(held(1_050, 2_000, peer=None), cause=Cause.LOCK), id="a lock"),
    ],
)
def test_a_long_wait_counts_if_it_is_for_this_upstream_or_has_victims(stall: Stall) -> None:
    assert verdict(CALM, stall)[0] is DEGRADED


@pytest.mark.parametrize(
    "stall",
    [
        pytest.param(held(1_050, 900), id="short"),
        pytest.param(held(1_050, 2_000, peer="10.0.0.5:5432", victims=0), id="nobody's"),
        pytest.param(replace(held(1_050, 2_000), cause=Cause.CPU), id="computing"),
        pytest.param(held(-3_000, 2_000), id="before the load"),
        pytest.param(held(6_000, 2_000), id="after the load"),
    ],
)
def test_other_stalls_leave_a_calm_witness_isolated(stall: Stall) -> None:
    assert verdict(CALM, stall)[0] is ISOLATED
    assert stood(watched(stall)) == []


def test_a_loop_that_stood_as_long_when_healthy_is_not_blamed_on_the_fault() -> None:
    before = healthy(CALM, report([held(1_050, 1_500)]))
    found, because = verdict(CALM, held(1_050, 2_000), before=before)
    assert found is UNSURE
    assert "and for 1.50 s when healthy: too little apart to blame the fault" in because


def test_the_run_is_as_bad_as_such_a_phase() -> None:
    found, because = verdict(CALM, held(1_050, 2_000))
    phase = replace(healthy(), fault=HANG, verdict=found, because=because)
    assert worst([healthy(), phase]) is DEGRADED


# --- said


def test_who_got_no_answer_waited_no_measured_time() -> None:
    _, because = verdict(witness(*[2.0] * 40, unanswered=10))
    assert because.startswith("no answer, 10 of 50 not served; ")


def test_what_is_known_against_the_witness_is_the_verdict() -> None:
    assert judge(CALM, HANG, healthy(), (HIT,), doubt="it asks") == (UNSURE, "it asks")
