"""Schedules: sorted, bounded, reproducible, and at the rate that was asked for."""

from __future__ import annotations

import itertools
import math

import pytest

from unstall.clock import NS_PER_S
from unstall.errors import UsageError
from unstall.load.arrivals import constant, poisson, stepped
from unstall.model.plan import Arrivals, Stage


def test_a_constant_schedule_starts_at_once_and_keeps_its_distance() -> None:
    assert constant(4, 1) == (0, 250_000_000, 500_000_000, 750_000_000)


@pytest.mark.parametrize(("rate", "seconds"), [(3, 7), (0.5, 9), (7, 0.1), (1_000, 2), (1 / 3, 3)])
def test_a_constant_schedule_ends_before_the_end_and_not_a_send_earlier(
    rate: float, seconds: float
) -> None:
    offsets = constant(rate, seconds)
    assert len(offsets) == math.ceil(rate * seconds)
    assert offsets[-1] < seconds * NS_PER_S <= offsets[-1] + NS_PER_S / rate + 1


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another_one() -> None:
    assert poisson(50, 10, seed=7) == poisson(50, 10, seed=7)
    assert poisson(50, 10, seed=7) != poisson(50, 10, seed=8)


def test_a_longer_poisson_schedule_begins_like_the_shorter_one() -> None:
    short, long = poisson(50, 10, seed=7), poisson(50, 20, seed=7)
    assert long[: len(short)] == short


def test_a_poisson_schedule_is_sorted_and_inside_the_run() -> None:
    offsets = poisson(200, 5, seed=1)
    assert list(offsets) == sorted(offsets)
    assert all(0 <= offset < 5 * NS_PER_S for offset in offsets)


@pytest.mark.parametrize("seed", range(5))
def test_poisson_arrivals_come_at_the_mean_rate_and_as_bursty_as_strangers_are(seed: int) -> None:
    offsets = poisson(100, 100, seed)
    assert len(offsets) == pytest.approx(10_000, rel=0.05)
    gaps = [after - before for before, after in itertools.pairwise(offsets)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation / mean == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("schedule", [constant(0, 10), constant(10, 0), poisson(0, 10, 1)])
def test_no_rate_or_no_time_is_no_request(schedule: tuple[int, ...]) -> None:
    assert schedule == ()


@pytest.mark.parametrize(("rate", "seconds"), [(-1, 1), (1, -1), (math.inf, 1), (1, math.nan)])
def test_what_is_negative_or_endless_is_refused(rate: float, seconds: float) -> None:
    with pytest.raises(UsageError, match="must be a number from 0 up"):
        constant(rate, seconds)
    with pytest.raises(UsageError, match="must be a number from 0 up"):
        poisson(rate, seconds, seed=0)


STEPS = (Stage(100, 1), Stage(0, 0.5), Stage(1_000, 0.25))


def test_stages_follow_each_other_each_at_its_rate() -> None:
    offsets = list(stepped(STEPS))
    first = [each for each in offsets if each < NS_PER_S]
    rest = [each for each in offsets if each >= NS_PER_S]
    assert (len(first), len(rest)) == (100, 250)
    assert rest[0] == 1_500_000_000
    assert offsets == sorted(offsets)
    assert offsets[-1] < 1_750_000_000


@pytest.mark.parametrize("seed", range(3))
def test_stages_of_poisson_arrivals_keep_to_their_times_and_rates(seed: int) -> None:
    stages = (Stage(1_000, 2), Stage(0, 1), Stage(4_000, 1))
    offsets = list(stepped(stages, Arrivals.POISSON, seed))
    assert offsets == sorted(offsets)
    seconds = [sum(each // NS_PER_S == at for each in offsets) for at in range(5)]
    assert seconds[2] == seconds[4] == 0
    assert seconds[0] == pytest.approx(1_000, rel=0.15)
    assert seconds[1] == pytest.approx(1_000, rel=0.15)
    assert seconds[3] == pytest.approx(4_000, rel=0.1)


def test_a_schedule_can_be_walked_again() -> None:
    schedule = stepped(STEPS, Arrivals.POISSON, "7 orders")
    assert list(schedule) == list(schedule)
    assert schedule.seconds == 1.75


def test_a_stage_that_is_endless_is_refused() -> None:
    with pytest.raises(UsageError, match="must be a number from 0 up"):
        stepped((Stage(1, math.inf),))
