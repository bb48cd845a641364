"""`unstall audit`: flags, settings, waivers and the baseline decide what is shown, and the exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.sources import ADVICE, CLEAN_PATH, MODEL, PATH, QUERY, READ, reached
from unstall.cli import main, reading
from unstall.model.finding import Confidence, Finding
from unstall.model.report import Report, Verdict

Audit = Callable[..., tuple[int, str, str]]
BARE = replace(READ, findings=(), waived=(), hidden={}, remarks=(), gaps=())
STAT = reached("US106", "os.stat", line=3, impact="trivial")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "shop"
    (root / "shop").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / "shop" / "repo.py").write_text("async def load():\n" + "    f()\n" * 150)
    (root / "shop" / "audio.py").write_text("async def transcribe():\n" + "    f()\n" * 150)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def run(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Audit:
    """The command on what the engine is made to find."""

    def run(
        *argv: str, findings: tuple[Finding, ...] = (QUERY,), report: Report = BARE
    ) -> tuple[int, str, str]:
        found = replace(report, findings=findings)
        monkeypatch.setattr(
            reading, "read_project", lambda target, **_: replace(found, target=target.text)
        )
        code = main(["audit", *argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_findings_are_1_and_none_is_0(run: Audit) -> None:
    code, out, err = run()
    assert (code, err) == (1, "")
    assert out.startswith("findings: 1 error in shop\n\nshop/repo.py:88  US103 ")
    assert run(findings=())[0] == 0


def test_advice_and_start_up_are_shown_and_are_0(run: Audit) -> None:
    code, out, _ = run(findings=(ADVICE, MODEL))
    assert code == 0
    assert "notes (1)" in out
    assert "start-up: " in out


def test_a_project_that_no_loop_enters_is_3(run: Audit) -> None:
    assert run(findings=(), report=replace(BARE, coverage={"entries": 0}))[0] == 3


def test_exit_zero_forgives_findings_and_nothing_else(run: Audit) -> None:
    assert run("--exit-zero")[0] == 0
    assert run("--exit-zero", findings=(), report=replace(BARE, coverage={"entries": 0}))[0] == 3
    assert run("--exit-zero", "nowhere")[0] == 4


def test_what_is_selected_is_shown_and_the_rest_counted(run: Audit) -> None:
    both = (QUERY, reached("US106", "builtins.open", line=12))
    assert "hidden    1 ignored or not selected" in run("--select", "US106", findings=both)[1]
    assert run("--ignore", "US1", findings=both)[0] == 0
    assert run("--ignore", "US1", "--select", "US103", findings=both)[0] == 1


def test_possible_and_trivial_findings_wait_to_be_asked_for(run: Audit) -> None:
    findings = (STAT, replace(QUERY, confidence=Confidence.POSSIBLE))
    code, out, _ = run(findings=findings)
    assert code == 0
    assert "1 trivial (--show-trivial), 1 possible (--min-confidence possible)" in out
    assert run("--show-trivial", findings=findings)[0] == 1
    assert run("--min-confidence", "possible", findings=findings)[0] == 1


def test_settings_hold_where_flags_are_silent(run: Audit, project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.unstall.audit]\nselect = ['US106']\n")
    assert run()[0] == 0
    assert run("--select", "US103")[0] == 1
    (project / "pyproject.toml").write_text(
        "[tool.unstall.audit]\nper-file-ignores = { 'shop/*' = ['US103'] }\n"
    )
    assert run()[0] == 0


def test_a_part_of_a_project_is_judged_alone(run: Audit) -> None:
    assert run("shop/audio.py")[0] == 0
    assert run("shop/repo.py")[0] == 1


def test_a_part_that_cannot_be_read_is_not_called_clean(run: Audit, project: Path) -> None:
    (project / "shop" / "audio.py").write_text("def (\n")
    code, out, err = run("shop/audio.py")
    assert (code, out) == (4, "")
    assert "shop/audio.py cannot be judged, for this Python cannot parse it in line 1" in err
    assert run("shop/repo.py")[0] == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_in_the_project_is_not_waited_for(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(project / "pipe.py")
    os.mkfifo(project / "Procfile")
    for mode in ("--no-import", "--import"):
        main(["audit", mode, "--format", "json"])
        assert mode == "--import" or "pipe.py was not analysed" in capsys.readouterr().out


# --- waivers --------------------------------------------------------------------------------


def comment(project: Path, text: str) -> None:
    file = project / "shop" / "repo.py"
    lines = file.read_text().splitlines()
    lines[87] = f"    f()  {text}"
    file.write_text("\n".join(lines) + "\n")


def test_a_waived_finding_does_not_fail(run: Audit, project: Path) -> None:
    comment(project, "# unstall: ignore[US103] nightly, and alone then")
    code, out, _ = run()
    assert code == 0
    assert "waived    1 finding" in out
    assert (
        json.loads(run("--format", "json")[1])["waived"][0]["reason"] == "nightly, and alone then"
    )


def test_a_waiver_without_a_reason_fails(run: Audit, project: Path) -> None:
    comment(project, "# unstall: ignore[US103]")
    code, out, _ = run()
    assert code == 1
    assert "waivers   shop/repo.py:88: a waiver needs a reason" in out
    assert run(findings=())[0] == 1


def test_a_wrong_waiver_where_nobody_looks_is_no_objection(run: Audit, project: Path) -> None:
    comment(project, "# unstall: ignore[US103]")
    assert run("shop/audio.py", findings=())[0] == 0
    (project / "pyproject.toml").write_text("[tool.unstall.audit]\nexclude = ['repo.py']\n")
    assert run(findings=())[0] == 0


def test_an_ended_waiver_is_said(run: Audit, project: Path) -> None:
    comment(project, "# unstall: ignore[US103] until=2020-01-01 soon gone")
    code, out, _ = run()
    assert code == 1
    assert "remarks   shop/repo.py:88: the waiver of US103 ended on 2020-01-01" in out


def test_an_idle_waiver_is_said_with_the_statistics(run: Audit, project: Path) -> None:
    comment(project, "# unstall: ignore[US103] was here once")
    said = "shop/repo.py:88: the waiver of US103 waives nothing"
    assert said not in run(findings=())[1]
    assert said in run("--statistics", findings=())[1]


# --- the baseline -----------------------------------------------------------------------------


def test_the_ratchet_turns_one_way(run: Audit, project: Path) -> None:
    flags = ("--baseline", "known.json")
    other = reached(call="commit", line=90)
    code, out, _ = run(*flags, "--update-baseline", findings=(QUERY, other))
    assert code == 0
    assert "the baseline known.json holds 2 findings: 2 new, 0 gone and dropped" in out
    code, out, _ = run(*flags, findings=(QUERY, other))
    assert code == 0
    assert "2 known in the baseline" in out
    code, out, _ = run(*flags, findings=(other,))
    assert code == 0
    assert "1 finding of the baseline is gone" in out
    assert run(*flags, findings=(QUERY, other, reached(call="flush")))[0] == 1
    assert "0 new, 1 gone and dropped" in run(*flags, "--update-baseline", findings=(other,))[1]
    assert run(*flags, findings=(QUERY, other))[0] == 1
    assert (project / "known.json").is_file()


def test_the_baseline_of_the_settings_lies_beside_them(
    run: Audit, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pyproject.toml").write_text("[tool.unstall.audit]\nbaseline = 'known.json'\n")
    monkeypatch.chdir(project / "shop")
    assert run("--update-baseline")[0] == 0
    assert (project / "known.json").is_file()
    assert run()[0] == 0


def test_what_is_hidden_now_stays_known(run: Audit, project: Path) -> None:
    flags = ("--baseline", "known.json")
    second = reached("US106", "builtins.open", line=12)
    run(*flags, "--update-baseline", findings=(QUERY, second))
    run(*flags, "--update-baseline", "--select", "US106", findings=(QUERY, second))
    assert run(*flags, findings=(QUERY, second))[0] == 0


# --- paths ------------------------------------------------------------------------------------


def test_a_path_is_a_tree_and_its_findings_decide(run: Audit) -> None:
    code, out, _ = run("--path", "POST /asr")
    assert code == 1
    assert out.startswith("POST /asr  shop/audio.py:30\n")
    assert "GET /text" not in out
    code, out, _ = run("--path", "/text/{id}")
    assert code == 0
    assert "clean: a plain def endpoint" in out


def test_a_finding_that_is_no_blocking_call_fails_its_path_and_no_other(run: Audit) -> None:
    client = reached("US401", "httpx.AsyncClient", function="transcribe", reach=())
    flags = ("--path", "POST /asr")
    code, out, _ = run(*flags, "--ignore", "US1", findings=(client,))
    assert code == 1
    assert f"US401 shop/repo.py:88  {client.title}" in out
    report = json.loads(run(*flags, "--format", "json", findings=(client,))[1])
    assert [each["code"] for each in report["findings"]] == ["US401"]
    code, out, _ = run("--path", "/text/{id}", "--format", "json", findings=(client,))
    assert (code, json.loads(out)["hidden"]) == (0, {"other paths": 1})


def test_what_was_not_seen_is_said_below_a_path_too(run: Audit) -> None:
    report = replace(BARE, gaps=("importing shop.app needs loguru",))
    assert run("--path", "/asr", report=report)[1].endswith(
        "\n\n  gaps  importing shop.app needs loguru\n"
    )


def test_a_path_that_is_not_there_is_told_the_nearest(run: Audit) -> None:
    code, _, err = run("--path", "POST /ars")
    assert (code, err) == (
        2,
        "unstall: --path 'POST /ars' is no route here; did you mean 'POST /asr'?\n",
    )


def test_all_paths_come_in_other_formats_too(run: Audit) -> None:
    assert run("--all-paths", "--format", "mermaid")[1].startswith("flowchart TD\n")
    document = json.loads(run("--all-paths", "--format", "json")[1])
    assert [path["entry"]["name"] for path in document["paths"]] == ["POST /asr", "GET /text/{id}"]


def test_paths_are_left_out_unless_asked_for(run: Audit) -> None:
    assert json.loads(run("--format", "json")[1])["paths"] == []
    assert len(json.loads(run("--format", "json", "--unknown")[1])["paths"]) == 2


def test_unknown_calls_are_listed_on_request(run: Audit) -> None:
    assert "engine.start" not in run()[1]
    assert "shop/audio.py:42 engine.start: annotate `engine`" in run("--unknown")[1]


def test_calls_that_are_believed_too_little_are_not_on_a_path(run: Audit) -> None:
    _, out, _ = run("--path", "POST /asr", "--min-confidence", "certain")
    assert "US107" not in out


# --- formats and files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "start"),
    [("json", '{\n  "version": 1'), ("sarif", '{\n  "$schema"'), ("github", "::error file=shop/repo.py"),
     ("markdown", "### unstall: findings: 1 error")],
)  # fmt: skip
def test_each_format_keeps_the_code(form: str, start: str, run: Audit) -> None:
    code, out, _ = run("--format", form)
    assert code == 1
    assert out.startswith(start)


def test_a_report_may_go_to_a_file(run: Audit, project: Path) -> None:
    code, out, _ = run("--format", "sarif", "--output", "out.sarif")
    assert (code, out) == (1, "findings: 1 error in shop; written to out.sarif\n")
    assert json.loads((project / "out.sarif").read_text())["version"] == "2.1.0"


def test_a_long_report_is_cut_and_says_so(run: Audit) -> None:
    many = tuple(reached(line=n, function=f"f{n}") for n in range(1, 61))
    _, out, _ = run(findings=many)
    assert out.count("shop/repo.py:") == 50
    assert "10 findings more in 10 blocks (--limit 0 shows all)" in out
    assert run("--limit", "0", findings=many)[1].count("shop/repo.py:") == 60
    assert "more in" not in run("--limit", "60", findings=many)[1]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--path", "/x", "--all-paths"], "--path and --all-paths were both given: choose one"),
        (["--format", "mermaid"], "--format mermaid draws paths: add --path ROUTE or --all-paths"),
        (["--all-paths", "--format", "sarif"], "paths are shown as text, json, mermaid, not as sarif"),
        (["--update-baseline"], "--update-baseline does not know which file: add --baseline FILE"),
        (["--update-baseline", "--baseline", "x", "--changed-from", "HEAD"],
         "--update-baseline needs all findings: leave out --changed-from"),
        (["--baseline", "none.json"], "none.json cannot be read (No such file or directory): make it"),
        (["--output", "no/folder/x"], "--output no/folder/x cannot be written"),
        (["--output", "."], "--output . cannot be written (Is a directory)"),
        (["--select", "US130"], "--select names 'US130', and no rule's code begins so"),
        (["--min-confidence", "sure"], "--min-confidence is 'sure': give certain, likely, possible"),
        (["--limit", "-1"], "--limit is -1: give a number of functions, or 0 for all"),
        (["--changed-from", "HEAD"], "--changed-from HEAD: git does not know what changed"),
        (["--import", "--no-import"], "not allowed with argument"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_sentence_and_2(argv: list[str], sentence: str, run: Audit) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_setting_that_is_wrong_is_2(run: Audit, project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.unstall.audit]\nslect = []\n")
    code, _, err = run()
    assert code == 2
    assert "did you mean 'select'?" in err


def test_a_target_that_is_not_there_is_4(run: Audit) -> None:
    code, _, err = run("shp")
    assert (code, err) == (4, "unstall: there is no folder 'shp' here; did you mean 'shop'?\n")


def test_the_examples_are_what_they_say() -> None:
    assert PATH.steps[-1].blocking[0].fingerprint == QUERY.fingerprint
    assert READ.verdict is Verdict.FINDINGS
    assert CLEAN_PATH.steps[0].blocking == ()


# --- the whole of it, on a small service --------------------------------------------------------

SERVICE = """\
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/slow")
async def slow():
    return helper()


@app.get("/fine")
def fine():
    return helper()


def helper():
    time.sleep(1)
"""


def test_a_service_is_read_and_its_path_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "main.py").write_text(SERVICE)
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "main:app", "--no-import"]) == 1
    out = capsys.readouterr().out
    assert "main.py:19  US101 a synchronous sleep on the event loop" in out
    assert "chain     GET /slow [loop] → helper [loop] → time.sleep [loop]" in out
    assert main(["audit", "--no-import", "--path", "/fine"]) == 0
    assert "endpoint fine  [thread pool]  main.py:14" in capsys.readouterr().out
    (tmp_path / "main.py").write_text(SERVICE.replace("async def", "def"))
    assert main(["audit", "--no-import"]) == 0
