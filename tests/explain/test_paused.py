"""Time at a debugger's prompt is no stall; a debugger that lets the program run excuses nothing."""

from __future__ import annotations

import pytest

from unstall.explain.findings import findings_of
from unstall.explain.paused import PROMPTS, without_pauses
from unstall.explain.stalls import stall_of
from unstall.model.finding import Cause
from unstall.model.observation import Look, Stretch
from unstall.testing import THRESHOLD_NS, frame, library, look, ns_of, stack, stdlib, stretch

RUNNER = stdlib("asyncio.runners:Runner.run")


def at_prompt(from_ms: float, until_ms: float, place: str = "pdb:Pdb.interaction") -> Look:
    seen = stack(RUNNER, frame(), stdlib("bdb:Bdb.dispatch_line"), stdlib(place))
    return look(seen, from_ms=from_ms, until_ms=until_ms, times=20, wait="read")


def sleeps(from_ms: float, until_ms: float) -> Look:
    seen = stack(RUNNER, frame(call="time.sleep"))
    return look(seen, from_ms=from_ms, until_ms=until_ms, times=20, wait="clock_nanosleep")


def cause(seen: Stretch) -> Cause:
    return stall_of(seen, THRESHOLD_NS).cause


@pytest.mark.parametrize(("module", "function"), PROMPTS)
def test_a_loop_at_a_prompt_is_paused_and_not_stalled(module: str, function: str) -> None:
    seen = stretch(at_prompt(70, 5_000, f"{module}:{function}"), late_ms=5_000)
    stall = stall_of(seen, THRESHOLD_NS)
    assert stall.cause is Cause.PAUSED
    assert stall.site is None
    assert "5.00 s" in stall.because
    assert findings_of([stall]) == ()


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(
            look(stack(RUNNER, frame(), stdlib("bdb:Bdb.trace_dispatch")), wait="read", times=40),
            id="a debugger that traces and lets the program run",
        ),
        pytest.param(
            look(stack(stdlib("pdb:Pdb.interaction"), RUNNER, frame()), wait="read", times=40),
            id="a loop that was started from a prompt",
        ),
        pytest.param(
            look(stack(RUNNER, frame("shop.pdb:Pdb.interaction")), wait="read", times=40),
            id="the application's own function of that name",
        ),
        pytest.param(
            look(stack(RUNNER, frame(), library("pydevd:PyDB.trace_dispatch")), wait="read"),
            id="a debugger at work",
        ),
    ],
)
def test_an_attached_debugger_excuses_nothing(seen: Look) -> None:
    assert cause(stretch(seen)) is Cause.WAITING


def test_a_stall_before_and_after_a_prompt_is_a_stall_without_the_time_at_it() -> None:
    seen = stretch(sleeps(70, 300), at_prompt(310, 5_000), sleeps(5_010, 5_100), late_ms=5_100)
    stall = stall_of(seen, THRESHOLD_NS)
    assert stall.cause is Cause.WAITING
    assert stall.held_ns == ns_of(5_100 - (5_010 - 300))
    assert stall.site is not None
    assert stall.site.call == "time.sleep"


def test_a_short_step_around_a_prompt_is_not_a_stall() -> None:
    seen = stretch(sleeps(70, 90), at_prompt(100, 5_000), late_ms=5_000)
    assert cause(seen) is Cause.PAUSED


def test_two_prompts_are_taken_out_both() -> None:
    seen = stretch(
        at_prompt(70, 1_000), sleeps(1_010, 1_050), at_prompt(1_060, 2_000), late_ms=2_000
    )
    assert without_pauses(seen).late_ns == ns_of(1_050 - 1_010)


def test_a_stretch_without_a_prompt_is_left_as_it_is() -> None:
    seen = stretch(sleeps(70, 500))
    assert without_pauses(seen) is seen
