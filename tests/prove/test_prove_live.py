"""`unstall prove` as people run it: the incident service, a real downstream, a short plan."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.prove.test_demo import left_of, started_by
from unstall.model.finding import is_proved
from unstall.model.proof import Run
from unstall.model.report import WitnessVerdict

pytestmark = [pytest.mark.live, pytest.mark.slow]

REFERENCE = Path(__file__).resolve().parents[2] / "reference"
INCIDENT = REFERENCE / "incident"


@pytest.fixture
def downstream() -> Iterator[str]:
    words = [sys.executable, "-m", "incident.downstream", "--pods", "1", "--hang", "0"]
    with subprocess.Popen(words, cwd=REFERENCE, stdout=subprocess.PIPE, text=True) as pods:
        try:
            assert pods.stdout is not None
            (url,) = json.loads(pods.stdout.readline())["urls"]
            yield url
        finally:
            pods.kill()


def plan(folder: Path, name: str, url: str, seconds: int) -> Path:
    """A plan of the reference, shorter and against another downstream."""
    text = (INCIDENT / f"{name}.toml").read_text()
    text = text.replace("http://127.0.0.1:9001", url).replace(
        'folder = ".."', f'folder = "{REFERENCE}"'
    )
    file = folder / f"{name}.toml"
    file.write_text(re.sub(r"^seconds = 10$", f"seconds = {seconds}", text, flags=re.MULTILINE))
    return file


def proving(*argv: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "unstall", "prove", *map(str, argv)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options,
    )  # fmt: skip


def outcome(file: Path) -> Run:
    return Run.from_json(json.loads(file.read_text()))


def test_the_incident_is_frozen_and_its_line_proved(tmp_path: Path, downstream: str) -> None:
    files = [f"--{form}={tmp_path / f'run.{form}'}" for form in ("json", "html", "junit")]
    with proving(plan(tmp_path, "blocking", downstream, 4), *files) as run:
        said, heard = run.communicate(timeout=120)
    assert run.returncode == 1, heard
    assert said.startswith("frozen: ")
    assert "FROZEN" in heard
    assert "== reading the source of incident.app:app" in heard
    done = outcome(tmp_path / "run.json")
    healthy, ill = done.phases
    assert (done.verdict, ill.verdict) == (WitnessVerdict.FROZEN, WitnessVerdict.FROZEN)
    finding = done.findings[0]
    assert is_proved(finding)
    assert finding.site is not None
    assert finding.site.file == "reference/incident/app.py"
    assert "requests.get(" in (INCIDENT / "app.py").read_text().splitlines()[finding.site.line - 1]
    assert finding.evidence[0].peer == downstream.removeprefix("http://")
    assert finding.evidence[0].fault == "hang INCIDENT_DOWNSTREAM"
    assert {each.kind for each in finding.evidence} == {"proved", "measured", "reached"}
    assert ill.exchanges[0].hit > 0
    assert healthy.exchanges[0].hit == 0
    assert healthy.lag
    assert (tmp_path / "run.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "run.junit").read_text().startswith("<?xml")


def test_without_a_plan_routes_are_found_and_the_freeze_as_well(
    tmp_path: Path, downstream: str
) -> None:
    file = tmp_path / "run.json"
    with proving(
        "incident.app:app", "--upstream", "INCIDENT_DOWNSTREAM", "--seconds", "4", "--rate", "30",
        "--fault", "hang:2", "--json", file, "--no-audit",
        cwd=REFERENCE, env=os.environ | {"INCIDENT_DOWNSTREAM": downstream},
    ) as run:  # fmt: skip
        _, heard = run.communicate(timeout=120)
    assert run.returncode == 1, heard
    done = outcome(file)
    assert "GET /sync_with_async_blocking_dep" in {each.name for each in done.plan.scenarios}
    assert done.verdict is WitnessVerdict.FROZEN
    assert is_proved(done.findings[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_tells_what_there_was_and_leaves_no_process(
    number: signal.Signals, tmp_path: Path, downstream: str
) -> None:
    file = tmp_path / "run.json"
    run = proving(plan(tmp_path, "lane", downstream, 60), "--json", file, "--no-audit")
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("== healthy"):
            break
    deadline = time.monotonic() + 30
    while len(started_by(run.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)
    children = started_by(run.pid)
    run.send_signal(number)
    said, heard = run.communicate(timeout=60)
    assert len(children) >= 2
    assert run.returncode == (130 if number is signal.SIGINT else 143), heard
    assert "Traceback" not in heard
    assert said
    assert outcome(file).interrupted
    assert left_of(children) == []


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_run_that_is_killed_leaves_no_process(tmp_path: Path, downstream: str) -> None:
    run = proving(plan(tmp_path, "lane", downstream, 60), "--no-audit", "--processes", "2")
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("== healthy"):
            break
    deadline = time.monotonic() + 60
    while len(started_by(run.pid)) < 6 and time.monotonic() < deadline:
        time.sleep(0.1)
    children = started_by(run.pid)  # the app and its monitor, senders, proxies, the reaper
    run.kill()
    run.communicate(timeout=60)
    assert len(children) >= 6
    assert left_of(children) == []
