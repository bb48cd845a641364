"""What watching costs where there is little to do: an idle service, one turn of a task."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import ExitStack

from benchmarks.support.bars import table
from benchmarks.support.harness import Harness
from benchmarks.support.http import get
from benchmarks.support.machine import cpu_ns
from benchmarks.support.processes import answer_of, serving
from benchmarks.support.saturation import LOOPS, SERVER_CORE, Effort


def idle(effort: Effort) -> dict[str, dict[str, float]]:
    """Per cent of a core that a served but unused process takes, by loop and tool; all at once."""
    found: dict[str, dict[str, float]] = {loop: {} for loop in LOOPS}
    with ExitStack() as stack:
        running = {
            (loop, tool): stack.enter_context(serving(tool, loop, None))
            for loop in LOOPS
            for tool in ("bare", "unstall", "aiocop")
        }
        for served in running.values():
            asyncio.run(get(served.port, "/"))
        time.sleep(0.5)  # what start-up left behind
        before, at = {key: cpu_ns(served.pid) for key, served in running.items()}, time.monotonic()
        time.sleep(effort.idle)
        for (loop, tool), served in running.items():
            used_s = (cpu_ns(served.pid) - before[loop, tool]) / 1e9
            found[loop][tool] = 100.0 * used_s / (time.monotonic() - at)
    return found


def turns(harness: Harness, effort: Effort) -> dict[str, dict[str, float]]:
    """Microseconds for a turn of a task, by loop and tool: the median of a few processes."""
    repeats = 1 if harness.quick else 5
    tools = ("bare", "unstall", "aiocop", "debug")
    found = {loop: {tool: list[float]() for tool in tools} for loop in LOOPS}
    for _ in range(repeats):
        order = [(loop, tool) for loop in LOOPS for tool in tools]
        harness.chance.shuffle(order)
        for loop, tool in order:
            took = answer_of("switches", tool, loop, effort.turns, SERVER_CORE, tool=tool)
            found[loop][tool].append(took)
    harness.raw["turns_us"] = found
    return {
        loop: {tool: statistics.median(took) for tool, took in by_tool.items()}
        for loop, by_tool in found.items()
    }


def small_table(figures: dict[str, dict[str, float]]) -> str:
    tools = list(next(iter(figures.values())))
    return table(
        ("loop", *tools),
        [(loop, *(f"{by[tool]:.2f}" for tool in tools)) for loop, by in figures.items()],
    )
