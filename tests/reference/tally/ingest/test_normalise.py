"""Two ways to normalise an event, which give the same row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.ingest.normalise import MOST_DIMENSIONS, _kept_key, fast, naive
from tally.ingest.rows import Row
from tally.model import Event, Rejected

BOTH = pytest.mark.parametrize("normalise", [naive, fast])


def event(**fields: Any) -> Event:
    return Event("e", "n", datetime(2026, 11, 21, tzinfo=UTC), **fields)


@BOTH
def test_keys_become_plain_and_texts_lose_their_edges(normalise: Any) -> None:
    row = normalise(event(dimensions={" Sign-Up Plan ": "  Pro "}), 7)
    assert row.dimensions == '{"sign_up_plan":"Pro"}'


@BOTH
def test_dimensions_are_texts(normalise: Any) -> None:
    row = normalise(event(dimensions={"b": True, "a": 12, "c": False}), 7)
    assert row.dimensions == '{"a":"12","b":"true","c":"false"}'


@BOTH
def test_properties_are_flat_sorted_and_without_nothing(normalise: Any) -> None:
    given = {"z": None, "b": {"Y": [1, None, {"Q": " t "}], "x": 1.5}, "a": "t"}
    row = normalise(event(properties=given), 7)
    assert row.properties == '{"a":"t","b.x":1.5,"b.y":[1,null,{"q":"t"}]}'


@BOTH
def test_texts_are_composed(normalise: Any) -> None:
    row = normalise(event(dimensions={"city": "Zu\u0308rich"}), 7)
    assert row.dimensions == '{"city":"Z\u00fcrich"}'


@BOTH
def test_an_event_without_value_counts_for_one(normalise: Any) -> None:
    assert normalise(event(), 7).value == 1.0
    assert normalise(event(value=0.0), 7).value == 0.0


@BOTH
@pytest.mark.parametrize(
    "fields",
    [
        {"dimensions": {"Plan": "a", "plan": "b"}},
        {"properties": {"a.b": 1, "a": {"b": 2}}},
        {"properties": {"list": [{"A": 1, "a": 2}]}},
    ],
)
def test_keys_that_become_one_are_refused(normalise: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        normalise(event(**fields), 7)
    assert caught.value.reason == "ambiguous-key"


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


def outcome(normalise: Any, given: Event) -> Row | str:
    try:
        found: Row = normalise(given, 7)
    except Rejected as rejected:
        return rejected.reason
    return found


@given(
    st.dictionaries(_KEYS, _TEXTS | st.integers(-(2**63), 2**63 - 1) | st.booleans(), max_size=5),
    st.dictionaries(_KEYS, _JSON, max_size=5),
)
def test_both_give_the_same(dimensions: dict[str, Any], properties: dict[str, Any]) -> None:
    sent = event(dimensions=dimensions, properties=properties)
    slow, quick = outcome(naive, sent), outcome(fast, sent)
    if isinstance(slow, str) or isinstance(quick, str):
        assert slow == quick
        return
    assert slow.dimensions == quick.dimensions
    assert json.loads(slow.properties) == json.loads(quick.properties)


@given(st.dictionaries(_KEYS, _JSON.filter(lambda each: not isinstance(each, float)), max_size=5))
def test_but_for_floats_to_the_letter(properties: dict[str, Any]) -> None:
    text = json.dumps(properties)
    if any(mark in text for mark in ("e", "E", ".")):
        return
    sent = event(properties=properties)
    assert outcome(naive, sent) == outcome(fast, sent)


@BOTH
def test_dimensions_that_no_index_can_hold_are_refused(normalise: Any) -> None:
    longest = {f"{n}{'k' * 127}": f"{n}{'v' * 127}" for n in range(8)}
    assert len(normalise(event(dimensions=longest), 7).dimensions) < MOST_DIMENSIONS
    quoted = {key: value.replace("v", '"') for key, value in longest.items()}
    with pytest.raises(Rejected) as caught:
        normalise(event(dimensions=quoted), 7)
    assert (caught.value.reason, caught.value.status) == ("dimensions-too-long", 422)


def test_long_keys_are_not_kept() -> None:
    before = _kept_key.cache_info().misses
    fast(event(properties={"Long " * 100: 1}), 7)
    assert _kept_key.cache_info().misses == before
    fast(event(properties={f"Short {before}": 1}), 7)
    assert _kept_key.cache_info().misses == before + 1
