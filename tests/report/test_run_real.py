"""A run that a real service, a real proxy and a real load have brought home, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from unstall.model.proof import Run
from unstall.report import junit, run_github, run_html, run_json, run_markdown, run_text
from unstall.report.run_figures import figures_of
from unstall.triage.gate import Gate, gate_of
from unstall.triage.regression import Direction, compare

FILE = Path(__file__).parents[1] / "support" / "real_run.json"


@pytest.fixture(scope="module")
def made() -> Run:
    return Run.from_json(json.loads(FILE.read_text(encoding="utf-8")))


def test_every_format_names_the_line_and_the_verdict(made: Run) -> None:
    for said in (
        run_text.text(made), run_html.page(made), junit.render(made), run_github.render(made),
        run_markdown.render(made),
    ):  # fmt: skip
        assert "frozen" in said
        assert "reference/incident/app.py" in said
        assert "requests.get" in said


def test_the_figures_are_those_that_were_counted(made: Run) -> None:
    healthy, hang = figures_of(made)
    assert (healthy.stalls, healthy.victims, healthy.streams[0].errors) == (0, 0, 0)
    assert (hang.stalls, hang.verdict) == (7, "frozen")
    for phase in (healthy, hang):
        (stream,) = phase.streams
        assert stream.due == 435
        assert stream.errors + sum(n for status, n in stream.statuses if status == "200") == 435


def test_the_gate_is_shut(made: Run) -> None:
    assert gate_of(made) is Gate.SHUT
    root = ElementTree.fromstring(junit.render(made))
    assert (root.get("tests"), root.get("failures")) == ("2", "1")


def test_it_is_no_worse_than_itself_and_comes_back_from_json(made: Run) -> None:
    assert {each.direction for each in compare(made, made)} <= {Direction.SAME, Direction.UNKNOWN}
    again = Run.from_json(json.loads(run_json.render(made)))
    assert again.phases == made.phases
