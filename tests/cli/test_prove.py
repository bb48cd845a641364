"""What `unstall prove` says to those who ask for what cannot be done, before anything is started."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import pytest

from tests.prove.phases import healthy
from unstall.cli import main, prove
from unstall.cli.prove_order import asked_of
from unstall.cli.prove_source import app_in, installed_in, source_of
from unstall.model.plan import AppPlan, Plan
from unstall.model.proof import Judged, Run
from unstall.model.report import WitnessVerdict

PLAN = """
[app]
command = "python -m http.server {port}"
[[scenario]]
name = "list"
request = "GET /"
rate = 5
seconds = 2
"""


def answered(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = main(["prove", *argv])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return code, told.err.strip()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


BAD = {
    "unknown key": (PLAN.replace("rate =", "rte ="), (), 2, "'rte'"),
    "unknown table": (PLAN + "[witnes]\nrate = 1\n", (), 2, "did you mean 'witness'"),
    "metric that is not": (PLAN + '[thresholds]\n"list.p98_ms" = "< 1"\n', (), 2, "'p98_ms'; did you mean"),
    "kind that is not": (
        PLAN + '[[fault]]\nupstream = "A_URL"\nkind = "hnag"\n', (), 2, "did you mean 'hang'",
    ),
    "upstream not set": (
        PLAN + '[[fault]]\nupstream = "NO_SUCH_URL"\nkind = "hang"\nseconds = 1\n', (), 2,
        "NO_SUCH_URL is not set",
    ),
    "upstream not understood": (
        PLAN.replace("[[sc", 'env = { A_URL = "u:hidden@h" }\n[[sc')
        + '[[fault]]\nupstream = "A_URL"\nkind = "hang"\nseconds = 1\n', (), 2,
        "A_URL is '…@h', which names no upstream in a form that is understood",
    ),
    "upstream not there": (
        PLAN.replace("[[sc", 'env = { A_URL = "127.0.0.1:1" }\n[[sc')
        + '[[fault]]\nupstream = "A_URL"\nkind = "hang"\nseconds = 1\n', ("--no-audit",), 4,
        "A_URL points at 127.0.0.1:1, where nobody answers",
    ),
    "remote target": (
        PLAN.replace("[[sc", 'url = "http://shop.example.com"\n[[sc'), (), 2,
        "--allow-remote shop.example.com",
    ),
    "app that ends": (
        PLAN.replace("python -m http.server {port}", "python -c pass {port}"), ("--no-audit",), 4,
        "the app ended before it was ready (it ended with code 0)",
    ),
    "command that is not": (
        PLAN.replace("python -m http.server {port}", "nosuchserver {port}"), ("--no-audit",), 4,
        "nosuchserver was not found",
    ),
    "app that never gets ready": (
        PLAN.replace("[[sc", "patience = 0.2\n[[sc").replace("python -m http.server", "sleep 60"),
        ("--no-audit",), 4, "the app was not ready within 0.2 s: GET /, and nobody listened there",
    ),
    "flag of a run without a plan": (PLAN, ("--rate", "5"), 2, "--rate is for an app without a plan"),
    "repeat of nothing": (PLAN, ("--repeat", "0"), 2, "--repeat is 0"),
    "page in no folder": (PLAN, ("--html", "none/x.html"), 2, "--html none/x.html is no file"),
    "baseline that is not there": (PLAN, ("--baseline", "x.json"), 2, "x.json"),
    "env file that is not there": (PLAN, ("--env-file", "none"), 2, "--env-file none cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_carried_out_is_one_sentence(
    what: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, flags, expected, said = BAD[what]
    (here / "plan.toml").write_text(plan)
    code, told = answered(capsys, "plan.toml", *flags)
    last = told.splitlines()[-1]
    assert (code, said in last) == (expected, True), told
    assert "hidden" not in told


def test_no_plan_anywhere_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = answered(capsys)
    assert code == 2
    assert "there is no plan in unstall.toml" in told


def test_a_plan_file_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = answered(capsys, "none.toml")
    assert code == 2
    assert "the plan none.toml cannot be read" in told


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--fault", "hang:3"), "--fault is for an upstream"),
        (("--upstream", "A", "--fault", "hang:x"), "'x' is no number"),
        (("--upstream", "A", "--fault", "refuse:3"), "refuse goes by no number"),
        (("--upstream", "A", "--fault", "hagn:3"), "did you mean 'hang'?"),
        (("--upstream", "A", "--fault", "hang"), "'hang' needs seconds"),
        (("--witness", "livez"), "--witness is 'livez': a path begins with a slash"),
        (("--upstream", "A"), "A is not set"),
        (("--probability", "5"), "--probability is 5, outside 0 to 1"),
        (("--seconds", "nan"), "--seconds is nan"),
        (("--witness", "/a b"), "a space is %20"),
        (("--upstream", ""), "--upstream is empty"),
        (("--header", "x"), "--header has no colon"),
        (("--header", "X y: 1"), "--header has 'X y', which with its value is no header"),
        (("--header", "X: 1\nY: 2"), "take line breaks out"),
        (("--value", "item_id"), "--value is 'item_id', without a name and ="),
        (("--value", "=3"), "write it as in --value item_id=3"),
        (("--openapi", "none.json"), "--openapi none.json cannot be read"),
    ],
)
def test_flags_of_a_run_without_a_plan_are_checked(
    flags: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = answered(capsys, "shop.main:app", *flags)
    assert code == 2
    assert said in told


@pytest.mark.parametrize(
    "flag", ["--rate=0", "--probability=0", "--read-only", "--witness=/up", "--value=a=1"]
)
def test_a_flag_beside_a_plan_that_says_it_is_refused(
    here: Path, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "plan.toml").write_text(PLAN)
    code, told = answered(capsys, "plan.toml", flag)
    assert code == 2
    assert f"{flag.partition('=')[0]} is for an app without a plan" in told


def test_what_is_named_twice_is_tried_once() -> None:
    parser = ArgumentParser()
    prove.configure(parser)
    twice = ["shop:app", *["--upstream", "A"] * 2, *["--fault", "hang:1"] * 2]
    assert [each.title for each in asked_of(parser.parse_args(twice)).plan.faults] == ["hang A"]


def test_the_project_s_own_plan_is_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "unstall.toml").write_text(PLAN + '[thresholds]\n"lst.p99_ms" = "< 1"\n')
    code, told = answered(capsys)
    assert code == 2
    assert "'lst'; did you mean 'list'" in told


def test_a_baseline_that_is_no_run_is_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "plan.toml").write_text(PLAN)
    for text in ("{}", "[]", "no json", json.dumps({"version": 99})):
        (here / "base.json").write_text(text)
        code, told = answered(capsys, "plan.toml", "--baseline", "base.json")
        assert code == 2
        assert "--baseline base.json is no outcome of a run" in told
    code, told = answered(capsys, "plan.toml", "--baseline", "none.json")
    assert code == 2
    assert "--baseline none.json cannot be read (No such file or directory)" in told


# --- the source


@pytest.mark.parametrize(
    ("command", "app"),
    [
        ("uvicorn shop.main:app --port {port}", "shop.main:app"),
        ("python -m gunicorn -b 127.0.0.1:{port} 'shop.main:make()'", "shop.main:make()"),
        ("python serve.py --port {port}", None),
        ("uvicorn 'unclosed", None),
    ],
)
def test_the_app_is_read_from_the_command(command: str, app: str | None) -> None:
    assert app_in(command) == app


def test_of_the_source_come_waits_on_the_loop_and_why_there_are_none(here: Path) -> None:
    (here / "pyproject.toml").write_text("")
    (here / "shop.py").write_text(
        "import time\nimport requests\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
        "@app.get('/pay')\nasync def pay():\n    return requests.get('http://x').text\n\n\n"
        "@app.get('/plain')\ndef plain():\n    time.sleep(1)\n"
    )
    said: list[str] = []
    found = source_of(Plan(app=AppPlan(command="uvicorn shop:app")), said.append)
    assert said == ["== reading the source of shop:app"]
    assert [(f.code, f.site.line) for f in found.findings if f.site] == [("US102", 10)]
    assert found.root == here.resolve()
    assert set(found.routes) == {"GET /pay", "GET /plain"}
    missing = source_of(Plan(app=AppPlan(command="uvicorn shup:app")), said.append)
    assert missing.findings == ()
    assert missing.gaps[0].startswith("the source was not read: there is no module shup")


# --- a run, and what is written of it


def run_of(plan: Plan, **changes: object) -> Run:
    phase = replace(healthy(), name="healthy")
    return replace(
        Run("unstall", "shop", plan, phases=(phase,), verdict=WitnessVerdict.ISOLATED),
        **changes,  # type: ignore[arg-type]
    )


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Runs that come to an isolated verdict at once."""
    plans: list[Plan] = []

    async def prove(plan: Plan, *_: object) -> Run:
        plans.append(plan)
        return run_of(plan)

    monkeypatch.setattr("unstall.prove.run.prove", prove)
    return plans


