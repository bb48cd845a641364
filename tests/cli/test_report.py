"""`unstall report`: recordings in, one report and the right exit code out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from unstall.cli import main
from unstall.model.histogram import Histogram
from unstall.model.observation import Losses, Process, Pulse, Stretch
from unstall.model.recording import Entry, Recording


def recording(path: Path, *, name: str, stalls: int, watched: bool = True) -> Path:
    process = Process(name, 1, 0.0, 0, ("python",), "3.11.7", 100_000_000)
    entries: list[Entry] = [process, Losses(name)]
    if watched:
        entries.append(Pulse(name, 1, 0, 1_000_000_000, Histogram.of([1_000]), 5))
    entries += [
        Stretch(name, 1, "MainThread", 0, 20_000_000, 400_000_000 * (n + 1), cpu_ns=0)
        for n in range(stalls)
    ]
    Recording.of(entries, "unstall 0.1.0").save(path)
    return path


def test_clean_is_0_findings_are_1_and_silence_about_nothing_is_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = [
        main(
            [
                "report",
                str(
                    recording(tmp_path / f"{name}.jsonl", name=name, stalls=stalls, watched=watched)
                ),
            ]
        )
        for name, (stalls, watched) in (
            ("clean", (0, True)),
            ("bad", (2, True)),
            ("none", (0, False)),
        )
    ]
    assert codes == [0, 1, 3]
    captured = capsys.readouterr()
    assert captured.out.startswith("clean: ")
    none = tmp_path / "none.jsonl"
    assert captured.err == (
        f"unstall: no event loop was watched in {none}: record again, and send requests meanwhile\n"
    )


def test_json_is_written_of_nothing_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording(tmp_path / "x.jsonl", name="1-a", stalls=0, watched=False)
    assert main(["report", str(file), "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["verdict"] == "not-enough-data"


@pytest.mark.parametrize(
    ("end", "code"), [("| head -1", 1), (">&-", 1), (">/dev/full", 2), ("2>&- | cat", 1)]
)
def test_the_code_is_that_of_the_report_whoever_reads_it(
    end: str, code: int, tmp_path: Path
) -> None:
    file = recording(tmp_path / "x.jsonl", name="1-a", stalls=300)
    report = f"'{sys.executable}' -m unstall report --format json '{file}' {end}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {report}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (1 if code == 2 else 0)


def test_a_name_that_is_no_text_is_shown_as_far_as_it_can_be(tmp_path: Path) -> None:
    plain = recording(tmp_path / "x.jsonl", name="1-a", stalls=1)
    file = plain.rename(tmp_path / os.fsdecode(b"caf\xe9.jsonl"))
    for form in ("text", "json"):
        command = [sys.executable, "-m", "unstall", "report", "--format", form, file]
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONIOENCODING": "ascii"},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b"")
        shown = done.stdout.decode() if form == "text" else json.loads(done.stdout)["target"]
        assert "caf" in shown


def test_several_recordings_are_one_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [recording(tmp_path / f"{n}.jsonl", name=f"{n}-a", stalls=1) for n in (1, 2)]
    assert main(["report", *map(str, files), "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["coverage"]["processes"] == 2
    assert document["coverage"]["stalls"] == 2
    assert document["target"] == ", ".join(map(str, files))


def test_a_flaw_is_a_sentence_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording(tmp_path / "x.jsonl", name="1-a", stalls=0)
    file.write_text(file.read_text() + '{"kind":"pul')
    assert main(["report", str(file)]) == 0
    assert "is cut off, as when the writer was killed" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "dear diary\n", ""])
def test_what_cannot_be_read_is_2(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.jsonl"
    if text is not None:
        file.write_text(text)
    assert main(["report", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"unstall: {file} ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_speedscope_is_a_profile_of_the_stalls_and_of_none_it_is_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = recording(tmp_path / "bad.jsonl", name="1-a", stalls=2)
    assert main(["report", "--format", "speedscope", str(bad)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["name"] == str(bad)
    assert len(document["profiles"]) == 1
    clean = recording(tmp_path / "clean.jsonl", name="2-b", stalls=0)
    assert main(["report", "--format", "speedscope", str(clean)]) == 3
    assert "nothing to draw" in capsys.readouterr().err
