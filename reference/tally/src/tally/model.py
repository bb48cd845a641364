"""Events, what may be in them, and what is answered; every stage reads them with the same words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from tally.problems import Problem
from tally.settings import Limits

T = TypeVar("T")

_LEAST_INT, _MOST_INT = -(2**63), 2**63 - 1
_LONGEST_DETAIL: Final = 300
_AGAIN_S: Final = 60
MOST_VALUE: Final = 1e15
"""Sums of so large values are still exact enough, and never overflow."""


Key = Annotated[str, Meta(min_length=1)]
Whole = Annotated[int, Meta(ge=_LEAST_INT, le=_MOST_INT)]
Dimension = str | Whole | bool
Value = Annotated[float, Meta(ge=-MOST_VALUE, le=MOST_VALUE)]


class Event(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """As a client sends it. Its identity is the customer, `event_id` and the day of `at` in UTC."""

    event_id: Annotated[str, Meta(min_length=1, max_length=128)]
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    at: Annotated[datetime, Meta(tz=True)]
    value: Value | UnsetType = UNSET
    """1.0 where it is not given: then `sum` is the count."""
    dimensions: dict[Key, Dimension] | UnsetType = UNSET
    properties: dict[Key, Any] | UnsetType = UNSET
    customer: Whole | UnsetType = UNSET
    """If given, it must be the customer of the key."""


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


class Status(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class EventResult(Struct, frozen=True, omit_defaults=True):
    """Of one event. `accepted` and `duplicate` both mean: it is stored, once."""

    status: Status
    event_id: str | None = None
    index: int | None = None
    reason: str | None = None
    detail: str | None = None


class BatchResult(Struct, frozen=True):
    accepted: int
    duplicates: int
    rejected: int
    results: Sequence[EventResult]


class Rejected(ValueError):
    """Of one event; `reason` is for programs. What is too large for any answer but one has a status."""

    def __init__(self, reason: str, detail: str, *, status: int = 422) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.status = status


_EVENT = msgspec.json.Decoder(Event)
_BATCH = msgspec.json.Decoder(Batch)
_BETWEEN = (b'" ', b'"\n', b'"\t', b'"\r')
_SPACED = re.compile(rb'"[ \t\r\n]+:')
_BEGIN = re.compile(rb'\s*\{\s*"events"\s*:\s*\[\s*')
_GAP = re.compile(rb"\s*,?\s*")
_END = re.compile(rb"\]\s*\}\s*")
_ZERO = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def event_of(raw: bytes, customer: int, now: datetime, limits: Limits) -> Event:
    """Raises Rejected."""
    if len(raw) > limits.event_bytes:
        raise Rejected(
            "event-too-large",
            f"the event has {len(raw)} bytes; at most {limits.event_bytes} are allowed",
            status=413,
        )
    event = _decoded(_EVENT, raw)
    if event.customer is not UNSET and event.customer != customer:
        raise Rejected(
            "other-customer",
            f"the event is of customer {event.customer}, and the key of another",
            status=403,
        )
    _check_time(event.at, now, limits)
    keys = _fields(event)
    if event.dimensions is not UNSET:
        _check_dimensions(event.dimensions, limits)
        keys += len(event.dimensions)
    if event.properties is not UNSET:
        keys += _measured(event.properties, limits)
    _check_text(raw, keys)
    return event


def batch_of(raw: bytes, limits: Limits) -> list[bytes]:
    """The events' own texts. Raises Rejected for what is no batch."""
    if len(raw) > limits.batch_bytes:
        raise Rejected(
            "batch-too-large",
            f"the batch has {len(raw)} bytes; at most {limits.batch_bytes} are allowed",
            status=413,
        )
    events = _decoded(_BATCH, raw).events
    if len(events) > limits.batch_events:
        raise Rejected(
            "batch-too-long",
            f"the batch has {len(events)} events; at most {limits.batch_events} are allowed",
        )
    texts = [bytes(each) for each in events]
    if not _is_plain(raw, texts) and _outermost(raw) > 1:
        raise Rejected("duplicate-key", "the key 'events' is there twice")
    return texts


def problem_of(rejected: Rejected) -> Problem:
    again = _AGAIN_S if rejected.status == 503 else None
    return Problem(rejected.status, rejected.reason, f"{rejected.detail}.", retry_after=again)


def answer_of(results: Iterable[EventResult]) -> BatchResult:
    """Counts, and each event's result under its place in the request."""
    told = [msgspec.structs.replace(each, index=index) for index, each in enumerate(results)]
    counts = dict.fromkeys(Status, 0)
    for each in told:
        counts[each.status] += 1
    return BatchResult(
        counts[Status.ACCEPTED], counts[Status.DUPLICATE], counts[Status.REJECTED], told
    )


