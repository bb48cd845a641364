"""Other generators of load, each as its own documentation says, in processes of their own.

One that is not installed is said, not skipped in silence. Locust and molotov live in an environment below
`.cache/load`, because importing Locust changes the standard library.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.machine import ROOT
from benchmarks.support.processes import environment

CACHE = ROOT / ".cache" / "load"
NEEDS = ("locust", "molotov")
_EXTRA_S = 60.0

LOCUSTFILE = """
from locust import FastHttpUser, constant_throughput, task

class Load(FastHttpUser):
    wait_time = constant_throughput({each})

    @task
    def ask(self):
        self.client.get("{path}")
"""
MOLOTOVFILE = """
import asyncio, json, time
from molotov import global_teardown, scenario

took = []

@scenario(weight=100)
async def ask(session):
    due = time.monotonic()
    async with session.get("{url}{path}") as answer:
        await answer.read()
    took.append(time.monotonic() - due)
    await asyncio.sleep(max(0.0, {pause} - (time.monotonic() - due)))

@global_teardown()
def tell():
    with open("{file}", "w") as file:
        json.dump(took, file)
"""
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_WRK = re.compile(r"^\s+(50|90|99)%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)
_WRK_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a generator says of itself. Milliseconds; None where it does not tell."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    trouble: str = ""
    due: int | None = None
    """Where it has a schedule."""

    @property
    def took_place(self) -> bool:
        return not self.trouble


def missing(why: str) -> Sent:
    return Sent(0, trouble=why)


def python() -> Path | str:
    """The environment's interpreter; why there is none."""
    found = CACHE / "bin" / "python"
    if found.exists() and _imports(found):
        return found
    venv.create(CACHE, with_pip=True, clear=True)
    done = subprocess.run(
        [found, "-m", "pip", "install", "-q", "setuptools<81", *NEEDS],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found if done.returncode == 0 else f"cannot be installed: {done.stderr.strip()[-200:]}"


def wrk(port: int, path: str, seconds: float, connections: int, core: int | None) -> Sent:
    """As fast as it is answered: it has no rate."""
    program = shutil.which("wrk")
    if program is None:
        return missing("not installed")
    url = f"http://127.0.0.1:{port}{path}"
    words = [
        program,
        "-t1",
        f"-c{connections}",
        f"-d{seconds:.0f}s",
        "--latency",
        "--timeout",
        "60s",
    ]
    said = _said([*_pinned(core), *words, url], seconds)
    if isinstance(said, Sent):
        return said
    rate = _WRK_RATE.search(said)
    times = {q: float(value) * _UNITS[unit] for q, value, unit in _WRK.findall(said)}
    count = round(float(rate[1]) * seconds) if rate else 0
    return Sent(count, times.get("50"), None, times.get("99"))


def locust(port: int, path: str, rate: float, seconds: float, users: int, core: int | None) -> Sent:
    """So many users, which together ask at the rate if they are answered at once."""
    program = python()
    if isinstance(program, str):
        return missing(program)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "locustfile.py"
        file.write_text(LOCUSTFILE.format(each=rate / users, path=path))
        said = _said(
            [*_pinned(core), str(program), "-m", "locust", "-f", str(file), "--headless", "--json",
             "-u", str(users), "-r", str(users), "-t", f"{seconds:.0f}s", "--loglevel", "ERROR",
             "-H", f"http://127.0.0.1:{port}"],
            seconds,
        )  # fmt: skip
    if isinstance(said, Sent):
        return said
    stats = json.loads(said)
    if not stats:
        return missing("it sent nothing")
    times = {float(ms): count for ms, count in stats[0]["response_times"].items()}
    return _of_counts(stats[0]["num_requests"], times)


def molotov(
    port: int, path: str, rate: float, seconds: float, users: int, core: int | None
) -> Sent:
    """The same, as coroutines that pause for the rest of their turn."""
    program = python()
    if isinstance(program, str):
        return missing(program)
    with tempfile.TemporaryDirectory() as folder:
        file, told = Path(folder) / "loadtest.py", Path(folder) / "took.json"
        url = f"http://127.0.0.1:{port}"
        file.write_text(MOLOTOVFILE.format(url=url, path=path, pause=users / rate, file=told))
        said = _said(
            [*_pinned(core), str(program.with_name("molotov")), "-q", "-x", "-w", str(users),
             "-d", f"{seconds:.0f}", str(file)],
            seconds,
        )  # fmt: skip
        if isinstance(said, Sent):
            return said
        if not told.exists():
            return missing("it said nothing")
        took = json.loads(told.read_text())
    return _of_counts(len(took), {second * 1e3: 1 for second in took})


def _of_counts(count: int, times: Mapping[float, int]) -> Sent:
    total = sum(times.values())
    if not total:
        return missing("it sent nothing")
    found = []
    for q in (0.5, 0.95, 0.99):
        seen = 0
        for ms in sorted(times):
            seen += times[ms]
            if seen >= q * total:
                found.append(ms)
                break
    return Sent(count, p50=found[0], p95=found[1], p99=found[2])


def _said(words: Sequence[str], seconds: float) -> str | Sent:
    try:
        done = subprocess.run(
            words, env=environment(), cwd=tempfile.gettempdir(), capture_output=True, text=True,
            timeout=seconds + _EXTRA_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return missing("it did not end")
    if done.returncode not in (0, 1):  # Locust's 1 says that some requests failed
        return missing(f"it ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.stdout


def _pinned(core: int | None) -> list[str]:
    program = shutil.which("taskset")
    return [program, "-c", str(core)] if program and core is not None else []


def _imports(interpreter: Path) -> bool:
    done = subprocess.run(
        [interpreter, "-c", f"import {', '.join(reversed(NEEDS))}"],
        env=environment(), capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0
