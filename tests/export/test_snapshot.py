"""Families of several workers as one."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.export.families import counter, gauge, histogram
from unstall.export.slot import MOST_BYTES
from unstall.export.snapshot import encode, families_in, side_by_side, summed
from unstall.meters import MOST_SERIES, OTHER
from unstall.model.metric import BOUNDS_S, Family, Kind, Sample

texts = st.text(max_size=20)
numbers = st.floats(allow_nan=False) | st.integers(0, 2**53).map(float)
buckets = st.tuples(*[st.integers(0, 2**40)] * (len(BOUNDS_S) + 1))


@st.composite
def families(draw: st.DrawFn) -> Family:
    kind = draw(st.sampled_from(list(Kind)))
    labels = draw(st.lists(st.sampled_from("abcd"), unique=True).map(tuple))
    sample = st.builds(
        Sample, st.tuples(*[texts] * len(labels)), numbers, buckets if kind is Kind.HISTOGRAM else st.just(())
    )  # fmt: skip
    return Family(draw(texts), kind, draw(texts), labels, tuple(draw(st.lists(sample, max_size=4))))


@given(st.lists(families(), max_size=5))
def test_what_is_written_is_what_is_read(written: list[Family]) -> None:
    assert families_in(json.loads(encode(written))) == written


def test_counters_and_histograms_are_added_up_series_by_series() -> None:
    one = [counter("c_total", (("a",), 1), labels=("x",)), histogram("h", 0.5, {3: 2})]
    two = [
        counter("c_total", (("a",), 2), (("b",), 5), labels=("x",)),
        histogram("h", 1.5, {3: 1, 16: 4}),
    ]
    c, h = summed([one, two])
    assert [(s.labels, s.value) for s in c.samples] == [(("a",), 3), (("b",), 5)]
    assert (h.samples[0].value, h.samples[0].buckets[3], h.samples[0].buckets[16]) == (2.0, 3, 4)


def test_gauges_stand_side_by_side_under_their_workers_number() -> None:
    found = side_by_side({7: [gauge("g", (("p",), 1), labels=("pool",))],
                          8: [gauge("g", (("p",), 2), labels=("pool",))]})  # fmt: skip
    (family,) = found
    assert family.labels == ("worker", "pool")
    assert [(s.labels, s.value) for s in family.samples] == [(("7", "p"), 1), (("8", "p"), 2)]
    assert summed([[gauge("g", ((), 1))]]) == ()


def test_what_is_the_same_for_all_workers_is_shown_once() -> None:
    build = gauge("app_build_info", (("1.2",), 1), labels=("version",))
    (family,) = side_by_side({7: [build], 8: [build]})
    assert (family.labels, [s.labels for s in family.samples]) == (("version",), [("1.2",)])


def test_a_family_that_another_version_labels_otherwise_is_not_mixed_in() -> None:
    one, two = counter("c_total", ((), 1)), counter("c_total", (("a",), 9), labels=("x",))
    (family,) = summed([[one], [two]])
    assert [(s.labels, s.value) for s in family.samples] == [((), 1)]


def test_a_sum_is_as_bounded_as_what_it_is_a_sum_of() -> None:
    workers = [
        [counter("c_total", *(((f"{pid}-{n}",), 1) for n in range(MOST_SERIES)), labels=("x",))]
        for pid in range(3)
    ]
    (family,) = summed(workers)
    assert len(family.samples) <= MOST_SERIES + 1
    assert sum(s.value for s in family.samples) == 3 * MOST_SERIES
    assert any(s.labels == (OTHER,) for s in family.samples)


def test_what_has_no_room_is_left_out_whole_and_named() -> None:
    wide = [
        counter(f"wide_{n}", *(((f"{k:0500}",), 1) for k in range(100)), labels=("x",))
        for n in range(9)
    ]
    data = encode([*wide, counter("small_total", ((), 1))], stalls=[{"entry": "ü" * 100}])
    assert len(data) <= MOST_BYTES
    read = json.loads(data)
    kept = [family.name for family in families_in(read)]
    assert kept[0] == "wide_0"
    assert "small_total" in kept
    assert read["left_out"]
    assert set(kept).isdisjoint(read["left_out"])
    assert read["stalls"] == [{"entry": "ü" * 100}]