def test_a_run_is_told_and_written_in_every_form(
    here: Path, played: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "plan.toml").write_text(PLAN)
    forms = [flag for form in ("json", "html", "junit") for flag in (f"--{form}", f"run.{form}")]
    assert main(["prove", "plan.toml", "--no-audit", "--repeat", "3", "--seed", "5", *forms]) == 0
    assert capsys.readouterr().out.startswith("isolated: ")
    assert (played[0].repeat, played[0].seed) == (3, 5)
    assert Run.from_json(json.loads((here / "run.json").read_text())).verdict == "isolated"
    assert "<html" in (here / "run.html").read_text()
    assert "<testsuite" in (here / "run.junit").read_text()


def test_a_baseline_of_the_same_plan_is_compared_and_of_another_refused_before_the_run(
    here: Path, played: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "plan.toml").write_text(PLAN)
    assert main(["prove", "plan.toml", "--no-audit", "--json", "base.json"]) == 0
    assert main(["prove", "plan.toml", "--no-audit", "--baseline", "base.json"]) == 0
    (here / "plan.toml").write_text(PLAN.replace("rate = 5", "rate = 50"))
    code, told = answered(capsys, "plan.toml", "--no-audit", "--baseline", "base.json")
    assert (code, len(played)) == (2, 2)
    assert "the plan is not that of the baseline" in told


