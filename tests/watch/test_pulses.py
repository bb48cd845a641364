"""Of a whole life the numbers are kept: exact in sum, coarser in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unstall.model.histogram import Histogram
from unstall.model.observation import Pulse
from unstall.watch.pulses import Pulses


def pulse(second: int, loop: int = 1, lags: tuple[int, ...] = (1, 2)) -> Pulse:
    return Pulse("1-a", loop, second, second + 1, Histogram.of(lags), 10)


def kept(most: int, given: list[Pulse]) -> list[Pulse]:
    pulses = Pulses(most)
    for each in given:
        pulses.append(each)
    assert len(pulses) <= most
    return list(pulses)


def test_within_the_bound_they_come_back_as_they_were() -> None:
    given = [pulse(0, lags=(100_000, 100_001, 5_000_000)), pulse(1, lags=())]
    assert kept(2, given) == given


@pytest.mark.parametrize("count", [1, 1 << 15, 1 << 17, 1 << 33])
def test_large_counts_come_back_as_well(count: int) -> None:
    given = replace(pulse(0), lag=Histogram(((3, count),), count, count, 1, 1))
    assert kept(1, [given]) == [given]


def test_past_the_bound_neighbours_are_added_up() -> None:
    first, *_, last = found = kept(4, [pulse(second, lags=(second, 7)) for second in range(100)])
    assert (first.from_ns, last.until_ns) == (0, 100)
    assert sum(each.requests for each in found) == 1_000
    whole = Histogram.of([n for second in range(100) for n in (second, 7)])
    assert sum((each.lag for each in found), Histogram()) == whole


def test_seconds_of_different_loops_are_never_merged() -> None:
    found = kept(4, [pulse(0, 1), pulse(0, 2), pulse(1, 1), pulse(1, 2), pulse(2, 1)])
    assert [(each.loop, each.from_ns, each.until_ns) for each in found] == [
        (1, 0, 2), (2, 0, 2), (1, 2, 3),
    ]  # fmt: skip


def test_a_copy_stays_as_it_was_and_is_read_whole() -> None:
    pulses = Pulses(2)
    pulses.append(pulse(0))
    copied = pulses.copy()
    for second in range(1, 9):
        pulses.append(pulse(second))
    assert list(copied) == [pulse(0)]


def test_buckets_that_are_alike_are_kept_once_when_they_are_read() -> None:
    first, second = kept(2, [pulse(0), pulse(1)])
    assert first.lag.buckets
    assert all(
        one is other for one, other in zip(first.lag.buckets, second.lag.buckets, strict=True)
    )
