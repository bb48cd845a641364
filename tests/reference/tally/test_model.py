"""What may be in an event, and what is said of it if it may not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from tally.model import Event, EventResult, Rejected, Status, answer_of, batch_of, event_of
from tally.settings import Limits
from tests.reference.tally.events import event, moment, nested, text_of

LIMITS = Limits()


def read(raw: bytes, customer: int = 1) -> Event:
    return event_of(raw, customer, datetime.now(UTC), LIMITS)


def reason_of(raw: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        read(raw)
    return caught.value.reason


def test_a_good_event_is_read_as_it_was_sent() -> None:
    sent = event()
    found = read(json.dumps(sent).encode())
    assert (found.event_id, found.name, found.value) == (sent["event_id"], "page_view", 2.5)
    assert found.dimensions == sent["dimensions"]
    assert found.at.utcoffset() is not None


def test_only_id_name_and_time_are_needed() -> None:
    found = read(text_of(value=..., dimensions=..., properties=...))
    assert (found.value, found.dimensions, found.properties) == (UNSET, UNSET, UNSET)


def test_the_customer_may_be_named_if_it_is_the_keys() -> None:
    assert read(text_of(customer=7), customer=7).customer == 7
    assert reason_of(text_of(customer=7)) == "other-customer"


def test_what_is_quoted_of_a_client_is_short_and_can_be_stored() -> None:
    for key in (b'"\\u0000x":1', b'"' + b"k" * 60_000 + b'":1'):
        with pytest.raises(Rejected) as caught:
            read(text_of()[:-1] + b"," + key + b"}")
        assert caught.value.reason == "invalid"
        assert len(caught.value.detail) <= 300
        assert caught.value.detail.isprintable()


BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "malformed"),
    "NaN": (text_of().replace(b": 2.5", b": NaN"), "malformed"),
    "infinity": (text_of().replace(b": 2.5", b": 1e999"), "invalid"),
    "no UTF-8": (text_of().replace(b"page_view", b"page\xff"), "malformed"),
    "half of a pair": (text_of().replace(b"page_view", b"\\ud800"), "malformed"),
    "a list": (b"[]", "invalid"),
    "a wrong type": (text_of(value="2.5"), "invalid"),
    "a true value": (text_of(value=True), "invalid"),
    "a field that is not known": (text_of(values=1), "invalid"),
    "no id": (text_of(event_id=...), "invalid"),
    "an empty id": (text_of(event_id=""), "invalid"),
    "a long id": (text_of(event_id="x" * 129), "invalid"),
    "a time without zone": (text_of(at="2026-01-01T00:00:00"), "invalid"),
    "a time that is none": (text_of(at="yesterday"), "invalid"),
    "a huge value": (text_of(value=1e16), "invalid"),
    "a nested dimension": (text_of(dimensions={"a": {"b": 1}}), "invalid"),
    "a dimension of a huge number": (text_of(dimensions={"a": 2**70}), "invalid"),
    "too old": (text_of(at=moment(days=7, minutes=1)), "too-old"),
    "in the future": (text_of(at=moment(hours=-1)), "in-the-future"),
    "of year 1": (text_of(at="0001-01-01T00:00:00+14:00"), "too-old"),
    "of year 9999": (text_of(at="9999-12-31T23:59:59-14:00"), "in-the-future"),
    "too large": (text_of(properties={"text": "x" * 65_536}), "event-too-large"),
    "too deep": (text_of(properties=nested(9)), "too-deep"),
    "too deep to parse": (
        text_of(properties=...)[:-1]
        + b',"properties":{"a":'
        + b"[" * 30_000
        + b"]" * 30_000
        + b"}}",
        "too-deep",
    ),
    "too many keys": (text_of(properties={str(n): n for n in range(257)}), "too-many-keys"),
    "too many values": (text_of(properties={"a": [[1] * 100] * 41}), "too-many-values"),
    "too many dimensions": (
        text_of(dimensions={str(n): n for n in range(9)}),
        "too-many-dimensions",
    ),
    "a long dimension": (text_of(dimensions={"a": "ä" * 65}), "dimension-too-long"),
    "a number of 70 bits": (text_of(properties={"a": 2**70}), "number"),
    "a number of 70 bits in a list": (text_of(properties={"a": [1, [2**70]]}), "number"),
    "a zero byte": (text_of(properties={"a": "b\x00"}), "zero-byte"),
    "a key twice": (text_of()[:-1] + b',"name":"other"}', "duplicate-key"),
    "a key twice, with spaces": (text_of()[:-1] + b' , "name" : "other"}', "duplicate-key"),
    "a key twice, far inside": (
        text_of(properties=...)[:-1] + b',"properties":{"a":[{"b":1,"b":2}]}}',
        "duplicate-key",
    ),
    "a key twice, spelled differently": (
        text_of(properties=...)[:-1] + b',"properties":{"ab":1,"\\u0061b":2}}',
        "duplicate-key",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_told_its_reason(name: str) -> None:
    raw, reason = BAD[name]
    assert reason_of(raw) == reason


CLEAN: dict[str, bytes] = {
    "a text that looks like a key": text_of(properties={"a": '"name":"x"', "b": 'say "hi" : you'}),
    "a backslash before u0000": text_of(properties={"a": "\\u0000"}),
    "printed with spaces": json.dumps(event(), indent=2).encode(),
    "as deep as allowed": text_of(properties=nested(8)),
    "as many keys as allowed": text_of(properties={str(n): n for n in range(256)}),
    "as many values as allowed": text_of(properties={"a": [1] * 3_999}),
    "as old as allowed": text_of(at=moment(days=6, hours=23)),
    "a little ahead": text_of(at=moment(minutes=-2)),
    "the largest number": text_of(properties={"a": 2**63 - 1, "b": -(2**63)}),
    "the same key on two levels": text_of(properties={"a": {"a": {"a": 1}}}),
}


@pytest.mark.parametrize("name", CLEAN)
def test_what_only_looks_bad_is_taken(name: str) -> None:
    read(CLEAN[name])


_LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
_KEYS = st.text(_LETTERS, min_size=1, max_size=4)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(_LETTERS, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(_KEYS, _JSON, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_no_key_is_called_double_that_is_there_once(
    properties: dict[str, Any], is_ascii: bool, indent: int | None
) -> None:
    raw = json.dumps(event(properties=properties), ensure_ascii=is_ascii, indent=indent)
    read(raw.encode())


@given(st.dictionaries(_KEYS, _JSON, min_size=1, max_size=5), st.data())
def test_every_key_that_is_there_twice_is_found(
    properties: dict[str, Any], data: st.DataObject
) -> None:
    again = json.dumps({data.draw(st.sampled_from(sorted(properties))): 1})
    inner = f"{json.dumps(properties)[:-1]},{again[1:]}"
    raw = text_of(properties=...)[:-1].decode() + f',"properties":{inner}}}'
    assert reason_of(raw.encode()) == "duplicate-key"


def test_a_batch_is_the_texts_of_its_events() -> None:
    one, other = text_of(), text_of()
    assert batch_of(b'{"events": [' + one + b", " + other + b"]}", LIMITS) == [one, other]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"[]", "invalid"),
        (b'{"events": 1}', "invalid"),
        (b'{"events": [], "more": 1}', "invalid"),
        (b'{"events": [], "events": []}', "duplicate-key"),
        (b'{"events": [{}], "\\u0065vents": [{}]}', "duplicate-key"),
        (b'{"\\u0065vents": [{}], "events": [{}]}', "duplicate-key"),
        (b'{"events": [' + b",".join([b"{}"] * 501) + b"]}", "batch-too-long"),
        (b'{"events": [' + b" " * 1_048_576 + b"]}", "batch-too-large"),
        (b'{"events": [NaN]}', "malformed"),
    ],
)
def test_a_bad_batch_is_told_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        batch_of(raw, LIMITS)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "raw",
    [
        b'{"events":[]}',
        b' {"events" : [ {"a": 1} , {"events": []}\n] } \r\n',
        b'{"\\u0065vents": [{}]}',
    ],
)
def test_a_batch_may_be_spelled_in_any_way(raw: bytes) -> None:
    assert [json.loads(each) for each in batch_of(raw, LIMITS)] == json.loads(raw)["events"]


def test_events_with_events_in_them_are_no_double_batch() -> None:
    inside = text_of(properties={"events": 1, "more": {"events": 2}})
    assert batch_of(b'{"events":[' + inside + b"]}", LIMITS) == [inside]


def test_the_answer_to_a_batch_counts_and_numbers() -> None:
    results = [
        EventResult(Status.ACCEPTED, "a"),
        EventResult(Status.REJECTED, reason="too-old"),
        EventResult(Status.DUPLICATE, "a"),
    ]
    found = answer_of(results)
    assert (found.accepted, found.duplicates, found.rejected) == (1, 1, 1)
    assert [each.index for each in found.results] == [0, 1, 2]
