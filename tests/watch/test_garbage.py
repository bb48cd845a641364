"""Where collections may only be counted: when a full one ran."""

from __future__ import annotations

import pytest

from unstall.watch import garbage
from unstall.watch.garbage import Garbage

MS = 1_000_000


class Collector:
    """In place of `gc`."""

    def __init__(self) -> None:
        self.full = self.middle = self.asked = 0

    def get_count(self) -> tuple[int, int, int]:
        return 0, 0, self.middle

    def get_stats(self) -> list[dict[str, int]]:
        self.asked += 1
        return [{"collections": 0}, {"collections": 0}, {"collections": self.full}]

    def collects(self) -> None:
        self.full += 1
        self.middle = 0


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Collector:
    collector = Collector()
    monkeypatch.setattr(garbage, "gc", collector)
    return collector


@pytest.mark.parametrize("middle", [0, 3, 250, 4_000])
def test_a_full_collection_is_noticed_with_the_next_beat(collector: Collector, middle: int) -> None:
    counted = Garbage(timed=False)
    collector.middle = middle
    counted.count(10 * MS)
    counted.count(20 * MS)
    collector.collects()
    collector.middle = min(middle, 150)  # of the middle generation, as many as a beat may hide
    counted.count(30 * MS)
    assert counted.within_ns(20 * MS, 30 * MS, 5 * MS) == 5 * MS
    assert counted.within_ns(30 * MS, 40 * MS, 5 * MS) == 0


@pytest.mark.parametrize("middle", [0, 3, 250, 4_000])
def test_without_one_nothing_is_told(collector: Collector, middle: int) -> None:
    counted = Garbage(timed=False)
    for at in range(1, 50):
        collector.middle = middle + at
        counted.count(at * 10 * MS)
    assert counted.within_ns(0, 500 * MS, 5 * MS) == 0


def test_long_after_the_last_one_the_dear_statistics_are_not_asked(collector: Collector) -> None:
    counted = Garbage(timed=False)
    for at in range(1_000):
        collector.middle = at
        counted.count(at * 10 * MS)
    assert collector.asked <= 201
