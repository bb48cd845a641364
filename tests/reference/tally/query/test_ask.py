"""What may be asked of the metrics."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tally.problems import Problem
from tally.query.ask import Aggregate, Granularity, MetricsQuery, query_of
from tally.query.sql import statement_of
from tally.settings import Limits

NOW = datetime(2026, 11, 21, 12, 34, 56, tzinfo=UTC)


def ask(*pairs: tuple[str, str]) -> MetricsQuery:
    return query_of(7, pairs, NOW, Limits())


def test_a_name_is_enough() -> None:
    found = ask(("name", "sale"))
    assert (found.granularity, found.aggregates) == (Granularity.MINUTE, (Aggregate.COUNT,))
    assert found.start == datetime(2026, 11, 21, 11, 35, tzinfo=UTC)
    assert found.end == datetime(2026, 11, 21, 12, 35, tzinfo=UTC)


def test_ranges_grow_to_whole_buckets_so_that_equal_questions_are_one() -> None:
    pairs = (("name", "sale"), ("granularity", "hour"))
    one = ask(*pairs, ("from", "2026-11-20T01:00:00Z"), ("to", "2026-11-20T02:59:59Z"))
    other = ask(*pairs, ("from", "2026-11-20T02:30:00+01:00"), ("to", "2026-11-20T03:00:00Z"))
    assert one == other
    assert one.key == other.key


def test_a_plus_that_became_a_space_is_a_plus() -> None:
    found = ask(
        ("name", "s"), ("from", "2026-11-21T12:00:00 01:00"), ("to", "2026-11-21T12:00:00Z")
    )
    assert found.start == datetime(2026, 11, 21, 11, tzinfo=UTC)


def test_filters_are_sorted_and_may_have_colons() -> None:
    found = ask(("name", "s"), ("filter", "url:http://x"), ("filter", "country:de"))
    assert found.filters == (("country", "de"), ("url", "http://x"))


def test_dimensions_are_asked_for_as_they_are_sent() -> None:
    found = ask(
        ("name", "s"), ("dimensions", "Country,country,Sign-Up Plan"), ("filter", " Größe: Zu\u0308rich "),
        ("aggregates", "unique"), ("unique_of", "User"),
    )  # fmt: skip
    assert found.dimensions == ("country", "sign_up_plan")
    assert found.filters == (("gr_e", "Z\u00fcrich"),)
    assert found.unique_of == "user"


BAD: list[tuple[list[tuple[str, str]], str]] = [
    ([], "parameter"),
    ([("name", "")], "parameter"),
    ([("name", "s"), ("name", "t")], "parameter"),
    ([("name", "s\x00")], "parameter"),
    ([("name", "s"), ("colour", "red")], "unknown-parameter"),
    ([("name", "s"), ("granularity", "second")], "parameter"),
    ([("name", "s"), ("aggregates", "median")], "parameter"),
    ([("name", "s"), ("aggregates", "unique")], "parameter"),
    ([("name", "s"), ("unique_of", "user")], "parameter"),
    ([("name", "s"), ("filter", "country")], "parameter"),
    ([("name", "s"), ("filter", "a:1"), ("filter", "a:2")], "parameter"),
    ([("name", "s"), ("from", "yesterday")], "parameter"),
    ([("name", "s"), ("from", "2026-11-21T12:00:00")], "parameter"),
    ([("name", "s"), ("to", "9999-12-31T23:59:59-12:00")], "parameter"),
    ([("name", "s"), ("from", "2026-11-21T12:00:00Z"), ("to", "2026-11-21T11:00:00Z")], "range"),
    ([("name", "s"), ("from", "2026-11-18T12:00:00Z")], "range-too-wide"),
    ([("name", "s"), ("granularity", "day"), ("from", "2026-01-01T00:00:00Z")], "range-too-wide"),
    ([("name", "s"), ("dimensions", "a,b,c,d,e")], "too-many-dimensions"),
]


@pytest.mark.parametrize(("pairs", "reason"), BAD)
def test_a_bad_question_is_told_its_reason(pairs: list[tuple[str, str]], reason: str) -> None:
    with pytest.raises(Problem) as caught:
        ask(*pairs)
    assert (caught.value.status, caught.value.reason) == (422, reason)


def test_what_a_client_says_never_becomes_sql() -> None:
    nasty = "x'); DROP TABLE events; --"
    found = ask(
        ("name", nasty), ("dimensions", nasty), ("filter", f"{nasty}:{nasty}"),
        ("aggregates", "unique"), ("unique_of", nasty),
    )  # fmt: skip
    text, given = statement_of(found, 100)
    assert "DROP" not in text
    held: dict[str, Any] = dict(given)
    assert held["event"] == nasty
    assert held["d0"] == held["unique_of"] == "x_drop_table_events"