@pytest.mark.usefixtures("played")
def test_what_else_may_be_behind_a_change_is_told_beside_a_baseline(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "plan.toml").write_text(PLAN)
    assert main(["prove", "plan.toml", "--no-audit", "--json", "base.json"]) == 0
    before = json.loads((here / "base.json").read_text())
    (here / "base.json").write_text(json.dumps(before | {"tool": "unstall 0.0.1"}))
    capsys.readouterr()
    assert main(["prove", "plan.toml", "--no-audit", "--baseline", "base.json"]) == 0
    assert "the run before was made by unstall 0.0.1" in capsys.readouterr().err


def test_for_github_it_writes_commands_and_the_summary_of_the_job(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prove(plan: Plan, *_: object) -> Run:
        return run_of(plan, thresholds=(Judged("list.p95_ms < 1", "healthy", 2.0, False),))

    monkeypatch.setattr("unstall.prove.run.prove", prove)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "summary.md"))
    (here / "plan.toml").write_text(PLAN)
    assert main(["prove", "plan.toml", "--no-audit"]) == 1
    assert "::" not in capsys.readouterr().out
    assert not (here / "summary.md").exists()
    assert main(["prove", "plan.toml", "--no-audit", "--format", "github"]) == 1
    assert "::error title=unstall threshold missed::list.p95_ms < 1" in capsys.readouterr().out
    assert "1 of 1 threshold missed" in (here / "summary.md").read_text()


def test_an_interrupted_run_is_told_and_ends_as_one(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prove(plan: Plan, *_: object) -> Run:
        return run_of(plan, interrupted=True)

    monkeypatch.setattr("unstall.prove.run.prove", prove)
    (here / "plan.toml").write_text(PLAN)
    assert main(["prove", "plan.toml", "--no-audit", "--json", "run.json"]) == 130
    assert "isolated" in capsys.readouterr().out
    assert json.loads((here / "run.json").read_text())["interrupted"]


def test_an_app_that_was_installed_is_somebodys_own_code() -> None:
    folder = installed_in(Plan(app=AppPlan(command="uvicorn starlette.applications:Starlette()")))
    assert folder is not None
    assert (folder.name, (folder / "applications.py").is_file()) == ("starlette", True)
    for nobody in ("uvicorn json:app", "uvicorn there_is_none:app", "true", "uvicorn ..:app"):
        assert installed_in(Plan(app=AppPlan(command=nobody))) is None
