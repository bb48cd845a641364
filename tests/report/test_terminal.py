"""What a stream takes, and whether it wants colour."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from unstall.errors import OutputError
from unstall.report import terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Failing(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def flush(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("stream", "environ", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "", "TERM": "xterm"}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    stream: io.StringIO, environ: dict[str, str], wanted: bool
) -> None:
    assert terminal.has_colour(stream, environ) is wanted


def test_a_reader_that_has_left_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(BrokenPipeError()))
    terminal.write("x")
    terminal.flush()


def test_what_was_not_taken_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left on device"):
        terminal.write("x")


def test_a_complaint_that_nobody_reads_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Failing(OSError(5, "Input/output error")))
    assert not terminal.complain("x")
    monkeypatch.setattr(sys, "stderr", heard := io.StringIO())
    assert terminal.complain("x")
    assert heard.getvalue() == "x\n"


def test_closed_streams_are_filled_so_that_no_file_gets_their_number() -> None:
    code = (
        "import os, sys\n"
        "from unstall.report.terminal import open_streams\n"
        "open_streams()\n"
        "print('nowhere'); print('nowhere', file=sys.stderr)\n"
        "number = os.open(os.devnull, os.O_RDONLY)\n"
        "os._exit(10 + number if not os.get_inheritable(1) else 1)\n"
    )
    line = f'"{sys.executable}" -c "$CODE" <&- >&- 2>&-'
    done = subprocess.run(["bash", "-c", line], env=os.environ | {"CODE": code}, check=False)
    assert done.returncode == 13
