"""Values that repeat themselves, written once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.report.examples import FOUND
from tests.report.sources import QUERY, READ
from unstall.model.finding import Finding
from unstall.model.packed import pack, unpack
from unstall.model.report import Report


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(pack(value)))


@pytest.mark.parametrize("report", [READ, FOUND], ids=["source", "run"])
def test_a_report_comes_back_as_it_was(report: Report) -> None:
    assert unpack(Report, through_json(report)) == report


def test_what_is_equal_is_written_once() -> None:
    many = replace(READ, findings=tuple(replace(QUERY) for _ in range(500)))
    assert len(pack(many)) == len(pack(replace(READ, findings=(QUERY,))))


def test_true_and_1_are_two_values() -> None:
    finding = replace(
        QUERY, latent=True, evidence=(replace(QUERY.evidence[0], count=1, p50_ms=1.0),)
    )
    back = unpack(Finding, through_json(finding))
    assert (back.latent, back.evidence[0].count, back.evidence[0].p50_ms) == (True, 1, 1.0)
    assert [type(each) for each in (back.latent, back.evidence[0].count, back.evidence[0].p50_ms)] == [
        bool, int, float,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rows", [[], [["", 1]], [["Nobody", 0]], [["Finding", 7]], [["()", 0]], [[]], [3], [["{}", 0]]]
)
def test_rows_that_are_no_such_value_are_refused(rows: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, IndexError)):
        unpack(Report, rows)
