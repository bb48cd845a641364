"""From looks to steps, and which of them held the loop."""

from __future__ import annotations

from dataclasses import replace

from unstall.explain.steps import IDLE, main_looks, most_seen, steps_of, weight_of
from unstall.model.finding import Step
from unstall.testing import look, ns_of, stretch


def test_a_step_lasts_until_the_next_was_seen_and_the_last_to_the_end() -> None:
    seen = stretch(
        look(step=1, from_ms=70, until_ms=200, times=9, task="first"),
        look(step=2, from_ms=220, until_ms=480, times=9, task="second"),
    )
    assert steps_of(seen) == (
        Step(ns_of(20), ns_of(220), 9, "first"),
        Step(ns_of(220), ns_of(520), 9, "second"),
    )
    assert [step.seen_ns for step in steps_of(seen)] == [ns_of(200), ns_of(300)]


def test_where_looks_were_dropped_the_last_step_lasts_until_it_was_last_seen() -> None:
    first = look(step=1, from_ms=70, until_ms=90, times=2)
    last = look(step=2, from_ms=100, until_ms=130, times=2)
    (_, step) = steps_of(replace(stretch(first, last), dropped_looks=5))
    assert (step.from_ns, step.until_ns) == (ns_of(100), ns_of(130))


def test_looks_at_several_lines_of_one_step_are_one_step() -> None:
    seen = stretch(look(step=1, times=3), look(step=1, from_ms=90, times=4))
    assert [step.looks for step in steps_of(seen)] == [7]


def test_a_step_that_comes_back_is_another_one() -> None:
    assert len(steps_of(stretch(*(look(step=n) for n in (1, 2, 1))))) == 3


def test_an_idle_loop_is_in_no_step() -> None:
    assert steps_of(stretch(look(step=IDLE))) == ()
    assert main_looks(stretch(look(step=IDLE, times=99))) == ()


def test_a_stretch_nobody_looked_at_has_no_steps() -> None:
    assert steps_of(stretch()) == ()


def test_the_step_seen_longest_is_the_main_one() -> None:
    short = look(step=1, until_ms=90, times=90)
    long = look(step=2, from_ms=100, until_ms=400, times=3)
    assert main_looks(stretch(short, long)) == (long,)


def test_one_look_that_came_late_counts_once_and_not_for_nothing() -> None:
    assert weight_of([look()]) == 1
    assert most_seen([]) is None
