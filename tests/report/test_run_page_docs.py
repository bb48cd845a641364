"""The pages about runs say what the code does: every key of the JSON, every flag of the workflows."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from tests.support.runs import calm
from unstall.cli.commands import Parser
from unstall.model.finding import Finding
from unstall.model.proof import Run
from unstall.model.report import Report
from unstall.report.run_figures import PhaseFigures
from unstall.report.run_json import document_of
from unstall.triage.regression import Change

ROOT = Path(__file__).parents[2]
JSON_PAGE = (ROOT / "docs/reference/run-json.md").read_text()
CI_PAGE = (ROOT / "docs/how-to/ci.md").read_text()
WORKFLOWS = [
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", CI_PAGE, re.DOTALL)
]
ELSEWHERE = (Finding, Report)
"""Have a page of their own."""


def reached(cls: Any, seen: dict[str, Any]) -> dict[str, Any]:
    if cls in ELSEWHERE or cls.__name__ in seen:
        return seen
    seen[cls.__name__] = cls
    for hint in get_type_hints(cls).values():
        for each in inside(hint):
            reached(each, seen)
    return seen


def inside(hint: Any) -> Iterator[Any]:
    if is_dataclass(hint):
        yield hint
    for arg in get_args(hint):
        yield from inside(arg)


CLASSES = {**reached(Run, {}), **reached(PhaseFigures, {}), **reached(Change, {})}


def keys_below(heading: str) -> list[str]:
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", JSON_PAGE, re.MULTILINE | re.DOTALL)
    assert section, heading
    return re.findall(r"^\| `(\w+)` \| \S", section[1], re.MULTILINE)


@pytest.mark.parametrize("name", CLASSES)
def test_every_key_of_a_run_has_its_row(name: str) -> None:
    assert keys_below(name) == [field.name for field in fields(CLASSES[name])]


def test_no_class_is_described_that_is_not_there() -> None:
    headings = set(re.findall(r"^## (.+)$", JSON_PAGE, re.MULTILINE))
    assert headings == {*CLASSES, "What is derived"}


def test_every_key_that_is_derived_has_its_row() -> None:
    derived = document_of(calm()).keys() - {field.name for field in fields(Run)}
    assert set(keys_below("What is derived")) == derived


@pytest.mark.parametrize("page", [JSON_PAGE, CI_PAGE], ids=["run-json", "ci"])
def test_links_inside_a_page_have_their_target(page: str) -> None:
    anchors = {
        re.sub(r"[^\w -]", "", h).lower().replace(" ", "-")
        for h in re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", page)) <= anchors


# --- workflows ------------------------------------------------------------------------------


def scripts(value: Any) -> Iterator[str]:
    """Every text in a workflow."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from scripts(each)
    elif isinstance(value, list):
        for each in value:
            yield from scripts(each)


def commands() -> list[str]:
    """Every call of unstall on the page: in workflows, and in blocks that are indented."""
    lines = [
        line for workflow in WORKFLOWS for text in scripts(workflow) for line in text.splitlines()
    ]
    lines += [line[4:] for line in CI_PAGE.splitlines() if line.startswith("    unstall ")]
    return [line.strip() for line in lines if re.match(r"\s*unstall [a-z]", line)]


def test_there_is_a_workflow_for_github_and_a_job_for_gitlab() -> None:
    github, gitlab = WORKFLOWS
    steps = github["jobs"]["prove"]["steps"]
    assert all(("uses" in step) != ("run" in step) for step in steps)
    assert gitlab["prove"]["artifacts"]["reports"]["junit"] == "run.xml"


def test_there_are_calls_to_check() -> None:
    assert len(commands()) >= 6


@pytest.mark.parametrize("command", commands())
def test_a_call_on_the_page_is_understood(command: str) -> None:
    plain = command.replace(' "${baseline[@]}"', " --baseline base.json").split("||")[0]
    _, name, *argv = shlex.split(plain)
    module = import_module(f"unstall.cli.{name}")
    parser: argparse.ArgumentParser = Parser(prog=name, allow_abbrev=False)
    module.configure(parser)
    parser.parse_args(argv)


def test_a_call_with_a_flag_that_is_not_there_is_not() -> None:
    module = import_module("unstall.cli.report")
    parser = Parser(prog="report", allow_abbrev=False)
    module.configure(parser)
    with pytest.raises(Exception, match="--formal"):
        parser.parse_args(["run.json", "--formal"])


def test_the_extras_that_are_installed_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = [
        each for group in re.findall(r"unstall\[([\w,]+)\]", CI_PAGE) for each in group.split(",")
    ]
    assert named
    assert set(named) <= extras.keys()