def rejection(rejected: Rejected) -> EventResult:
    return EventResult(Status.REJECTED, reason=rejected.reason, detail=rejected.detail)


# --- what a decoder does not see -----------------------------------------------------------------


def _decoded(decoder: msgspec.json.Decoder[T], raw: bytes) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise Rejected("invalid", _quoted(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected("malformed", f"this is not JSON: {error}", status=400) from None
    except RecursionError:
        raise Rejected("too-deep", "the JSON text is nested too deeply") from None


def _quoted(text: str) -> str:
    """What quotes a client is kept short, and can be stored and shown: a field's name may be anything."""
    return "".join(each if each.isprintable() else "?" for each in text[:_LONGEST_DETAIL])


def _check_time(at: datetime, now: datetime, limits: Limits) -> None:
    ahead_s = (at - now).total_seconds()
    if ahead_s < -limits.past_s:
        days = limits.past_s / 86_400
        raise Rejected("too-old", f"the event is of {at.isoformat()}, more than {days:g} days ago")
    if ahead_s > limits.future_s:
        raise Rejected(
            "in-the-future",
            f"the event is of {at.isoformat()}, more than {limits.future_s:g} s ahead of the clock here",
        )


def _check_dimensions(dimensions: dict[str, Dimension], limits: Limits) -> None:
    if len(dimensions) > limits.dimensions:
        raise Rejected(
            "too-many-dimensions",
            f"there are {len(dimensions)} dimensions; at most {limits.dimensions} are allowed",
        )
    for key, value in dimensions.items():
        for text in (key, value):
            if type(text) is str and _bytes(text) > limits.dimension_bytes:
                raise Rejected(
                    "dimension-too-long",
                    f"the dimension {key[:80]!r} has a name or a value of more than "
                    f"{limits.dimension_bytes} bytes",
                )


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _fields(event: Event) -> int:
    """How many fields were given."""
    return 3 + sum(
        given is not UNSET
        for given in (event.value, event.dimensions, event.properties, event.customer)
    )


def _measured(properties: dict[str, Any], limits: Limits) -> int:
    """How many keys there are on all levels. Raises Rejected."""
    keys, values_seen, depth = 0, 0, 1
    level: list[Any] = [properties]
    while level:
        if depth > limits.depth:
            raise Rejected("too-deep", f"properties are nested deeper than {limits.depth} levels")
        below: list[Any] = []
        for each in level:
            values_seen += len(each)
            if values_seen > limits.values:
                raise Rejected(
                    "too-many-values",
                    f"properties have more than {limits.values} values, those in lists included",
                )
            values = each
            if type(each) is dict:
                keys += len(each)
                values = each.values()
            for value in values:
                kind = type(value)
                if kind is dict or kind is list:
                    below.append(value)
                elif kind is int and not _LEAST_INT <= value <= _MOST_INT:
                    raise Rejected("number", "a whole number in properties has more than 64 bits")
        level = below
        depth += 1
    if keys > limits.keys:
        raise Rejected(
            "too-many-keys",
            f"properties have {keys} keys; at most {limits.keys} are allowed",
        )
    return keys


def _check_text(raw: bytes, keys: int) -> None:
    """What a decoder lets through: zero bytes, which PostgreSQL cannot store, and a key given twice.

    A key stands before a colon, so where no more quotes do than there are keys, none was lost. Only what
    does not pass so is parsed again, which takes several times as long.
    """
    if b"\\u0000" in raw and _ZERO.search(raw):
        raise Rejected("zero-byte", "a text has the character U+0000 in it")
    if b"\x00" in raw:
        raise Rejected("malformed", "this is not JSON: it has a zero byte", status=400)
    spaced = any(gap in raw for gap in _BETWEEN) and _SPACED.search(raw)
    if spaced or raw.count(b'":') != keys:
        _check_twice(raw)


def _check_twice(raw: bytes) -> None:
    try:
        json.loads(raw, object_pairs_hook=_once)
    except UnicodeDecodeError:
        raise Rejected("malformed", "this is not UTF-8", status=400) from None


def _is_plain(raw: bytes, events: Sequence[bytes]) -> bool:
    """Whether a batch is these events between its brackets and nothing else: then no key is there twice."""
    begin = _BEGIN.match(raw)
    if begin is None:
        return False
    at = begin.end()
    for each in events:
        if not raw.startswith(each, at):
            return False
        at += len(each)
        gap = _GAP.match(raw, at)
        at = gap.end() if gap else at
    return _END.fullmatch(raw, at) is not None


def _outermost(raw: bytes) -> int:
    """How many keys the outermost object has; it is the last that the parser closes."""
    counts = [0]
    json.loads(raw, object_pairs_hook=lambda pairs: counts.append(len(pairs)))
    return counts[-1]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Rejected("duplicate-key", f"the key {key[:80]!r} is there twice")
        found[key] = value
    return found
