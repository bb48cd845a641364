"""Annotations on a pull request."""

from __future__ import annotations

from dataclasses import replace

from tests.report.sources import QUERY, READ, reached
from unstall.model.finding import Severity
from unstall.report.github import MOST_OF_A_KIND, render


def commands(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("::")]


def test_a_finding_is_a_command_with_its_place_and_its_chain() -> None:
    (first, *_) = commands(render(READ))
    head, _, said = first.partition("::sqlalchemy")
    assert head == (
        "::error file=shop/repo.py,line=88,title=US103 a synchronous database call on the event loop"
    )
    assert "%0APOST /asr [loop] → Repo.load [loop] → " in said
    assert "%0ARemedy: use the driver's" in said


def test_severities_are_their_levels() -> None:
    warned = replace(READ, findings=(reached(severity=Severity.WARNING),))
    assert [line.split()[0] for line in commands(render(READ))] == [
        "::error", "::error", "::notice", "::notice",
    ]  # fmt: skip
    assert commands(render(warned))[0].startswith("::warning ")


def test_what_would_end_a_property_or_a_line_is_escaped() -> None:
    odd = replace(reached(file="a,b:c%.py", because="50% of\r\nit"), title="one, two: three")
    (line,) = commands(render(replace(READ, findings=(odd,))))
    assert line.startswith("::error file=a%2Cb%3Ac%25.py,line=88,title=US103 one%2C two%3A three::")
    assert "50%25 of%0D%0Ait" in line


def test_what_github_would_not_show_is_plain_text() -> None:
    many = tuple(reached(line=n, call=f"call{n}") for n in range(1, 26))
    text = render(replace(READ, findings=many))
    assert len(commands(text)) == MOST_OF_A_KIND
    assert sum(line.startswith("error shop/repo.py:") for line in text.split("\n")) == 15


def test_nothing_else_becomes_a_command() -> None:
    report = replace(
        READ, findings=(), remarks=("::error::gotcha\n::error::again",), target="a\n::b"
    )
    assert commands(render(report)) == []


def test_a_finding_about_the_whole_project_has_no_file() -> None:
    (line,) = commands(render(replace(READ, findings=(replace(QUERY, site=None),))))
    assert line.startswith("::error title=")


def test_a_wrong_waiver_is_an_error() -> None:
    text = render(replace(READ, findings=(), objections=("a.py:1: a waiver needs a reason",)))
    assert commands(text) == ["::error title=unstall::a.py:1: a waiver needs a reason"]
