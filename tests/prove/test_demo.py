"""The demonstration, small: it freezes what it says, names the line, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unstall.load import Progress
from unstall.model.finding import Cause
from unstall.model.report import WitnessVerdict
from unstall.prove.demo import VARIANTS, DemoPlan, demonstrate
from unstall.prove.run import Audience

APP = Path(__file__).resolve().parents[2] / "reference/incident/app.py"


class Notes(Audience):
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.advanced: list[int] = []

    def hears(self, line: str) -> None:
        self.heard.append(line)

    def advances(self, progress: Progress) -> None:
        self.advanced.append(progress.answered)


@pytest.mark.live
@pytest.mark.slow
def test_the_blocking_call_is_named_while_it_freezes_and_the_lane_stays_clean() -> None:
    notes = Notes()
    plan = DemoPlan(seconds=4, rate=40, hang=1, probability=0.1, seed=3)
    blocking, lane = asyncio.run(demonstrate(plan, notes, (VARIANTS[0], VARIANTS[2])))

    worst = blocking.report.findings[0]
    assert worst.site is not None
    assert worst.site.file == "reference/incident/app.py"
    assert "requests.get(" in APP.read_text().splitlines()[worst.site.line - 1]
    assert worst.cause is Cause.WAITING
    assert worst.entry is not None
    assert worst.entry.kind == "dependency"
    assert blocking.verdict is WitnessVerdict.FROZEN
    assert blocking.victims > 0
    frozen = [line for line in notes.heard if "FROZEN" in line]
    assert any(f"reference/incident/app.py:{worst.site.line}" in line for line in frozen)
    assert notes.advanced

    assert not [f for f in lane.report.findings if f.cause is not Cause.STARVED]
    assert lane.verdict is not WitnessVerdict.FROZEN


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_demonstration_and_every_process_it_started(
    number: signal.Signals,
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "unstall", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while len(started_by(demo.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    children = started_by(demo.pid)
    demo.send_signal(number)
    _, said = demo.communicate(timeout=60)
    assert len(children) >= 3, said
    assert demo.returncode == (130 if number is signal.SIGINT else 143)
    assert "Traceback" not in said
    assert left_of(children) == []


def is_alive(pid: int) -> bool:
    """Not gone, and not merely waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def left_of(children: set[int]) -> list[int]:
    """Who is still there when all had time to end; who watches over others ends after them."""
    deadline = time.monotonic() + 60
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [pid for pid in children if is_alive(pid)]


def started_by(pid: int) -> set[int]:
    """The process ids of all descendants."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in map(int, task.read_text().split()):
                found |= {child} | started_by(child)
        except OSError:
            continue
    return found


def test_the_pods_are_as_many_as_the_probability_asks_for() -> None:
    assert DemoPlan(probability=0.05).pods == 20
    assert DemoPlan(probability=0.5).pods == 2
    assert DemoPlan(probability=0.0).pods == 2


def test_the_lane_has_threads_for_twice_the_calls_that_hang_on_average() -> None:
    assert DemoPlan(rate=50, probability=0.05, hang=3).lane_threads == 15
    assert DemoPlan(rate=1, probability=0.05, hang=1).lane_threads == 8
    assert DemoPlan(literal=True, hang=15).lane_threads == 8
