"""`unstall report` of the outcome of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.runs import PLAN, Service, calm, frozen, run
from unstall.cli import main
from unstall.cli.report import rendered, summarised
from unstall.model.observation import Losses, Process
from unstall.model.proof import SHARD, Run
from unstall.model.recording import Recording
from unstall.report import run_json

Write = Callable[[str, Run], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, made: Run) -> str:
        file = tmp_path / name
        file.write_text(run_json.render(made), encoding="utf-8")
        return str(file)

    return written


@pytest.fixture
def recording(tmp_path: Path) -> str:
    file = tmp_path / "run.jsonl"
    process = Process("1-a", 1, 0.0, 0, ("python",), "3.11.7", 100_000_000)
    Recording.of([process, Losses("1-a")], "unstall 0.1.0").save(file)
    return str(file)


def test_a_run_is_told_by_its_content_whatever_its_name(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", write("x.jsonl", frozen())]) == 1
    assert capsys.readouterr().out.startswith(
        "frozen: 1 of 2 faults froze bystanders of shop:app\n"
    )


def test_a_run_that_was_written_prettily_is_one_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pretty.json"
    file.write_text(json.dumps(calm().to_json(), indent=2, sort_keys=True))
    assert main(["report", str(file)]) == 0
    assert capsys.readouterr().out.startswith("isolated: ")


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (frozen(), 1),
        (calm(), 0),
        (replace(calm(), interrupted=True), 3),
        (run(Service(), witness=0.5), 3),
    ],
)
def test_the_exit_code_is_that_of_the_gate(
    made: Run, code: int, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", write("run.json", made)]) == code
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("text", "frozen: "),
        ("json", '{"version": 1'),
        ("html", "<!doctype html>"),
        ("junit", "<?xml"),
        ("github", "::error file=shop/billing.py,line=31"),
        ("markdown", "### 🔴 unstall: frozen"),
    ],
)
def test_every_format_can_be_printed_and_written(
    form: str, begins: str, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    file = write("run.json", frozen())
    assert main(["report", file, "--format", form]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(begins)
    assert main(["report", file, "--format", form, "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out == ""
    assert (tmp_path / "out").read_text(encoding="utf-8") == printed


def test_what_was_printed_as_json_is_read_again(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.json"
    main(["report", write("run.json", frozen()), "--format", "json", "--output", str(again)])
    assert main(["report", str(again)]) == 1
    assert "shop/billing.py:31" in capsys.readouterr().out


def test_github_appends_the_summary_of_the_job(
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    main(["report", write("run.json", frozen()), "--format", "github"])
    assert summary.read_text(encoding="utf-8").startswith("### 🔴 unstall: frozen")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "such"))
    assert main(["report", write("run.json", frozen()), "--format", "github"]) == 1
    assert "the summary of the job could not be written" in capsys.readouterr().err


# --- before and after -------------------------------------------------------------------------


def test_a_regression_fails_a_run_that_nobody_felt(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = (("checkout", 50.0),)
    before = run(Service(12.0), repeats=4, rates=rates)
    after = run(Service(30.0), repeats=4, rates=rates, seed=2)
    old, new = write("old.json", before), write("new.json", after)
    assert main(["report", new]) == 0
    assert main(["report", "--before", old, new]) == 1
    said = capsys.readouterr().out
    assert "worse     healthy: checkout.p50_ms" in said
    assert main(["report", "--before", new, old]) == 0
    assert "better    healthy: checkout.p50_ms" in capsys.readouterr().out


def test_two_runs_are_one_page_and_one_suite(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = write("old.json", frozen()), write("new.json", calm())
    assert main(["report", "--before", old, new, "--format", "html"]) == 0
    assert capsys.readouterr().out.count('class="chart"') == 2
    main(["report", "--before", old, new, "--format", "junit"])
    suites = [s.get("name") for s in ElementTree.fromstring(capsys.readouterr().out)]
    assert "unstall.baseline" in suites


def test_other_plans_are_refused_with_what_differs(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write("old.json", run(plan=replace(PLAN, in_flight=7)))
    assert main(["report", "--before", other, write("new.json", run())]) == 2
    said = capsys.readouterr().err
    assert "in_flight was 7 and is 5000" in said
    assert said.count("\n") == 1


def test_another_machine_is_a_caution_on_stderr(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(run(), machine={"processors": "64"})
    main(["report", "--before", write("old.json", other), write("new.json", run())])
    assert "processors was 64 before and is 2 now" in capsys.readouterr().err


# --- bad input ----------------------------------------------------------------------------------


def complaint(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["report", *argv]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_formats_of_the_other_kind_are_refused(
    write: Write, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = complaint([recording, "--format", "html"], capsys)
    assert "is a recording, shown as text, json, speedscope" in said
    said = complaint([write("run.json", calm()), "--format", "speedscope"], capsys)
    assert "is the outcome of a run, shown as text, json, html" in said


def test_one_run_at_a_time(
    write: Write, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = write("one.json", calm()), write("two.json", calm())
    assert "give one, and an earlier one as --before" in complaint([one, two], capsys)
    assert "give one, and an earlier one as --before" in complaint([recording, two], capsys)


def test_before_is_for_runs(
    write: Write, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file = write("run.json", calm())
    assert "is no outcome of a run" in complaint(["--before", recording, run_file], capsys)
    assert "is a recording" in complaint(["--before", run_file, recording], capsys)
    missing = str(Path(run_file).with_name("none.json"))
    assert "none.json cannot be read" in complaint(["--before", missing, run_file], capsys)


def test_a_part_of_a_load_is_compared_with_nothing(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write("whole.json", calm())
    part = write("part.json", replace(calm(), machine={SHARD: "1/2"}))
    assert "part.json is shard 1/2 of a load" in complaint(["--before", part, whole], capsys)
    assert "part.json is shard 1/2 of a load" in complaint(["--before", whole, part], capsys)


def test_a_run_that_was_cut_off_says_so(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(write("run.json", frozen()))
    file.write_bytes(file.read_bytes()[:-500])
    assert "is the outcome of a run, and cut off or damaged" in complaint([str(file)], capsys)


def test_a_run_with_a_field_that_is_wrong_is_named(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(write("run.json", calm()))
    data = json.loads(file.read_text())
    data["verdict"] = "fine"
    file.write_text(json.dumps(data))
    said = complaint([str(file)], capsys)
    assert str(file) in said
    assert "'fine' is not a valid WitnessVerdict" in said


def test_a_later_format_is_refused(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(write("run.json", calm()))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 99}))
    assert "has format 99 and this unstall reads 1: upgrade it" in complaint([str(file)], capsys)


def test_json_that_is_something_else_is_no_recording_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("[]", "{}", '{"plan": 1}', "3", "null"):
        file = tmp_path / "x.json"
        file.write_text(text)
        assert str(file) in complaint([str(file)], capsys)


def test_output_into_a_folder_that_is_not_there_is_refused_before_anything_is_read(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [write("run.json", calm()), "--output", str(tmp_path / "no" / "x")]
    assert "name a file in a folder there is" in complaint(argv, capsys)


def test_a_file_that_goes_too_deep_is_no_outcome(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "deep.json"
    file.write_text('{"a":' * 200_000)
    assert str(file) in complaint([str(file)], capsys)


@pytest.mark.parametrize("form", ["text", "json", "html", "junit", "markdown", "github"])
def test_no_form_and_no_summary_of_a_job_shows_a_secret(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = replace(
        frozen(), target="serve --token hunter2", gaps=("GET /a?token=hunter2: left out",)
    )
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert "hunter2" not in rendered(made, made, (), form)
    summarised(made, ())
    assert "left out" in summary.read_text(encoding="utf-8")
    assert "hunter2" not in summary.read_text(encoding="utf-8")
