"""Keeps a few processes running: what ends is started again, what cannot start is told."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tally.stack.processes import Reaper, mortal, start, stop

LOOK_S = 0.1
SOON_S = 5.0
"""What ends within this time after its start counts as one that could not start."""
PAUSE_S = 0.1
"""Before the first new start, doubled with each that fails."""
TRIES = 5
"""So many times in a row, and it is given up."""
PATIENCE_S = 15.0


class GaveUp(RuntimeError):
    """A process ends as soon as it is started; the message names it."""


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    refusals: frozenset[int] = frozenset()
    """Exit codes that another try would not change."""
    descriptors: tuple[int, ...] = ()
    """What it inherits."""
    leads: bool = True
    """A process group of its own, of which nothing is left when it has ended."""


@dataclass(slots=True)
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    since: float
    failures: int = 0
    again_at: float = 0.0


class Supervisor:
    """Programs in the order of their start; they are ended in the opposite one."""

    def __init__(self, reaper: Reaper, say: Callable[[str], None]) -> None:
        self._reaper = reaper
        self._say = say
        self._running: list[_Running] = []

    def start(self, program: Program) -> None:
        """Call it from a thread that lives on. Raises `OSError`."""
        self._running.append(_Running(program, self._spawn(program), time.monotonic()))

    def look(self, now: float | None = None) -> None:
        """Start again what has ended. Raises `GaveUp`."""
        now = time.monotonic() if now is None else now
        for each in self._running:
            code = each.process.poll()
            if code is None:
                continue
            if not each.again_at:
                self._note(each, code, now)
            elif now >= each.again_at:
                each.process, each.since, each.again_at = self._spawn(each.program), now, 0.0

    def stop(self) -> None:
        """SIGTERM to all at once, so that none waits for another; then in turn whatever it takes."""
        for each in reversed(self._running):
            if each.process.poll() is None:
                each.process.terminate()
        for each in reversed(self._running):
            with suppress(subprocess.TimeoutExpired):
                each.process.wait(PATIENCE_S)  # told twice, it would break off what it ends
            stop(each.process, (signal.SIGKILL,))
            self._reaper.gone(each.process.pid)
        self._running.clear()

    def _note(self, each: _Running, code: int, now: float) -> None:
        self._reaper.gone(each.process.pid)
        stop(each.process, ())  # what it started itself goes, too: it may hold the port
        name = each.program.name
        if code in each.program.refusals:
            raise GaveUp(f"{name} does not start: its words are above")
        each.failures = each.failures + 1 if now - each.since < SOON_S else 1
        if each.failures >= TRIES:
            raise GaveUp(
                f"{name} ended {TRIES} times as soon as it was started, the last time with {ended(code)}"
            )
        each.again_at = now + PAUSE_S * 2**each.failures
        self._say(f"{name} ended with {ended(code)} and is started again")

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        process = start(
            [*mortal(), *program.command],
            None,
            environ=program.environ,
            descriptors=program.descriptors,
            leads=program.leads,
        )
        self._reaper.child(process.pid)
        return process


def ended(code: int) -> str:
    """How a process ended, as `kill -l` or its exit code names it."""
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"code {code}"
