"""Servers at saturation: one tool in a fresh process, or unstall switched on and off inside one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass

from benchmarks.support.client import Counted, Window
from benchmarks.support.harness import Harness
from benchmarks.support.http import get
from benchmarks.support.machine import two_cores
from benchmarks.support.processes import answer_of, serving

LOOPS = ("asyncio", "uvloop")
SERVER_CORE, CLIENT_CORE = two_cores()


@dataclass(frozen=True, slots=True)
class Switching:
    """So many pairs of windows, each begun `settle` seconds after the switch."""

    pairs: int
    window: float
    settle: float


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured; times in seconds."""

    rounds: int
    warm_up: float
    window: float
    servers: int
    switching: dict[str, Switching]
    """By what is switched."""
    idle: float
    turns: int


def fresh(tool: str, loop: str, effort: Effort) -> Counted:
    plan = [asdict(Window(effort.window, effort.warm_up))]
    with serving(tool, loop, SERVER_CORE) as served:
        (counted,) = client(served.port, served.pid, plan)
        must_see(tool, loop, served.port)
    return counted


def client(port: int, pid: int, plan: list[dict[str, object]], path: str = "/") -> list[Counted]:
    """Raises RuntimeError when a request failed: then the rate is of something else."""
    answers = answer_of("client", port, pid, path, CLIENT_CORE, told=plan)
    counted = [Counted(**window) for window in answers]
    if counted[-1].bad or not all(window.rps for window in counted):
        raise RuntimeError(f"{counted[-1].bad} requests failed or a window was empty")
    return counted


def must_see(tool: str, loop: str, port: int) -> None:
    """Raises RuntimeError if the tool slept, or if one was on that should not have been."""
    asyncio.run(get(port, "/block"))
    seen, until = 0, time.monotonic() + (3.0 if tool != "bare" else 0.0)
    while not seen and time.monotonic() < until:
        time.sleep(0.02)
        seen = asyncio.run(get(port, "/seen"))["seen"]
    if bool(seen) != (tool != "bare"):
        raise RuntimeError(f"{tool} on {loop} noted {seen} blocked steps: the figure means nothing")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two neighbouring windows of one server under constant load."""

    on: Counted
    off: Counted


def switched(harness: Harness, effort: Effort, loop: str, what: str, path: str = "/") -> list[Pair]:
    """`what` is switched on and off: the watch alone, or everything that may stay on."""
    pairs: list[Pair] = []
    steps_of = effort.switching[what]
    for _ in range(effort.servers):
        with serving("bare", loop, SERVER_CORE) as served:
            order = [harness.chance.random() < 0.5 for _ in range(steps_of.pairs)]
            calls = [call for on_first in order for call in in_order(on_first, what)]
            # The closing window gives the last real one its end.
            plan = [Window(steps_of.window, steps_of.settle, call) for call in calls]
            plan.append(Window(0.05, 0.05, "/off"))
            steps = [asdict(window) for window in (Window(0.05, effort.warm_up), *plan)]
            windows = client(served.port, served.pid, steps, path)[1:]
        for call, window, after in zip(calls, windows, windows[1:], strict=False):
            must_count(call, window, after)
        for at, on_first in enumerate(order):
            first, second = windows[2 * at], windows[2 * at + 1]
            pairs.append(Pair(first, second) if on_first else Pair(second, first))
        harness.progress(f"{what} switched on {loop}, {path}: {len(pairs)} pairs")
    harness.raw[f"switched_{what}_{loop}_{path}"] = [asdict(pair) for pair in pairs]
    return pairs


def in_order(on_first: bool, what: str) -> tuple[str, str]:
    on = f"/on/{what}"
    return (on, "/off") if on_first else ("/off", on)


def must_count(call: str, window: Counted, after: Counted) -> None:
    """Raises RuntimeError unless the framework hook counted all requests of an on-window, or none."""
    assert window.begun is not None
    assert after.begun is not None
    answered, begun = after.answered - window.answered, after.begun - window.begun
    slack = 200  # requests under way at either end
    expected = 0 if call == "/off" else answered
    if abs(begun - expected) > slack:
        raise RuntimeError(f"{call}: {begun} requests begun of {answered} answered")
