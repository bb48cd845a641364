"""docs/reference/plan.md names what there is: every key, placeholder and metric, and no other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from unstall.load.templates import KINDS
from unstall.plans import plan, plan_of
from unstall.triage.thresholds import LOOPS, OPERATORS, STREAMS, check

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "plan.md").read_text(encoding="utf-8")


def rows(title: str) -> Iterator[tuple[list[str], str]]:
    """The names in the first column, and the second, of all tables of a section."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| `"):
            first, second = line.strip("| ").split(" | ", 1)
            yield re.findall(r"`([^`]+)`", first), second


def names(title: str) -> list[str]:
    return [name for first, _ in rows(title) for name in first]


@pytest.mark.parametrize(
    ("title", "readers"),
    [("app", plan._APP), ("witness", plan._WITNESS), ("scenario", plan._SCENARIO), ("fault", plan._FAULT)],
)  # fmt: skip
def test_the_page_names_every_key_of_a_table(title: str, readers: dict[str, object]) -> None:
    assert sorted(names(title)) == sorted(readers)


def test_the_page_names_every_key_of_the_whole() -> None:
    tables = {"app", "witness", "scenario", "fault", "thresholds"}
    assert {*names("Of the whole"), *tables} == {*plan._PLAN}


def test_the_page_says_of_each_placeholder_what_the_code_says() -> None:
    told = {first[0]: second for first, second in rows("What is filled in")}
    assert told == {f"${{{kind.form}}}": kind.help for kind in KINDS.values()}


def test_the_page_names_every_metric_and_operator() -> None:
    assert sorted(names("thresholds")) == sorted([*STREAMS, *LOOPS])
    assert all(f"`{operator}`" in PAGE for operator in OPERATORS)


def test_the_example_of_the_page_is_a_plan(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text("{}")
    text = PAGE.partition("```toml\n")[2].partition("```")[0]
    example = plan_of(tomllib.loads(text), tmp_path / "plan.toml")
    assert len(example.scenarios) == 2
    check(example, ["healthy", *(fault.title for fault in example.faults)])
