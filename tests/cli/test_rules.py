"""`unstall rules`: the list, and the pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstall.cli import main
from unstall.report import pages
from unstall.rules import RULES


def test_every_rule_is_listed_with_its_severity(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[rule.code, rule.severity] for rule in RULES]


def test_a_rule_is_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "us103", "US102"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# US103: a synchronous database call on the event loop\n")
    assert "\n\n# US102: " in out


def test_where_pages_were_not_shipped_the_row_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "_FOLDERS", (tmp_path,))
    assert main(["rules", "US101"]) == 0
    assert capsys.readouterr().out == (
        "US101: a synchronous sleep on the event loop (error)\n\nawait asyncio.sleep(…) instead\n"
    )


def test_a_rule_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "US198"]) == 2
    assert capsys.readouterr().err.startswith(
        "unstall: CODE is 'US198', and no rule's code begins so; did you mean US1"
    )
