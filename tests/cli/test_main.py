"""The frame of the command line: one sentence for what is wrong, and the right exit code."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from unstall.cli import commands, main
from unstall.cli.commands import COMMANDS
from unstall.errors import NotEnoughData, TargetError, UnstallError, UsageError
from unstall.version import VERSION


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.mark.parametrize("flag", [[], ["--help"], ["-h"]])
def test_help_lists_every_command(flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flag) == 0
    out, err = said(capsys)
    assert err == ""
    for name in COMMANDS:
        assert f"  {name} " in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = commands._command(name)
    assert name == command.NAME
    assert main([name, "--help"]) == 0
    assert said(capsys)[0].startswith(f"usage: unstall {name}")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert said(capsys) == (f"unstall {VERSION}\n", "")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["rnu"], "there is no command 'rnu'; did you mean 'run'?"),
        (["xyzzy"], f"there is no command 'xyzzy'; there are {', '.join(COMMANDS)}"),
        (["--bogus"], "unrecognized arguments: --bogus; unstall --help lists what there is"),
        (["run"], "no COMMAND was given: put it behind --, as in unstall run -- uvicorn app:app"),
        (["run", "--"], "no COMMAND was given: put it behind --, as in unstall run -- uvicorn app:app"),
        (["run", "--bogus", "--", "true"],
         "unrecognized arguments: --bogus; unstall run --help lists what there is"),
        (["run", "--threshold", "soon", "--", "true"],
         "--threshold is 'soon', which is not a number: give milliseconds, for example 100"),
        (["run", "--record", "/nowhere/x", "--", "true"],
         "--record /nowhere/x cannot be written: No such file or directory"),
        (["report"], "the following arguments are required: FILE; unstall report --help lists what there is"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_sentence_and_code_2(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert said(capsys) == ("", f"unstall: {sentence}\n")


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError, 2), (NotEnoughData, 3), (TargetError, 4), (UnstallError, 2)]
)
def test_an_error_of_ours_is_its_sentence_and_its_code(
    error: type[UnstallError], code: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert raising(error("so it is"), monkeypatch) == code
    assert said(capsys) == ("", "unstall: so it is\n")


def test_an_interrupt_is_130_and_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(KeyboardInterrupt(), monkeypatch) == 130
    assert said(capsys) == ("", "")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("unstall --help | true", 0),
        ("unstall --help >&-", 0),
        ("unstall --version >&-", 0),
        ("unstall --version >/dev/full 2>&-", 2),
        ("unstall rnu 2>&-", 2),
        ("unstall rnu 2>/dev/full", 2),
        ("unstall rnu <&- >&- 2>&-", 2),
    ],
)
def test_a_stream_that_takes_nothing_changes_no_code_and_shows_no_traceback(
    command: str, code: int
) -> None:
    done = in_a_shell(f"set -o pipefail; {command}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_what_standard_output_does_not_take_is_said() -> None:
    done = in_a_shell("unstall --version >/dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "unstall: standard output did not take all of it (No space left on"
    )
    assert done.stderr.count("\n") == 1


def test_a_stream_that_is_closed_stays_closed_for_the_command() -> None:
    code = (
        "import os, sys; sys.stderr.write(repr([os.path.exists(f'/dev/fd/{n}') for n in (0, 1)]))"
    )
    done = in_a_shell(f"unstall run --quiet -- '{sys.executable}' -c \"{code}\" <&- >&-")
    assert (done.returncode, done.stderr) == (0, "[False, False]")


def in_a_shell(line: str) -> subprocess.CompletedProcess[str]:
    """As typed; `unstall` is this one."""
    script = f'unstall() {{ "{sys.executable}" -m unstall "$@"; }}; {line}'
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", script], env=buffered, capture_output=True, text=True, check=False
    )


def test_run_starts_without_what_other_commands_need() -> None:
    code = (
        "import sys; from unstall.cli import main; import unstall.cli.run, unstall.run.parent;"
        "print([m for m in ('asyncio', 'rich', 'unstall.prove', 'unstall.explain') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def run(args: argparse.Namespace) -> int:
        raise error

    command = SimpleNamespace(NAME="run", HELP="", configure=lambda parser: None, run=run)
    monkeypatch.setattr(commands, "_command", lambda name: command)
    return main(["run"])
