"""What `GET /v1/metrics` may be asked, as a value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from tally.ingest.normalise import clean_key, clean_text
from tally.problems import Problem
from tally.settings import Limits

E = TypeVar("E", bound=StrEnum)

PARAMETERS: Final = (
    "name", "from", "to", "granularity", "dimensions", "filter", "aggregates", "unique_of",
)  # fmt: skip
_MOST_DIMENSIONS: Final = 4
_MOST_FILTERS: Final = 8
_MOST_MINUTES: Final = 2_880
_SPACE_FOR_PLUS = re.compile(r" (\d\d:?\d\d)$")


class Granularity(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


SPANS: Final[Mapping[Granularity, timedelta]] = {
    Granularity.MINUTE: timedelta(minutes=1),
    Granularity.HOUR: timedelta(hours=1),
    Granularity.DAY: timedelta(days=1),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Aggregate(StrEnum):
    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    UNIQUE = "unique"
    """Different values of the dimension `unique_of`: exact, for each of them has rows of its own."""


@dataclass(frozen=True, slots=True)
class MetricsQuery:
    """Whole buckets from `start` to before `end`. Equal queries have equal answers, so this is the key."""

    customer: int
    name: str
    start: datetime
    end: datetime
    granularity: Granularity
    dimensions: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    aggregates: tuple[Aggregate, ...] = (Aggregate.COUNT,)
    unique_of: str | None = None

    @property
    def key(self) -> str:
        return repr(
            (self.customer, self.name, self.start.timestamp(), self.end.timestamp(), str(self.granularity),
             self.dimensions, self.filters, tuple(map(str, self.aggregates)), self.unique_of)
        )  # fmt: skip


def query_of(
    customer: int, given: Sequence[tuple[str, str]], now: datetime, limits: Limits
) -> MetricsQuery:
    """From the pairs of a query string. Raises Problem."""
    for key, value in given:
        if key not in PARAMETERS:
            raise _bad(
                "unknown-parameter", f"{key[:80]!r} is not known: use {', '.join(PARAMETERS)}"
            )
        if "\x00" in value or len(value) > 500:
            raise _bad("parameter", f"{key} has a zero byte in it or is longer than 500 characters")
    one = {key: value for key, value in given if key != "filter"}
    if len(one) + sum(key == "filter" for key, _ in given) != len(given):
        raise _bad("parameter", "only filter may be given several times")
    name = one.get("name", "")
    if not name:
        raise _bad("parameter", "name is missing: say which events to count")
    granularity = _one_of(Granularity, "granularity", one.get("granularity", "minute"))
    start, end = _range(one, granularity, now, limits)
    dimensions = tuple(dict.fromkeys(map(clean_key, _list(one.get("dimensions", "")))))
    if len(dimensions) > _MOST_DIMENSIONS:
        raise _bad(
            "too-many-dimensions",
            f"dimensions has {len(dimensions)}: give {_MOST_DIMENSIONS} at most",
        )
    aggregates = tuple(
        _one_of(Aggregate, "aggregates", each) for each in _list(one.get("aggregates", "count"))
    )
    unique_of = clean_key(one["unique_of"]) if one.get("unique_of") else None
    if (Aggregate.UNIQUE in aggregates) != (unique_of is not None):
        raise _bad(
            "parameter", "the aggregate unique and unique_of=DIMENSION go together: give both"
        )
    return MetricsQuery(
        customer, name, start, end, granularity, dimensions,
        _filters([value for key, value in given if key == "filter"]),
        aggregates or (Aggregate.COUNT,), unique_of,
    )  # fmt: skip


def _range(
    one: Mapping[str, str], granularity: Granularity, now: datetime, limits: Limits
) -> tuple[datetime, datetime]:
    span = SPANS[granularity]
    end = _up(_moment("to", one["to"]), span) if "to" in one else _down(now, span) + span
    start = _down(_moment("from", one["from"]), span) if "from" in one else end - 60 * span
    if start >= end:
        raise _bad("range", "from is not before to")
    most = timedelta(seconds=limits.range_s)
    if granularity is Granularity.MINUTE:
        most = min(most, _MOST_MINUTES * span)
    if end - start > most + span:
        raise _bad(
            "range-too-wide",
            f"from and to are {(end - start) / timedelta(hours=1):g} hours apart; for the granularity "
            f"{granularity} at most {most / timedelta(hours=1):g} are allowed",
        )
    return start, end


def _moment(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(_SPACE_FOR_PLUS.sub(r"+\1", text))
        if found.tzinfo is None:
            raise ValueError
        found = found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _bad(
            "parameter", f"{name} is {text[:80]!r}: give a time as 2026-11-21T10:00:00Z"
        ) from None
    if not 1970 <= found.year < 2200:
        raise _bad("parameter", f"{name} is {text[:80]!r}: give a time of the years 1970 to 2199")
    return found


def _down(at: datetime, span: timedelta) -> datetime:
    return _EPOCH + (at - _EPOCH) // span * span


def _up(at: datetime, span: timedelta) -> datetime:
    return _EPOCH - (_EPOCH - at) // span * span


def _list(text: str) -> tuple[str, ...]:
    """Without repetitions, in the order given."""
    return tuple(dict.fromkeys(part for part in text.split(",") if part))


def _filters(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """As events are normalised: who asks says what who sends has said."""
    if len(given) > _MOST_FILTERS:
        raise _bad("parameter", f"filter is given {len(given)} times: give {_MOST_FILTERS} at most")
    found: dict[str, str] = {}
    for text in given:
        given_name, colon, given_value = text.partition(":")
        name, value = clean_key(given_name), clean_text(given_value)
        if not (given_name and colon) or found.get(name, value) != value:
            raise _bad(
                "parameter",
                f"filter is {text[:80]!r}: give DIMENSION:VALUE, one for each dimension",
            )
        found[name] = value
    return tuple(sorted(found.items()))


def _one_of(kind: type[E], name: str, text: str) -> E:
    try:
        return kind(text)
    except ValueError:
        allowed = ", ".join(kind)
        raise _bad("parameter", f"{name} is {text[:80]!r}: give one of {allowed}") from None


def _bad(reason: str, detail: str) -> Problem:
    return Problem(422, reason, f"{detail}.")
