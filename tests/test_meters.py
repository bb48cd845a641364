"""What is counted is read whole, bounded, and from zero in a forked child."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.meters import MOST_SERIES, OTHER, Counter, Distribution, Gauge, Meters
from unstall.model.metric import BOUNDS_S, Family, Kind

MS = 1_000_000


def values(family: Family) -> dict[tuple[str, ...], float]:
    return {sample.labels: sample.value for sample in family.samples}


def test_a_counter_adds_up_by_label() -> None:
    counter = Counter("requests_total", "Requests.", ("route",))
    counter.add(("/a",))
    counter.add(("/b",), 2.5)
    counter.add(("/a",))
    family = counter.family()
    assert (family.name, family.kind, family.labels) == ("requests_total", Kind.COUNTER, ("route",))
    assert values(family) == {("/a",): 2, ("/b",): 2.5}
    assert values(counter.family()) == values(family), "to read changes nothing"


def test_a_distribution_is_written_in_ns_and_read_in_seconds() -> None:
    took = Distribution("took_seconds", "Time.", ("route",))
    took.observe(("/a",), 500_000)
    took.observe(("/a",), 500_001)
    took.observe(("/a",), 90_000 * MS)
    took.observe(("/a",), 20 * MS, times=10)
    (sample,) = took.family().samples
    assert sample.value == pytest.approx(0.001 + 90 + 0.2)
    by_bound = dict(zip((*BOUNDS_S, float("inf")), sample.buckets, strict=True))
    assert {bound: n for bound, n in by_bound.items() if n} == {
        0.0005: 1, 0.001: 1, 0.025: 10, float("inf"): 1,
    }  # fmt: skip


@given(st.lists(st.integers(0, 100_000 * MS), max_size=50))
def test_no_sample_falls_between_the_buckets(durations: list[int]) -> None:
    took = Distribution("took_seconds", "Time.")
    for duration in durations:
        took.observe((), duration)
    samples = took.family().samples
    assert sum(sum(sample.buckets) for sample in samples) == len(durations)
    assert sum(sample.value for sample in samples) == pytest.approx(sum(durations) / 1e9)


def test_a_gauge_is_asked_when_it_is_read() -> None:
    value = [1.0]
    gauge = Gauge("busy", "Busy.", lambda: [((), value[0])])
    assert values(gauge.family()) == {(): 1}
    value[0] = 7
    assert values(gauge.family()) == {(): 7}


def test_a_gauge_that_fails_says_nothing() -> None:
    def fail() -> list[tuple[tuple[str, ...], float]]:
        raise LookupError

    assert Gauge("busy", "Busy.", fail).family().samples == ()


def test_series_are_bounded_and_their_sum_is_kept() -> None:
    counter = Counter("requests_total", "Requests.", ("a", "b"))
    took = Distribution("took_seconds", "Time.", ("route",))
    for n in range(MOST_SERIES + 30):
        counter.add((str(n), "x"))
        took.observe((str(n),), MS)
    counted = values(counter.family())
    assert len(counted) == MOST_SERIES + 1
    assert counted[OTHER, OTHER] == 30
    assert sum(sum(sample.buckets) for sample in took.family().samples) == MOST_SERIES + 30


def test_what_nobody_reads_stays_bounded() -> None:
    counter, took = Counter("n_total", "N."), Distribution("took_seconds", "Time.")
    for _ in range(25_000):
        counter.add()
        took.observe((), MS)
    assert max(len(counter._pending), len(took._pending)) <= 10_001
    assert values(counter.family()) == {(): 25_000}


def test_writers_on_many_threads_lose_nothing_while_somebody_reads() -> None:
    counter = Counter("n_total", "N.")
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            counter.family()

    reader = threading.Thread(target=read)

    def write() -> None:
        for _ in range(5_000):
            counter.add()

    writers = [threading.Thread(target=write) for _ in range(4)]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert values(counter.family()) == {(): 20_000}


def test_a_meter_takes_the_place_of_one_of_its_name_and_leaves_no_other() -> None:
    meters = Meters()
    first, second = Counter("n_total", "N."), Counter("n_total", "N.")
    other = Counter("m_total", "M.")
    meters.add(first, other)
    meters.add(second)
    second.add()
    assert {f.name: values(f) for f in meters.families()} == {"n_total": {(): 1}, "m_total": {}}
    meters.remove(first)
    assert [family.name for family in meters.families()] == ["n_total", "m_total"]
    meters.remove(second, other)
    assert meters.families() == ()


def test_a_renewed_meter_begins_from_zero_whoever_held_its_lock() -> None:
    meters = Meters()
    counter, took = Counter("n_total", "N."), Distribution("took_seconds", "Time.")
    gauge = Gauge("busy", "Busy.", lambda: [((), 3.0)])
    meters.add(counter, took, gauge)
    counter.add()
    took.observe((), MS)
    counter.family()
    for meter in (counter, took):
        meter._lock.acquire()  # as a thread that no child has
    meters.renew()
    assert [values(family) for family in meters.families()] == [{}, {}, {(): 3}]
    counter.add()
    assert values(counter.family()) == {(): 1}
