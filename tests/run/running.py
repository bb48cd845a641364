"""`unstall run` as a user starts it, in a session of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PATIENCE_S = 60.0
HERE = Path(__file__).parent
APP = HERE / "app"
UNSTALL = (sys.executable, "-m", "unstall")
# A machine that runs other things too must not make a clean app look bad.
THRESHOLD_MS = "150"


def line_in(path: Path, marker: str) -> int:
    """The number of the one line that holds `marker`."""
    numbers = [n for n, line in enumerate(path.read_text().splitlines(), 1) if marker in line]
    (number,) = numbers
    return number


class Running:
    """A command under `unstall run`, with what it said so far."""

    def __init__(self, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
        self.process = process
        self._said = said

    @property
    def stderr(self) -> str:
        return Path(self._said.name).read_text(errors="replace")

    def until_said(self, pattern: str) -> re.Match[str]:
        found = self.says(pattern, PATIENCE_S)
        assert found, f"{pattern!r} was not said:\n{self.stderr}"
        return found

    def says(self, pattern: str, within_s: float) -> re.Match[str] | None:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.stderr, re.MULTILINE):
                return found
            time.sleep(0.02)
        return None

    def get(self, url: str) -> bytes:
        """The answer, as soon as somebody listens there."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                    body: bytes = answer.read()
                    return body
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, self.stderr
                assert time.monotonic() < deadline, self.stderr
                time.sleep(0.05)

    def end(self, signum: int = signal.SIGTERM) -> int:
        """The exit code after a signal; none of its processes may be left."""
        self.process.send_signal(signum)
        code = self.process.wait(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while (left := processes_of_session(self.process.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left == [], self.stderr
        return code


def processes_of_session(session: int) -> list[int]:
    """Running processes, and none that only wait to be reaped."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                state, _, _, sid = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(sid) == session and state != "Z":
                    found.append(int(folder.name))
    return found


@contextmanager
def running(
    folder: Path,
    command: Sequence[str],
    *options: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = APP,
) -> Iterator[Running]:
    """Started for the block; whatever is left of its session after the block is killed by its number."""
    with (folder / "stderr.txt").open("wb") as said:
        process = subprocess.Popen(
            [*UNSTALL, "run", "--threshold", THRESHOLD_MS, *options, "--", *command],
            cwd=cwd,
            env={**clean_environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            yield Running(process, said)
        finally:
            for pid in processes_of_session(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def clean_environment() -> dict[str, str]:
    """Without what a test run that is itself watched or measured would hand down."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UNSTALL_", "COVERAGE_", "PYTEST_")) and name != "PYTHONPATH"
    }


def run(
    command: Sequence[str],
    *options: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = APP,
) -> subprocess.CompletedProcess[str]:
    """To its end."""
    return subprocess.run(
        [*UNSTALL, "run", "--threshold", THRESHOLD_MS, *options, "--", *command],
        cwd=cwd,
        env={**clean_environment(), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        start_new_session=True,
        check=False,
    )
