"""Servers and other children, each in a fresh process with the same hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.support.machine import ROOT

_START_S = 30.0
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Served:
    pid: int
    port: int


def environment(tool: str = "bare") -> dict[str, str]:
    """Ours, without what would change the measured programs behind our back."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "UNSTALL_"))
    }
    debug = {"PYTHONASYNCIODEBUG": "1"} if tool == "debug" else {}
    return {**kept, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT), **debug}


def command(module: str, *args: object) -> list[str]:
    given = [str(arg) for arg in args if arg is not None]
    return [sys.executable, "-m", f"benchmarks.support.{module}", *given]


@contextmanager
def serving(tool: str, loop: str, core: int | None) -> Iterator[Served]:
    """The measured service, until the block ends."""
    process = subprocess.Popen(
        command("server", tool, loop, core),
        cwd=ROOT, env=environment(tool), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {tool} server on {loop} ended with {process.wait(_START_S)}")
        yield Served(process.pid, int(line))
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def answer_of(module: str, *args: object, tool: str = "bare", told: Any = None) -> Any:
    """What a child prints as JSON. Raises RuntimeError with its complaint when it fails."""
    done = subprocess.run(
        command(module, *args),
        cwd=ROOT, env=environment(tool), input=json.dumps(told) if told is not None else None,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{module} {args} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)
