"""A run as JSON, JUnit XML, Markdown and workflow commands."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from tests.support.runs import CHARGE, HANG, Service, calm, frozen, run
from unstall.model.finding import Severity
from unstall.model.outcome import Outcome
from unstall.model.proof import Judged, Run
from unstall.report import junit, run_github, run_html, run_json, run_markdown
from unstall.triage.regression import compare

EVIL = "]]></failure><evil/>&\x00\x1b[31m\ud800 | `x` <script>::error::\n\n# head"


def evil() -> Run:
    """Every name that an application can choose holds what every format could trip over."""
    made = frozen()
    fault = replace(HANG, name=EVIL)
    phases = run(faults=((fault, Service(stalls=((1.0, 3.0),))),)).phases
    finding = replace(
        CHARGE, title=EVIL, site=replace(CHARGE.site, file=EVIL) if CHARGE.site else None
    )
    return replace(
        made, target=EVIL, phases=phases, findings=(finding,), gaps=(EVIL,),
        thresholds=(Judged(EVIL, EVIL, 3.0, False), Judged(EVIL, EVIL, None, False)),
    )  # fmt: skip


# --- JSON -----------------------------------------------------------------------------------


def test_json_is_the_run_again_with_its_figures_worked_out() -> None:
    made = frozen()
    data = json.loads(run_json.render(made, compare(calm(), made)))
    assert Run.from_json(data) == made
    assert data["version"] == 1
    assert data["gate"] == "shut"
    healthy, hang, _ = data["figures"]
    assert healthy["name"] == "healthy"
    assert hang["verdict"] == "frozen"
    assert hang["witness"]["p99_ms"] > 1000
    assert {each["direction"] for each in data["changes"]} >= {"regression", "same", "unknown"}


# --- JUnit ----------------------------------------------------------------------------------


def test_junit_has_a_test_for_each_phase_and_each_threshold() -> None:
    root = ElementTree.fromstring(junit.render(frozen()))
    cases = {(case.get("classname"), case.get("name")): case for case in root.iter("testcase")}
    assert len(cases) == 3 + 5
    assert [root.get(key) for key in ("tests", "failures", "skipped")] == ["8", "3", "1"]
    hang = cases["unstall.phases", HANG.title]
    failure = hang.find("failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("frozen: the witness waited")
    assert "checkout: 718 due" in str(failure.text) or "checkout: " in str(failure.text)
    assert "shop/billing.py:31 in Billing.charge, calling requests.get" in str(failure.text)
    assert cases["unstall.phases", "healthy"].find("failure") is None
    missed = cases["unstall.thresholds", f"loop.stalls == 0 in {HANG.title}"].find("failure")
    assert missed is not None
    assert missed.get("message") == "loop.stalls == 0 in hang BILLING_URL: 3"
    unmeasured = cases["unstall.thresholds", "pool.wait_p99_ms < 5 in latency REDIS_URL"]
    assert unmeasured.find("skipped") is not None
    assert unmeasured.find("failure") is None


def test_junit_counts_what_each_suite_holds() -> None:
    root = ElementTree.fromstring(junit.render(frozen(), compare(calm(), frozen())))
    for suite in root:
        cases = list(suite.iter("testcase"))
        assert suite.get("tests") == str(len(cases))
        assert suite.get("failures") == str(sum(case.find("failure") is not None for case in cases))
        assert suite.get("skipped") == str(sum(case.find("skipped") is not None for case in cases))
    assert [suite.get("name") for suite in root] == [
        "unstall.phases", "unstall.thresholds", "unstall.baseline",
    ]  # fmt: skip


def test_a_regression_is_a_failure_and_a_calm_comparison_is_a_test_that_passed() -> None:
    worse = ElementTree.fromstring(junit.render(frozen(), compare(calm(), frozen())))
    names = [
        case.get("name") for case in worse.iter("testcase") if case.find("failure") is not None
    ]
    assert f"{HANG.title}: checkout.p95_ms" in names
    same = ElementTree.fromstring(junit.render(calm(), compare(calm(), calm())))
    (baseline,) = [s for s in same if s.get("name") == "unstall.baseline"]
    assert (baseline.get("tests"), baseline.get("failures")) == ("1", "0")


def test_junit_stays_xml_whatever_an_application_is_named() -> None:
    root = ElementTree.fromstring(junit.render(evil(), compare(calm(), frozen())).encode())
    assert root.find(".//evil") is None
    assert len(list(root.iter("testcase"))) > 4


def test_an_empty_run_is_an_empty_suite() -> None:
    root = ElementTree.fromstring(junit.render(replace(calm(), phases=(), thresholds=())))
    assert (root.get("tests"), len(root)) == ("0", 0)


# --- Markdown -------------------------------------------------------------------------------


def test_markdown_begins_with_the_verdict_and_the_gate() -> None:
    said = run_markdown.render(frozen(), compare(calm(), frozen()))
    head, _, gate, *_ = said.splitlines()
    assert head == "### 🔴 unstall: frozen: 1 of 2 faults froze bystanders of shop:app"
    assert gate.startswith("**2 of 5 thresholds missed, 1 could not be measured, ")


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    for made in (frozen(), evil()):
        said = run_markdown.render(made, compare(calm(), frozen()))
        tables = re.findall(r"(?:^\|.*\n?)+", said, re.MULTILINE)
        assert len(tables) >= 2
        for table in tables:
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1


def test_markdown_names_the_line_the_way_to_it_and_the_proof() -> None:
    said = run_markdown.render(frozen())
    assert "`shop/billing.py:31 requests.get` (proved)" in said
    assert "`POST /orders → Orders.place → Billing.charge [loop] → requests.get [loop]`" in said
    assert "- proved under hang BILLING\\_URL: 3 stalls" in said


def test_nothing_that_an_application_names_becomes_markup() -> None:
    said = re.sub(r"`[^`]*`", "", run_markdown.render(evil()))
    assert "<script" not in said
    assert "<evil" not in said
    assert not re.search(r"^# head", said, re.MULTILINE)


def test_a_summary_never_grows_beyond_what_is_shown() -> None:
    made = replace(frozen(), gaps=tuple(f"gap {n}" for n in range(500)))
    said = run_markdown.render(made)
    assert "- and 481 more" in said
    assert "gap 30" not in said


# --- GitHub ---------------------------------------------------------------------------------


def test_the_proved_line_is_an_error_at_its_place() -> None:
    first = run_github.render(frozen()).splitlines()[0]
    assert first.startswith("::error file=shop/billing.py,line=31,title=US102 a synchronous HTTP")


def test_what_was_missed_and_what_froze_are_errors_and_what_is_not_known_warns() -> None:
    said = run_github.render(frozen(), compare(calm(), frozen())).splitlines()
    assert "::error title=unstall threshold missed::loop.stalls == 0 in hang BILLING_URL: 3" in said
    assert any(line.startswith("::error title=unstall frozen::hang BILLING_URL: ") for line in said)
    assert any(line.startswith("::error title=unstall regression::") for line in said)
    assert any(line.startswith("::warning title=unstall::pool.wait_p99_ms") for line in said)
    assert said[-2] == "frozen: 1 of 2 faults froze bystanders of shop:app"


def test_a_calm_run_annotates_nothing() -> None:
    assert "::" not in run_github.render(calm(), compare(calm(), calm()))


def test_no_more_annotations_than_github_shows() -> None:
    many = tuple(Judged(f"a.p{n}_ms < 1", "healthy", 9.0, False) for n in range(30))
    said = run_github.render(replace(calm(), thresholds=many)).splitlines()
    assert sum(line.startswith("::error") for line in said) == 10
    assert "a.p29_ms < 1 in healthy: 9" in said


def test_no_name_becomes_a_command() -> None:
    for line in run_github.render(evil(), compare(calm(), frozen())).splitlines():
        assert (
            line.startswith(("::error title", "::error file", "::warning title"))
            or "::" not in line
        )


def test_the_summary_of_the_job_is_appended_where_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    run_github.summarise(frozen(), (), {run_github.SUMMARY: str(file)})
    assert file.read_text().startswith("before\n### 🔴 unstall: frozen")
    run_github.summarise(frozen(), (), {})


def test_what_was_measured_and_not_proved_warns() -> None:
    measured = replace(
        CHARGE,
        severity=Severity.WARNING,
        evidence=tuple(e for e in CHARGE.evidence if e.kind == "measured"),
    )
    said = run_github.render(replace(calm(), findings=(measured,)))
    assert said.startswith("::warning file=shop/billing.py,line=31,")


# --- what was cut off -----------------------------------------------------------------------


def test_a_phase_that_ended_before_it_began_is_shown_in_every_format() -> None:
    made = frozen()
    short = replace(made.phases[1], seconds=0.0)
    empty = replace(made.phases[2], outcome=Outcome(), lag=(), because="")
    for phases in ((short,), (made.phases[0], short), (made.phases[0], empty), (empty,)):
        cut = replace(made, phases=phases, interrupted=True)
        for before, after in ((made, cut), (cut, made)):
            changes = compare(before, after)
            assert "did not run" in str(changes)
            assert "frozen" in run_html.page(after, before, changes)
            for module in (junit, run_markdown, run_github, run_json):
                assert "frozen" in module.render(after, changes)
