"""A bomb of dimensions costs its own breakdown, and nobody's totals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tally.ingest.rows import Row
from tally.ingest.series import OVERFLOW, Series

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def row(dimensions: str, at: datetime = NOON, customer: int = 1) -> Row:
    return Row(customer, "e", "n", at, 1.0, dimensions, "{}")


def test_series_within_the_limit_are_their_own() -> None:
    series = Series(2)
    assert [series.of(row(text)) for text in ("a", "b", "a")] == ["a", "b", "a"]
    assert series.folded == 0


def test_series_beyond_it_count_together_and_those_before_go_on() -> None:
    series = Series(2)
    assert [series.of(row(text)) for text in "abcda"] == ["a", "b", OVERFLOW, OVERFLOW, "a"]
    assert series.folded == 2


def test_another_hour_and_another_customer_begin_anew() -> None:
    series = Series(1)
    series.of(row("a"))
    assert series.of(row("b", NOON + timedelta(hours=1))) == "b"
    assert series.of(row("b", customer=2)) == "b"
    assert series.of(row("b")) == OVERFLOW


def test_a_million_names_do_not_fill_the_memory() -> None:
    series = Series(2, most_in_all=3)
    for customer in (1, 2):
        for text in ("a", "b"):
            assert series.of(row(text, customer=customer)) == text
    assert series.of(row("c", customer=2)) == OVERFLOW, "who came last keeps the limit"
    assert series.of(row("c", customer=1)) == "c", "who came first was forgotten"
