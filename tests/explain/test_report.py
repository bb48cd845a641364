"""From a recording to a report: verdict, coverage, gaps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.explain.request_stacks import CHARGE, CREATE, IMPORTS, in_a_route, on_the_loop
from unstall.explain.report import report_of, settled
from unstall.model.histogram import Histogram
from unstall.model.observation import Loop, Losses, Process, Pulse
from unstall.model.recording import Entry, Recording
from unstall.model.report import Report, Verdict
from unstall.testing import frame, look, ns_of, stack, stdlib, stretch

PROCESS = Process("1-abc", 1, 0.0, 0, ("uvicorn",), "3.11.9", ns_of(100))
LOOP = Loop("1-abc", 1, "uvloop.Loop", "MainThread")
PULSE = Pulse("1-abc", 1, 0, ns_of(2_000), Histogram.of([1, 2]), requests=7)
ENDED = Losses("1-abc")
STALL = stretch(look(in_a_route(CREATE, CHARGE), until_ms=500, times=40, wait="poll"))
IMPORT = stretch(
    look(on_the_loop(*IMPORTS, frame("shop.app:<module>", 3)), running=True),
    cpu_ms=490,
    served_before=0,
)


def report(*entries: Entry) -> Report:
    return report_of(Recording.of(entries, "unstall 0.1.0"), "uvicorn shop:app")


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        pytest.param((PROCESS, LOOP, PULSE, STALL, ENDED), Verdict.FINDINGS, id="a stall"),
        pytest.param((PROCESS, LOOP, PULSE, ENDED), Verdict.CLEAN, id="no stall"),
        pytest.param((PROCESS, LOOP, PULSE, IMPORT, ENDED), Verdict.CLEAN, id="only start-up"),
        pytest.param((STALL,), Verdict.FINDINGS, id="a stall of a process nobody knows"),
        pytest.param((PROCESS, LOOP, ENDED), Verdict.NOT_ENOUGH_DATA, id="no loop ever beat"),
        pytest.param((), Verdict.NOT_ENOUGH_DATA, id="nothing at all"),
    ],
)
def test_a_recording_comes_to_a_verdict(entries: tuple[Entry, ...], verdict: Verdict) -> None:
    assert report(*entries).verdict is verdict


def test_start_up_is_shown_and_not_counted() -> None:
    seen = report(PROCESS, PULSE, IMPORT, STALL)
    assert (len(seen.startup), len(seen.stalls)) == (1, 1)
    assert [finding.code for finding in seen.findings] == ["US102"]


def test_an_import_that_a_request_waits_for_is_counted() -> None:
    seen = report(PROCESS, PULSE, replace(IMPORT, served_before=2))
    assert (len(seen.startup), [finding.code for finding in seen.findings]) == (0, ["US112"])


def test_coverage_is_the_sum_over_processes() -> None:
    other = replace(PULSE, process="2-def", requests=3, from_ns=ns_of(500))
    seen = report(PROCESS, replace(PROCESS, process="2-def"), LOOP, PULSE, other, STALL)
    assert seen.coverage == {
        "processes": 2,
        "loops": 1,
        "requests": 10,
        "watched_ms": 3_500,
        "stalls": 1,
        "victims": 0,
    }
    assert seen.lag == Histogram.of([1, 2, 1, 2])


def test_each_process_is_judged_by_its_own_threshold() -> None:
    calm = replace(PROCESS, threshold_ns=ns_of(400))
    steps = [
        look(step=n + 1, from_ms=20 + 160 * n, until_ms=150 + 160 * n, times=9, running=True)
        for n in range(3)
    ]
    seen = stretch(*steps, late_ms=480, cpu_ms=480)
    assert [stall.cause for stall in report(PROCESS, seen).stalls] == ["cpu"]
    assert [stall.cause for stall in report(calm, seen).stalls] == ["saturated"]


# --- gaps -----------------------------------------------------------------------------------


def test_a_run_that_saw_everything_has_no_gaps() -> None:
    assert report(PROCESS, LOOP, PULSE, ENDED).gaps == ()


def test_what_was_not_seen_is_told_in_sentences() -> None:
    blind = replace(PROCESS, inactive=("thread states: darwin has no /proc",))
    lost = Losses("1-abc", {"looks": 2, "stalls": 1})
    recording = Recording.of([blind, PULSE, lost, lost], flaws=["line 9 is cut off"])
    assert report_of(recording, "x").gaps == (
        "line 9 is cut off",
        "4 looks were seen and not kept",
        "2 stalls were seen and not kept",
        "a hook does not work here: thread states: darwin has no /proc",
    )


def test_a_process_without_a_last_word_is_told() -> None:
    (gap,) = report(PROCESS, replace(PROCESS, process="2-def"), PULSE, ENDED).gaps
    assert gap.startswith("1 of 2 processes ended without a last word")


# --- stretches told more than once ----------------------------------------------------------


def test_of_a_stretch_told_while_it_lasted_the_last_word_counts() -> None:
    early = stretch(late_ms=200, ongoing=True)
    later = stretch(late_ms=400, ongoing=True)
    over = stretch(late_ms=500)
    assert settled([early, later, over]) == (over,)
    assert settled([early, later]) == (later,)


def test_stretches_that_follow_each_other_are_all_kept() -> None:
    first = stretch(late_ms=200)
    second = replace(
        first, last_tick_ns=first.until_ns, due_ns=first.until_ns + 1, until_ns=ns_of(900)
    )
    assert settled([second, first]) == (first, second)


def test_loops_and_processes_do_not_settle_each_other() -> None:
    lasting, over = (
        stretch(late_ms=200, ongoing=True),
        replace(stretch(late_ms=300), process="2-def"),
    )
    other_loop = replace(stretch(late_ms=300), loop=2)
    assert len(settled([lasting, over, other_loop])) == 3


# --- what is not a clean bill ---------------------------------------------------------------


def test_a_watch_that_failed_itself_gives_no_clean_bill() -> None:
    losses = Losses("1-abc", {"internal ZeroDivisionError": 2, "looks": 1})
    seen = report(PROCESS, LOOP, PULSE, losses)
    assert seen.verdict is Verdict.NOT_ENOUGH_DATA
    (said,) = [gap for gap in seen.gaps if "ZeroDivisionError" in gap]
    assert "failed 2 times" in said
    assert "1 looks were seen and not kept" in seen.gaps


def test_a_watch_that_lost_something_else_may_give_one() -> None:
    losses = Losses("1-abc", {"looks": 1})
    assert report(PROCESS, LOOP, PULSE, losses).verdict is Verdict.CLEAN


def test_a_watch_that_failed_still_says_what_it_saw() -> None:
    losses = Losses("1-abc", {"internal KeyError": 1})
    assert report(PROCESS, LOOP, PULSE, STALL, losses).verdict is Verdict.FINDINGS


def test_a_loop_at_a_prompt_is_counted_apart() -> None:
    prompt = look(stack(frame(), stdlib("pdb:Pdb.interaction")), until_ms=500, times=40)
    seen = report(PROCESS, LOOP, PULSE, stretch(prompt), ENDED)
    assert seen.verdict is Verdict.CLEAN
    assert (seen.stalls, seen.startup, seen.coverage["stalls"]) == ((), (), 0)
    assert seen.gaps == (
        "a loop stood at a debugger's prompt once, for 0.50 s in all: not counted",
    )
