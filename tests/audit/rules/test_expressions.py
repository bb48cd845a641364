"""Which patterns take exponential time."""

from __future__ import annotations

import pytest

from unstall.audit.rules.expressions import is_exponential


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"(a*)*$",
        r"(?:[a-z]+)*,$",
        r"^(\w+\s?)+$",
        r"((a+))+b",
        r"x|(a+)+",
        r"(a{1,20})+$",
        r"(a+?)+$",
    ],
)
def test_a_repetition_of_nothing_but_a_repetition_is_exponential(pattern: str) -> None:
    assert is_exponential(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"a+$",
        r"(?:[a-z]+,)*$",
        r"(a{1,3}){1,3}",
        r"(ab)*",
        r"^(\w+)\s(\w+)$",
        r"(a+)?",
        r"[(a+)+]",
        r"\(a+\)+",
    ],
)
def test_other_patterns_are_not(pattern: str) -> None:
    assert not is_exponential(pattern)


@pytest.mark.parametrize("pattern", ["(", "[", "(?P<a>x)(?P<a>y)", "*"])
def test_what_is_no_pattern_is_not_judged(pattern: str) -> None:
    assert not is_exponential(pattern)
