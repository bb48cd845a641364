"""Distributions that merge without loss, to within 1.6 percent."""

from __future__ import annotations

import math
from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.model.histogram import Histogram, HistogramBuilder, bucket_of, upper_edge

DURATIONS = st.integers(0, 2**53 - 1)
SAMPLES = st.lists(DURATIONS, max_size=60)


@given(st.lists(SAMPLES, max_size=6), st.randoms())
def test_parts_merge_to_the_whole_in_any_order(parts: list[list[int]], random: object) -> None:
    whole = Histogram.of(ns for part in parts for ns in part)
    frozen = [Histogram.of(part) for part in parts]
    random.shuffle(frozen)  # type: ignore[attr-defined]
    assert reduce(add, frozen, Histogram()) == whole


@given(SAMPLES, SAMPLES, SAMPLES)
def test_merging_is_associative(a: list[int], b: list[int], c: list[int]) -> None:
    x, y, z = map(Histogram.of, (a, b, c))
    assert (x + y) + z == x + (y + z)


@given(st.lists(DURATIONS, min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_within_two_percent_of_the_truth(durations: list[int], q: float) -> None:
    truth = sorted(durations)[max(1, math.ceil(q * len(durations))) - 1]
    seen = Histogram.of(durations).quantile_ns(q)
    assert seen is not None
    assert truth <= seen <= truth * (1 + 1 / 64)


@given(st.lists(DURATIONS, min_size=1, max_size=60))
def test_extremes_and_sum_are_exact(durations: list[int]) -> None:
    seen = Histogram.of(durations)
    assert (seen.min_ns, seen.max_ns) == (min(durations), max(durations))
    assert (seen.count, seen.sum_ns) == (len(durations), sum(durations))
    assert seen.quantile_ns(1) == max(durations)


@given(DURATIONS)
def test_a_duration_lies_in_its_bucket(ns: int) -> None:
    bucket = bucket_of(ns)
    assert ns <= upper_edge(bucket)
    assert bucket == 0 or upper_edge(bucket - 1) < ns


@given(DURATIONS, DURATIONS)
def test_buckets_keep_the_order_of_durations(a: int, b: int) -> None:
    assert bucket_of(min(a, b)) <= bucket_of(max(a, b))


def test_no_data_needs_more_than_a_few_thousand_buckets() -> None:
    assert bucket_of(2**53 - 1) < 64 * 48
    assert bucket_of(10**30) == bucket_of(2**53 - 1)


def test_up_to_128_ns_every_duration_has_its_own_bucket() -> None:
    assert [bucket_of(ns) for ns in range(129)] == list(range(129))


@pytest.mark.parametrize("ns", [-1, -(10**12)])
def test_a_clock_that_went_back_counts_as_no_time(ns: int) -> None:
    assert Histogram.of([ns]) == Histogram.of([0])


def test_an_empty_histogram_has_no_quantile_and_no_mean() -> None:
    assert Histogram().quantile_ns(0.5) is None
    assert Histogram() + Histogram() == Histogram()


def test_adding_several_times_at_once_is_the_same() -> None:
    once, often = HistogramBuilder(), HistogramBuilder()
    once.add(500, times=3)
    for _ in range(3):
        often.add(500)
    assert once.freeze() == often.freeze()


def test_what_was_frozen_does_not_change_afterwards() -> None:
    builder = HistogramBuilder()
    builder.add(1)
    before = builder.freeze()
    builder.add(2)
    assert before == Histogram.of([1])


@pytest.mark.parametrize("bucket", [-1, 1 << 40])
def test_a_bucket_that_no_duration_falls_into_is_refused(bucket: int) -> None:
    with pytest.raises(ValueError, match="beyond the longest"):
        Histogram(((bucket, 1),), 1, 1, 1, 1)
