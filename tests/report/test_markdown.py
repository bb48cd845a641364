"""A comment on a pull request."""

from __future__ import annotations

from dataclasses import replace

from tests.report.sources import READ, TEXT, reached
from unstall.model.report import Verdict
from unstall.report.markdown import render


def test_it_begins_with_the_count_and_a_table() -> None:
    lines = render(READ).split("\n")
    assert lines[0] == "### unstall: findings: 2 errors, 1 note, 1 at start-up in shop"
    assert lines[4] == (
        "| 🔴 | `shop/repo.py:88` | US103 a synchronous database call on the event loop | POST /asr |"
    )


def test_each_finding_has_its_chain_and_its_remedy() -> None:
    text = render(READ)
    assert "- **Chain** `POST /asr [loop] → Repo.load [loop] → sqlalchemy" in text
    assert "- **Time-out** timeout=5" in text
    assert text.count("- **Remedy** ") == 2
    assert "<details><summary>Notes (1)</summary>" in text
    assert "- waived: 1" in text


def test_what_is_shown_together_has_the_entries_of_all() -> None:
    because = "no timeout is given"
    first = reached("US404", line=9, function="a", because=because)
    other = reached("US404", line=14, function="b", because=because, entries=(TEXT,))

    lines = render(replace(READ, findings=(first, other))).split("\n")

    assert lines[0] == "### unstall: findings: 2 warnings in shop"
    (row,) = [line for line in lines if line.startswith("| 🟡")]
    assert row.endswith("| POST /asr, GET /text/{id} |")
    assert "- **Entries** POST /asr, GET /text/{id}" in lines


def test_names_cannot_become_markup() -> None:
    odd = replace(
        reached(call="a`b|c", file="x_y.py", because="<img src=x> [l](u) *b* | c"), title="_t_"
    )
    text = render(replace(READ, findings=(odd,)))
    assert "<img" not in text
    assert "&lt;img src=x&gt; \\[l\\](u) \\*b\\* \\| c" in text
    assert "US103 \\_t\\_" in text
    assert "a'b\\|c" in text


def test_a_comment_takes_only_so_much_and_the_rest_is_counted() -> None:
    many = tuple(
        reached(line=n, function=f"f{n}", because=f"{n} " + "words " * 100) for n in range(1, 300)
    )
    text = render(replace(READ, findings=many))
    assert len(text) < 65_536
    assert "more do not fit here._" in text
    assert text.rstrip().endswith("invalid syntax")


def test_a_clean_report_is_short() -> None:
    text = render(
        replace(READ, findings=(), verdict=Verdict.CLEAN, hidden={}, waived=(), remarks=(), gaps=())
    )
    assert text == "### unstall: clean: nothing that must be mended was found in shop"
