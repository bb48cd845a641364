"""Each cause produced for real and named; each clean twin silent. `benchmarks/causes.py` repeats it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
LOOPS = ("asyncio", "uvloop")

pytestmark = pytest.mark.live


@dataclass(frozen=True)
class Expected:
    """What a scenario must be told as; `function` is None where nobody on the loop is to blame."""

    cause: str
    code: str
    function: str | None
    call: str = ""
    peered: bool = False
    """Whether it waits for the server."""


EXPECTED = {
    "waiting": Expected("waiting", "US103", "waiting", "cursor.execute", peered=True),
    "gil": Expected("gil", "US206", "gil", "re.match"),
    "gil_thread": Expected("gil", "US904", None),
    "gil_crowd": Expected("gil", "US904", None),
    "cpu_c": Expected("cpu", "US201", "cpu_c", "hashlib.pbkdf2_hmac"),
    "cpu_python": Expected("cpu", "US200", "crunch"),
    "lock": Expected("lock", "US109", "lock", "with guard"),
    "future": Expected("lock", "US109", "future", "concurrent.futures._base.Future.result"),
    "callbacks": Expected("saturated", "US903", "crunch"),
    "collecting": Expected("gc", "US901", "collecting", "gc.collect"),
    "starved": Expected("starved", "US902", None),
    "debugger": Expected("waiting", "US101", "debugger", "time.sleep"),
    "saturated": Expected("saturated", "US903", "crunch"),
}


def seen(name: str, loop: str, dsn: str = "") -> dict[str, Any]:
    """What the monitor made of one scenario, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.live.causes", name, loop],
        cwd=ROOT,
        env={**os.environ, "CAUSES_DSN": dsn, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_stall_gets_its_one_right_cause_and_line(
    name: str, loop: str, postgres: Postgres
) -> None:
    expected = EXPECTED[name]
    result = seen(name, loop, postgres.dsn)
    worst = max(result["stalls"], key=lambda stall: stall["until_ns"] - stall["from_ns"])
    if (
        name != "gil_crowd"
    ):  # many stalls, the longest of them perhaps when the threads had just ended
        assert worst["cause"] == expected.cause, worst["because"]
    site = worst.get("site")
    if expected.function is None:
        assert site is None
    else:
        assert (site["file"], site["function"]) == ("tests/live/causes.py", expected.function)
        assert site["call"] == expected.call
    assert expected.code in {finding["code"] for finding in result["findings"]}
    if expected.peered:
        assert worst["syscall"] in ("poll", "ppoll")
        assert worst["peer"] == f"{postgres.host}:{postgres.port}"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", EXPECTED)
def test_the_clean_twin_accuses_nobody(name: str, loop: str, postgres: Postgres) -> None:
    result = seen(f"{name}_clean", loop, postgres.dsn)
    assert [stall for stall in result["stalls"] if accuses(stall)] == []


def accuses(stall: dict[str, Any]) -> bool:
    """On a machine that is out of processors a stall may be real, and then it is told as that.

    Or as one of which too little was seen, with no line to blame.
    """
    nobody = stall.get("site") is None
    return stall["cause"] != "starved" and not (stall["cause"] == "unknown" and nobody)
