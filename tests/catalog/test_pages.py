"""Every rule and every message has its page, and every page its rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unstall
from unstall.errors import UnstallError
from unstall.model.report import Verdict
from unstall.rules import BY_CODE

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.stem: path for path in (DOCS / "rules").glob("US*.md")}
SECTIONS = ["What", "Why it hurts", "Example", "Use instead"]
SHOWN = [
    ["What the watch shows"],
    ["What the audit shows"],
    ["What the watch shows", "What the audit shows"],
]


def test_every_rule_has_a_page_and_every_page_a_rule() -> None:
    assert set(PAGES) == set(BY_CODE)


@pytest.mark.parametrize("code", sorted(PAGES))
def test_a_page_has_its_title_and_its_sections(code: str) -> None:
    page = PAGES[code].read_text(encoding="utf-8")
    assert page.startswith(f"# {code}: {BY_CODE[code].title}\n")
    sections = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert sections[: len(SECTIONS)] == SECTIONS
    assert sections[len(SECTIONS) :] in SHOWN
    assert len(page.splitlines()) <= 50


def test_the_index_names_every_rule_by_its_title() -> None:
    index = (DOCS / "rules" / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[(US\d{3})\]\(US\d{3}\.md\) \| (.+?) \|", index, re.MULTILINE))
    assert rows == {code: rule.title for code, rule in BY_CODE.items()}


def test_a_remedy_and_a_page_name_nothing_that_is_not_there_yet() -> None:
    absent = re.compile(r"\b(?:lanes?|offload(?:ed|ing)?)\b", re.IGNORECASE)
    texts = {f"{rule.code}'s remedy": rule.remedy for rule in BY_CODE.values()}
    texts |= {code: page.read_text(encoding="utf-8") for code, page in PAGES.items()}
    if not (Path(unstall.__file__).parent / "lanes").is_dir():
        assert [code for code, text in texts.items() if absent.search(text)] == []


def test_every_error_has_an_entry() -> None:
    text = (DOCS / "messages.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^## (\S+)$", text, re.MULTILINE))
    assert headings == {cls.slug for cls in _tree(UnstallError)}


def _tree(cls: type[UnstallError]) -> set[type[UnstallError]]:
    return {cls}.union(*map(_tree, cls.__subclasses__()))


def test_the_reference_of_the_report_names_every_verdict() -> None:
    text = (DOCS / "reference" / "report-json.md").read_text(encoding="utf-8")
    assert [verdict for verdict in Verdict if f"`{verdict}`" not in text] == []
