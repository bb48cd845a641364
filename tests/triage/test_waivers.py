"""A comment that answers for a finding: where it may stand, what it must say, how long it holds."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

from tests.report.sources import READ, reached
from unstall.model.report import Report
from unstall.rules import BY_CODE
from unstall.triage.waivers import Waivers, unused, waived, waivers_in

TODAY = date(2026, 6, 1)
SOURCE = '''\
@app.get("/x")
async def load(
    key,
):
    first()
    second(
        key,
    )
    with third() as t:
        t.read()


async def other():
    first()
'''  # fmt: skip


def with_comment(line: int, comment: str, *, above: bool = False) -> str:
    lines = SOURCE.splitlines()
    if above:
        lines.insert(line - 1, f"    {comment}")
    else:
        lines[line - 1] += f"  {comment}"
    return "\n".join(lines) + "\n"


def read_by(text: str) -> Waivers:
    return waivers_in(["a.py"], {"a.py": text}.get, BY_CODE)


def report_of(text: str, line: int, code: str = "US106") -> tuple[Report, Waivers]:
    finding = reached(code, "f", file="a.py", line=line, function="load")
    waivers = read_by(text)
    report, _ = waived(
        replace(READ, findings=(finding,), waived=()), waivers, {"a.py": text}.get, TODAY
    )
    return report, waivers


GOOD = "# unstall: ignore[US106] it is tiny"


@pytest.mark.parametrize(
    ("comment_at", "above", "site"),
    [
        (5, False, 5),  # on the line
        (5, True, 6),  # alone above it
        (6, False, 6),  # any line of the statement
        (8, False, 6),
        (7, False, 7),
        (9, False, 9),  # the head of a with
        (2, False, 5),  # the def line
        (3, False, 10),  # anywhere in the head of the function
        (1, False, 5),  # a decorator
        (1, True, 6),  # alone above the function
    ],
)
def test_it_speaks_for_its_statement_and_its_function(
    comment_at: int, above: bool, site: int
) -> None:
    report, _ = report_of(with_comment(comment_at, GOOD, above=above), site)
    assert report.findings == ()
    assert report.waived[0].reason == "it is tiny"


@pytest.mark.parametrize(
    ("comment_at", "site"),
    [
        (5, 6),  # at the end of the line above, it speaks for that line
        (9, 10),  # the head of a with is not its body
        (2, 14),  # another function
        (5, 14),
    ],
)
def test_it_speaks_for_nothing_else(comment_at: int, site: int) -> None:
    report, _ = report_of(with_comment(comment_at, GOOD), site)
    assert len(report.findings) == 1
    assert report.waived == ()


def test_it_waives_the_rules_it_names_and_no_other() -> None:
    text = with_comment(5, "# unstall: ignore[US103, us106] it is tiny")
    assert report_of(text, 5, "US103")[0].findings == ()
    assert report_of(text, 5, "US106")[0].findings == ()
    assert len(report_of(text, 5, "US102")[0].findings) == 1


def test_it_stands_beside_comments_for_others() -> None:
    report, waivers = report_of(
        with_comment(5, "# noqa: X1  # unstall: ignore[US106] tiny  # nosec"), 5
    )
    assert report.findings == ()
    assert waivers.waivers[0].reason == "tiny"


@pytest.mark.parametrize(
    ("comment", "sentence"),
    [
        ("# unstall: ignore[US106]", "a waiver needs a reason, and waives nothing without one"),
        ("# unstall: ignore[US106] -- ", "a waiver needs a reason"),
        ("# unstall: ignore[US106] until=2027-01-31", "a waiver needs a reason"),
        ("# unstall: ignore it is tiny", "a waiver names its rules"),
        ("# unstall: ignore[] it is tiny", "a waiver names its rules"),
        ("# unstall: ignore[US160] tiny", "a waiver names 'US160', and .*did you mean US1"),
        ("# unstall: ignore[US106] tiny until=soon", "until=soon is no day"),
        ("# unstall: ignore[US106] tiny until=2027-02-31", "until=2027-02-31 is no day"),
    ],
)
def test_one_that_is_wrong_waives_nothing_and_is_told(comment: str, sentence: str) -> None:
    report, _ = report_of(with_comment(5, comment), 5)
    assert len(report.findings) == 1
    (told,) = report.objections
    assert told.startswith("a.py:5: ")
    assert re.search(sentence, told)


def test_one_that_has_ended_waives_nothing_and_is_said() -> None:
    text = with_comment(5, "# unstall: ignore[US106] tiny until=2026-05-31")
    report, _ = report_of(text, 5)
    assert len(report.findings) == 1
    assert "a.py:5: the waiver of US106 ended on 2026-05-31" in report.remarks[-1]
    lasts = with_comment(5, "# unstall: ignore[US106] until=2026-06-01 tiny")
    report, _ = report_of(lasts, 5)
    assert (report.findings, report.waived[0].until) == ((), "2026-06-01")


def test_one_that_nothing_needs_is_known() -> None:
    text = with_comment(5, GOOD)
    _, idle = waived(replace(READ, findings=()), read_by(text), {"a.py": text}.get, TODAY)
    assert [unused(each) for each in idle] == [
        "a.py:5: the waiver of US106 waives nothing: remove it"
    ]


def test_text_in_a_string_is_no_waiver() -> None:
    assert read_by(f's = "{GOOD}"\n') == Waivers()


def test_what_cannot_be_parsed_still_has_lines() -> None:
    report, _ = report_of(f"load(1)  {GOOD}\nasync def f(:\n", 1)
    assert report.findings == ()
