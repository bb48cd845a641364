"""Each victim counts once, through however many stalls in a row it waited."""

from __future__ import annotations

from dataclasses import replace

from unstall.explain.victims import distinct_victims
from unstall.testing import stall


def test_the_victims_of_one_stall_are_those_in_flight_and_those_at_the_door() -> None:
    assert distinct_victims([stall(waiting_in_flight=2, at_door=30, served_before=10)]) == 32


def test_who_waits_through_two_stalls_in_a_row_counts_once() -> None:
    first = stall(at_door=100, served_before=10)  # 11 to 110 wait
    second = stall(at_door=120, served_before=40)  # 41 to 160: 70 of them waited before
    assert distinct_victims([second, first]) == 150


def test_stalls_far_apart_have_victims_of_their_own() -> None:
    assert distinct_victims([stall(at_door=5, served_before=n) for n in (10, 100, 1000)]) == 15


def test_processes_are_counted_apart() -> None:
    one = stall(at_door=5, served_before=10)
    assert distinct_victims([one, replace(one, process="2-b")]) == 10


def test_a_stall_without_victims_has_none() -> None:
    assert distinct_victims([stall()]) == 0
