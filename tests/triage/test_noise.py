"""The noise of a figure, estimated from repeats and their seconds."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.triage.noise import Estimate, Spread, block_length, difference, estimate, student

QUIET = Spread(0.0, 0.0)


@pytest.mark.parametrize(
    ("freedom", "inside", "expected"),
    [
        (1, 0.95, 12.706),
        (2, 0.95, 4.303),
        (3, 0.95, 3.182),
        (4, 0.95, 2.776),
        (5, 0.99, 4.032),
        (8, 0.999, 5.041),
        (30, 0.95, 2.042),
        (60, 0.99, 2.660),
    ],
)
def test_students_distribution_is_that_of_the_tables(
    freedom: float, inside: float, expected: float
) -> None:
    assert student(inside, freedom) == pytest.approx(expected, abs=5e-4)


@given(st.floats(1, 1e6), st.floats(0.5, 0.9999))
def test_half_a_degree_of_freedom_is_rounded_to_the_wider_side(
    freedom: float, inside: float
) -> None:
    assert student(inside, freedom) >= student(inside, freedom + 1) - 1e-9


def test_the_noise_within_is_that_of_the_mean_when_seconds_are_independent() -> None:
    random = Random(3)
    seconds = [random.randrange(100) for _ in range(400)]
    seen = estimate([seconds], lambda total: total / 400, Random(1))
    exact = fmean((s - fmean(seconds)) ** 2 for s in seconds) / 400
    assert seen.value == fmean(seconds)
    assert seen.within.variance == pytest.approx(exact, rel=0.4)


def test_seconds_that_hang_together_are_noisier_than_ones_that_do_not() -> None:
    random = Random(5)
    apart = [random.choice((0, 100)) for _ in range(64)]
    together = sorted(apart[:32]) + sorted(apart[32:], reverse=True)
    of_both = [estimate([each], float, Random(1)).within.variance for each in (apart, together)]
    assert block_length(64) == 4
    assert of_both[1] > 2 * of_both[0]


def test_one_second_alone_shows_no_noise() -> None:
    assert estimate([[5]], float, Random(1)).within == QUIET
    one = Estimate((1.0,), QUIET)
    assert difference(one, one, 0.05) is None


def test_without_a_repeat_there_is_nothing_to_estimate() -> None:
    with pytest.raises(ValueError, match="no repeat"):
        estimate([], float, Random(1))


def test_the_interval_over_repeats_is_students_of_two_samples() -> None:
    before, after = Estimate((10.0, 12.0, 11.0), QUIET), Estimate((14.0, 13.0, 15.0), QUIET)
    interval = difference(before, after, 0.025)
    assert interval is not None
    # pooled variance 1, standard error sqrt(2/3), four degrees of freedom
    assert interval.value == 3.0
    assert interval.high - interval.value == pytest.approx(2.776 * (2 / 3) ** 0.5, abs=1e-3)
    assert interval.value - interval.low == pytest.approx(interval.high - interval.value)


def test_a_side_with_one_repeat_borrows_the_noise_of_the_other() -> None:
    interval = difference(Estimate((10.0,), QUIET), Estimate((14.0, 13.0, 15.0), QUIET), 0.025)
    assert interval is not None
    assert interval.high - interval.value == pytest.approx(4.303 * (4 / 3) ** 0.5, abs=1e-3)


@given(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=20), min_size=1, max_size=4))
def test_the_same_on_both_sides_is_no_difference(repeats: list[list[int]]) -> None:
    seen = estimate(repeats, float, Random(1))
    interval = difference(seen, seen, 0.05)
    if interval is not None:
        assert interval.value == 0
        assert interval.low <= 0 <= interval.high


@given(st.integers(0, 2**32))
def test_the_same_seed_draws_the_same(seed: int) -> None:
    seconds = [[3, 1, 4, 1, 5, 9, 2, 6]]
    assert estimate(seconds, float, Random(seed)) == estimate(seconds, float, Random(seed))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """400 comparisons of three repeats with three; at 10 % a side, some 20 % may miss."""
    random = Random(11)
    missed = 0
    for _ in range(400):
        one, other = (
            Estimate(tuple(random.gauss(0, 1) for _ in range(3)), QUIET) for _ in range(2)
        )
        interval = difference(one, other, 0.1)
        assert interval is not None
        missed += not interval.low <= 0 <= interval.high
    assert 50 <= missed <= 110
