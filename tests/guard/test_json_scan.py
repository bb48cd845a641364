"""The scanner against the parser: what it admits exceeds no limit, what is within limits it admits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.guard.json_oracle import exceeded
from unstall.errors import UsageError
from unstall.guard.json_scan import SLICE, Excess, JsonLimits, JsonScan

SMALL = JsonLimits(depth=3, items=6, string=8, number=5)


def scanned(text: bytes, limits: JsonLimits = SMALL, part: int | None = None) -> Excess | None:
    scan = JsonScan(limits)
    step = part or max(1, len(text))
    for at in range(0, len(text), step):
        found = scan.feed(text[at : at + step])
        if found is not None:
            return found
    return scan.end()


TEXT = st.text(alphabet='ab"\\\u00e9\U0001f600{}[],:\n', max_size=10)
NUMBER = st.integers(-(10**7), 10**7) | st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | NUMBER | TEXT


@st.composite
def written(draw: st.DrawFn, depth: int = 5) -> str:
    """JSON as anybody may write it: keys twice, escapes, spaces."""
    space = draw(st.sampled_from(["", "", " ", "\n\t "]))
    kind = draw(st.integers(0, 3)) if depth else 0
    if kind < 2:
        return space + _leaf(draw) + space
    inner = draw(st.lists(written(depth - 1), max_size=4))
    if kind == 2:
        return f"{space}[{','.join(inner) or space}]{space}"
    members = [f"{space}{_text(draw)}{space}:{each}" for each in inner]
    return f"{space}{{{','.join(members) or space}}}{space}"


def _leaf(draw: st.DrawFn) -> str:
    value = draw(LEAF)
    return _text(draw, value) if isinstance(value, str) else json.dumps(value)


def _text(draw: st.DrawFn, value: str | None = None) -> str:
    value = (
        draw(st.sampled_from(["a", "b", "\u00e9", '"', "\\"]) | TEXT) if value is None else value
    )
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    return text.replace("a", "\\u0061") if draw(st.booleans()) else text


@given(written(), st.sampled_from([None, 1, 2, 7]))
@example('{"a":1,"\\u0061":2}', None)
@example('["\\\\","a"]', 1)
@example("[[],{}]", 1)
@example("[null,null,null,[null,[null]]]", None)
@example('["[","["]', None)
@example('[{"[]":1},"{}",[ ]]', None)
@example('["1234567"]', None)
@example('["12345"]', None)
def test_a_valid_text_is_refused_exactly_if_it_exceeds_a_limit(text: str, part: int | None) -> None:
    raw = text.encode()
    over = exceeded(raw, SMALL)
    found = scanned(raw, SMALL, part)
    if found is None:
        assert over == set()
    else:
        assert found.limit in over


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\0a ', max_size=60).map(str.encode))
def test_whatever_the_parser_takes_is_judged_rightly(raw: bytes) -> None:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        scanned(raw)  # it raises nothing, whatever it says
        return
    over = exceeded(raw, SMALL) if b"\0" not in raw[:4] else {"encoding"}
    found = scanned(raw)
    assert (found is None) == (over == set())


PIECE = st.sampled_from(["a", "b", "c", "\\u0061", "a b"])


@st.composite
def record(draw: st.DrawFn, depth: int = 2) -> str:
    """An object as services send them, some with a key twice."""
    members = []
    for key in draw(st.lists(PIECE, min_size=1, max_size=4, unique=draw(st.integers(0, 3)) > 0)):
        kind = draw(st.integers(0, 3)) if depth else 0
        inner = draw(record(depth - 1)) if kind > 1 else draw(st.sampled_from(["1", '"x,}"']))
        members.append(f'"{key}":{f"[{inner},{inner}]" if kind == 3 else inner}')
    return f"{{{','.join(members)}}}"


@given(
    st.lists(st.tuples(record(), st.integers(1, 60)), min_size=1, max_size=3),
    st.sampled_from(["", '"a":1,"r":', '"r":']),
    st.sampled_from(["", ',"a":1', ',"q":{"a":1}']),
    st.sampled_from([None, 200, 7]),
)
@example([('{"a":{"b":1}}', 40)], '"a":1,"r":', ',"a":1', None)
def test_lists_of_like_records_are_judged_as_others_are(
    parts: list[tuple[str, int]], before: str, after: str, part: int | None
) -> None:
    records = ",".join(",".join([text] * times) for text, times in parts)
    text = f"{{{before}[{records}]{after}}}" if before else f"[{records}]"
    raw = text.encode()
    limits = JsonLimits()
    found = scanned(raw, limits, part)
    assert (found is None) == (exceeded(raw, limits) == set())


@given(st.lists(record(), min_size=2, max_size=2), st.integers(1, 30))
def test_members_in_turn_are_keys_of_what_is_around_them(two: list[str], times: int) -> None:
    """As `"a": {...}, "b": {...}` again and again in one object."""
    members = ",".join(f'"a":{two[0]},"b":{two[1]}' for _ in range(times))
    raw = f"{{{members}}}".encode()
    found = scanned(raw, JsonLimits())
    assert (found is None) == (exceeded(raw, JsonLimits()) == set())


@given(written(), st.integers(1, 50))
def test_how_a_text_is_cut_does_not_matter(text: str, part: int) -> None:
    raw = text.encode()
    whole, cut = scanned(raw), scanned(raw, part=part)
    assert (whole is None) == (cut is None)


@pytest.mark.parametrize("part", [SLICE - 1, 1_000, None])
def test_slices_of_a_large_text_count_together(part: int | None) -> None:
    record = {"id": 1, "name": 'Ada "the\\ first"', "tags": ["a", "b"], "at": {"x": 1.5, "y": -2e9}}
    raw = json.dumps([record] * 2_000).encode()
    roomy = JsonLimits(items=2_000 * 9)
    assert scanned(raw, roomy, part) == scanned(raw, JsonLimits(items=18_000), part) is None
    found = scanned(raw, JsonLimits(items=17_999), part)
    assert found is not None
    assert (found.limit, found.most) == ("items", 17_999)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("raw", "limit", "value", "at"),
    [
        (nested(4), "depth", "4", 3),
        (b"[" * 100_000, "depth", "4", 3),
        (b'{"a":{"b":{"c":{}}}}', "depth", "4", 15),
        (b"[1,2,3,4,5,6,7]", "items", "7", 12),
        (b'{"a":"123456789"}', "string", "9", 5),
        (b'{"123456789":1}', "string", "9", 1),
        (b"[1, 123456]", "number", "6", 4),
        (b'{"a":1,"b":{"a":1,"a":2}}', "duplicate_keys", "'a'", 18),
        (b'{"a":1,"\\u0061":2}', "duplicate_keys", "'a'", 1),
        ("[1]".encode("utf-16"), "encoding", "", 0),
        ("[1]".encode("utf-32-le"), "encoding", "", 0),
    ],
    ids=lambda value: str(value)[:24],
)
def test_limit_value_and_place_are_named(raw: bytes, limit: str, value: str, at: int) -> None:
    found = scanned(raw)
    assert found is not None
    assert (found.limit, found.value, found.at) == (limit, value, at)
    assert str(found).endswith(".")


def test_what_is_just_allowed_is_admitted() -> None:
    for raw in (
        nested(3),
        b"[1,2,3,4,5,6]",
        b'{"12345678":"12345678"}',
        b"[12345,-1e10]",
        b'[{"a":1},{"a":1}]',
        b'"[[[[[["',
        b'{"a":1,"A":2}',
        b"",
    ):
        assert scanned(raw) is None, raw
    assert scanned(b'{"a":1,"a":2}', JsonLimits(duplicate_keys=True)) is None


def test_a_string_that_never_ends_is_refused_before_its_end() -> None:
    scan = JsonScan(JsonLimits(string=100_000))
    fed = 0
    found = scan.feed(b'["')
    while found is None:
        found = scan.feed(b"x" * 10_000)
        fed += 10_000
    assert found.limit == "string"
    assert fed <= 250_000


def test_work_grows_with_the_text_and_not_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """One long string in small parts: bytes looked at, together, are a few times those of the text."""
    import unstall.guard.json_scan as module

    looked = 0
    original = module._masked

    def counting(chunk: bytes) -> bytes:
        nonlocal looked
        looked += len(chunk)
        return original(chunk)

    monkeypatch.setattr(module, "_masked", counting)
    raw = b'["' + b"x" * 2_000_000 + b'"]'
    assert scanned(raw, JsonLimits(string=3_000_000), part=4_096) is None
    assert looked < 6 * len(raw)


def test_keys_with_escapes_are_compared_by_their_letters_wherever_they_are_wrong() -> None:
    limits = JsonLimits()
    members = [f'"\\u006b{number}":1' for number in range(500)]
    text = "{" + ",".join(members) + "}"
    assert scanned(text.encode(), limits) is None
    twice = text.replace("{", '{"k7":1,')
    for text in (twice, twice.replace('"\\u006b9"', '"\\q"')):  # what comes after that is no JSON
        found = scanned(text.encode(), limits)
        assert found is not None
        assert (found.limit, found.value) == ("duplicate_keys", "'k7'")


@pytest.mark.parametrize("wrong", [b"", b'"\\q":1,'])
def test_the_parser_is_asked_for_all_keys_of_a_slice_at_once(
    monkeypatch: pytest.MonkeyPatch, wrong: bytes
) -> None:
    """A client chooses its keys: by the key, it chose how long the loop was held."""
    asked = 0
    original = json.loads

    def counting(text: bytes) -> object:
        nonlocal asked
        asked += 1
        return original(text)

    monkeypatch.setattr(json, "loads", counting)
    keys = b",".join(b'"\\\\k%d":1' % number for number in range(1_000))
    scanned(b"{" + wrong + keys + b"}", JsonLimits(items=10_000))
    assert 1 <= asked < 30


def test_a_limit_that_is_longer_than_a_slice_takes_no_memory() -> None:
    """It could be a million million bytes."""
    assert scanned(b"[1,2,3]", JsonLimits(number=1 << 40)) is None


@pytest.mark.parametrize("limits", [{"depth": 0}, {"depth": 501}, {"items": -1}, {"number": True}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="give a whole number from 1"):
        JsonLimits(**limits)
