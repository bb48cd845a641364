"""Servers at saturation: one tool in a fresh process, or unstall switched on and off inside one or two."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.support.client import Counted, Order, Window
from benchmarks.support.harness import Harness
from benchmarks.support.http import get
from benchmarks.support.machine import two_cores
from benchmarks.support.processes import Served, answer_of, serving

LOOPS = ("asyncio", "uvloop")
SERVER_CORE, CLIENT_CORE = two_cores()
FULL = 0.95
"""Of a core: what two servers must use of it together."""


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
    with serving(tool, loop, SERVER_CORE) as served:
        ((counted,),) = client([served], [Window(effort.window, effort.warm_up)])
        must_see(tool, loop, served.port)
    return counted


def client(
    servers: Sequence[Served], plan: Sequence[Window], path: str = "/"
) -> list[list[Counted]]:
    """By window and server. Raises RuntimeError when a request failed: then the rate is of something else."""
    order = Order([(served.port, served.pid) for served in servers], path, CLIENT_CORE, plan)
    answers = answer_of("client", told=asdict(order))
    counted = [[Counted(**each) for each in window] for window in answers]
    for each in counted[-1]:
        if each.bad:
            raise RuntimeError(f"{each.bad} requests failed")
    if not all(each.rps for window in counted for each in window):
        raise RuntimeError("a window was empty")
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
            plan = [Window(steps_of.window, steps_of.settle, (call,)) for call in calls]
            plan = [Window(0.05, effort.warm_up), *plan, Window(0.05, 0.05, ("/off",))]
            windows = [window for (window,) in client([served], plan, path)[1:]]
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


@dataclass(frozen=True, slots=True)
class Swap:
    """Two windows of two servers that share a core: in the second it is the other that is watched."""

    on: tuple[Counted, Counted]
    off: tuple[Counted, Counted]

    @property
    def lost_percent(self) -> float:
        """Of the requests per second."""
        return 100.0 * (1.0 - self._ratio([each.rps for each in (*self.on, *self.off)]))

    @property
    def added_percent(self) -> float:
        """CPU time for one request."""
        return 100.0 * (self._ratio([each.cpu_us for each in (*self.on, *self.off)]) - 1.0)

    @property
    def added_us(self) -> float:
        return (sum(each.cpu_us for each in self.on) - sum(each.cpu_us for each in self.off)) / 2

    @staticmethod
    def _ratio(values: Sequence[float]) -> float:
        """The geometric mean: what the two servers differ by of themselves falls out."""
        on, on_later, off, off_later = values
        return math.sqrt(on * on_later / (off * off_later))


def side_by_side(
    harness: Harness, effort: Effort, loop: str, what: str | None, servers: int
) -> list[Swap]:
    """`what`, or nothing, is on in one of two servers of the same core, and then in the other.

    The machine's speed changes by a tenth from one window to the next. Two processes that the kernel gives
    the core in turn, some milliseconds each, see the same changes.
    """
    swaps: list[Swap] = []
    steps_of = effort.switching[what or "watch"]
    for _ in range(servers):
        ons = [at for _ in range(steps_of.pairs) for at in harness.chance.sample((0, 1), 2)]
        plan = [shared(harness, steps_of, what, on) for on in ons]
        plan = [Window(0.05, effort.warm_up), *plan, Window(0.05, 0.05, ("/off", "/off"))]
        with (
            serving("bare", loop, SERVER_CORE) as first,
            serving("bare", loop, SERVER_CORE) as second,
        ):
            windows = client([first, second], plan)[1:]
        for step, window, after in zip(plan[1:], windows, windows[1:], strict=False):
            for call, each, later in zip(step.calls, window, after, strict=True):
                must_count(call, each, later)
        full = statistics.median(sum(each.busy for each in window) for window in windows)
        if full < FULL:
            raise RuntimeError(f"the servers left {1 - full:.0%} of their core: no saturation")
        for on, one, two in zip(ons[::2], windows[::2], windows[1::2], strict=False):
            off = 1 - on
            swaps.append(Swap(on=(one[on], two[off]), off=(one[off], two[on])))
        harness.progress(f"{what or 'nothing'} in one of two on {loop}: {len(swaps)} swaps")
    harness.raw[f"side_by_side_{what or 'nothing'}_{loop}"] = [asdict(swap) for swap in swaps]
    return swaps


def shared(harness: Harness, steps_of: Switching, what: str | None, on: int) -> Window:
    """Of a random length: a fixed one would fall into step with the turns that the kernel gives."""
    calls = ["/off", "/off"]
    if what is not None:
        calls[on] = f"/on/{what}?shares=1"
    jitter = harness.chance.random
    return Window(steps_of.window + 0.1 * jitter(), steps_of.settle + 0.1 * jitter(), tuple(calls))


def must_count(call: str, window: Counted, after: Counted) -> None:
    """Raises RuntimeError unless unstall counted all requests of an on-window, or none of another."""
    assert window.begun is not None
    assert after.begun is not None
    answered, begun = after.answered - window.answered, after.begun - window.begun
    slack = 200  # requests under way at either end
    expected = 0 if call == "/off" else answered
    if abs(begun - expected) > slack:
        raise RuntimeError(f"{call}: {begun} requests begun of {answered} answered")
