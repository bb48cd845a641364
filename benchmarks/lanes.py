"""What a call through a lane costs, and how the loop fares while jobs compute, beside other ways.

One call of a function that does nothing, after another, through each way in windows of random order;
then 20 jobs that compute for 30 ms each, and how late a heartbeat of 5 ms runs meanwhile.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import anyio.to_process
import anyio.to_thread
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.machine import Others
from benchmarks.support.statistics import Interval, median_interval, quantile
from benchmarks.support.toil import compute, nothing
from unstall import Lane
from unstall.errors import UsageError

Way = Callable[..., Awaitable[Any]]
LOOPS: dict[str, Callable[..., Any]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}
BEAT_S = 0.005
JOB_S = 0.03
JOBS = 20
GOAL = 1.1


@dataclass(frozen=True, slots=True)
class Effort:
    rounds: int
    thread_calls: int
    """In a window."""
    process_calls: int
    lags: int
    """Repetitions of the 20 jobs."""


FULL = Effort(rounds=24, thread_calls=2_000, process_calls=300, lags=6)
QUICK = Effort(rounds=7, thread_calls=500, process_calls=60, lags=2)


# --- ways -----------------------------------------------------------------------------------


def thread_ways(stack: ExitStack) -> dict[str, Way]:
    """Each with room for four at a time."""
    plain = stack.enter_context(Lane("plain", threads=4))
    timed = stack.enter_context(Lane("timed", threads=4, deadline=5.0))
    limiter = anyio.CapacityLimiter(4)
    ways: dict[str, Way] = {
        "lane": plain.run,
        "lane with deadline": timed.run,
        "anyio.to_thread": functools.partial(anyio.to_thread.run_sync, limiter=limiter),
        "asyncio.to_thread": asyncio.to_thread,
    }
    if find_spec("asgiref") is not None:
        in_thread = import_module("asgiref.sync").sync_to_async
        ways["asgiref"] = lambda function: in_thread(function, thread_sensitive=False)()
    if find_spec("asyncer") is not None:
        asyncify = import_module("asyncer").asyncify
        ways["asyncer"] = lambda function: asyncify(function)()
    return ways


def process_ways(stack: ExitStack, workers: int) -> dict[str, Way]:
    lane = stack.enter_context(Lane("processes", processes=workers, queue=JOBS))
    pool = stack.enter_context(ProcessPoolExecutor(workers, _spawn()))
    limiter = anyio.CapacityLimiter(workers)

    async def in_pool(function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *args)

    return {
        "lane of processes": lane.run,
        "anyio.to_process": functools.partial(anyio.to_process.run_sync, limiter=limiter),
        "ProcessPoolExecutor": in_pool,
    }


def _spawn() -> Any:
    """As the others start theirs; a fork of a process with threads may hang."""
    import multiprocessing

    return multiprocessing.get_context("spawn")


def lag_ways(stack: ExitStack) -> dict[str, Way]:
    async def inline(function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    four = anyio.CapacityLimiter(4)
    ways: dict[str, Way] = {
        "on the loop": inline,
        "anyio.to_thread, 4": functools.partial(anyio.to_thread.run_sync, limiter=four),
        "lane of 4 threads": stack.enter_context(Lane("four", threads=4, queue=JOBS)).run,
        "lane of 1 thread": stack.enter_context(Lane("one", threads=1, queue=JOBS)).run,
    }
    try:
        apart = stack.enter_context(Lane("apart", interpreters=2, queue=JOBS))
        ways["lane of 2 interpreters"] = apart.run
    except UsageError as error:
        print(f"left out: {error}")
    return ways | {f"{name}, 2": way for name, way in process_ways(stack, 2).items()}


# --- measures -------------------------------------------------------------------------------


async def window(way: Way, calls: int) -> float:
    """Microseconds a call."""
    before = time.perf_counter()
    for _ in range(calls):
        await way(nothing)
    return (time.perf_counter() - before) / calls * 1e6


async def costs(
    harness: Harness, ways: dict[str, Way], rounds: int, calls: int
) -> dict[str, list[float]]:
    for way in ways.values():
        await window(way, 20)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        order = list(ways)
        harness.chance.shuffle(order)
        for name in order:
            found[name].append(await window(ways[name], calls))
    return found


async def lateness(way: Way) -> list[float]:
    """Milliseconds by which each beat was late while the jobs ran."""
    jobs = [asyncio.ensure_future(way(compute, JOB_S)) for _ in range(JOBS)]
    late: list[float] = []
    due = time.perf_counter() + BEAT_S
    while not all(job.done() for job in jobs):
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        late.append(max(0.0, time.perf_counter() - due) * 1e3)
        due = time.perf_counter() + BEAT_S
    await asyncio.gather(*jobs)
    return late


async def lags(harness: Harness, repetitions: int) -> dict[str, list[float]]:
    with ExitStack() as stack:
        ways = lag_ways(stack)
        for name, way in ways.items():
            if name != "on the loop":
                await asyncio.gather(*(way(compute, 0.001) for _ in range(4)))
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repetitions):
            order = list(ways)
            harness.chance.shuffle(order)
            for name in order:
                found[name] += await lateness(ways[name])
    return found


# --- the report -----------------------------------------------------------------------------


def ratio(found: dict[str, list[float]], own: str, peers: list[str]) -> tuple[Interval, str]:
    """To the peer that is fastest by its median, in the same rounds."""
    fastest = min(peers, key=lambda peer: median_interval(found[peer]).median)
    pairs = zip(found[own], found[fastest], strict=True)
    return median_interval([mine / theirs for mine, theirs in pairs]), fastest


def cost_rows(loop: str, found: dict[str, list[float]]) -> list[tuple[str, ...]]:
    return [(loop, name, median_interval(took).text(micro)) for name, took in found.items()]


def cost_bar(name: str, loop: str, found: dict[str, list[float]], own: str) -> Bar:
    peers = [peer for peer in found if not peer.startswith("lane")]
    times, fastest = ratio(found, own, peers)
    goal = f"<= {GOAL} x {fastest}"
    return Bar(f"{name}_{loop}", f"{times.text(plain)} x", goal, times.median <= GOAL)


def micro(value: float) -> str:
    return f"{value:.1f}"


def plain(value: float) -> str:
    return f"{value:.2f}"


def main() -> int:
    harness = Harness(parser(__doc__).parse_args())
    effort = QUICK if harness.quick else FULL
    for library in ("asgiref", "asyncer"):
        if find_spec(library) is None:
            print(f"left out: {library} is not installed")
    bars: list[Bar] = []

    harness.section(f"One call in a thread, us: {effort.rounds} windows of {effort.thread_calls}")
    rows: list[tuple[str, ...]] = []
    for loop, run in LOOPS.items():
        with ExitStack() as stack:
            ways = thread_ways(stack)
            found = run(costs(harness, ways, effort.rounds, effort.thread_calls))
        harness.raw[f"thread_us_{loop}"] = found
        rows += cost_rows(loop, found)
        bars.append(cost_bar("lane_thread", loop, found, "lane"))
    print(table(("loop", "way", "us a call"), rows, left=2))

    harness.section(f"One call in a process, us: {effort.rounds} windows of {effort.process_calls}")
    with ExitStack() as stack:
        ways = process_ways(stack, 1)
        found = asyncio.run(costs(harness, ways, effort.rounds, effort.process_calls))
    harness.raw["process_us"] = found
    print(table(("loop", "way", "us a call"), cost_rows("asyncio", found), left=2))
    bars.append(cost_bar("lane_process", "asyncio", found, "lane of processes"))

    harness.section(f"Lag of the loop while {JOBS} jobs of {JOB_S * 1e3:.0f} ms compute, ms")
    meanwhile = Others()
    late = asyncio.run(lags(harness, effort.lags))
    harness.raw["late_ms"] = late
    shown = [
        (name, *(plain(quantile(beats, q)) for q in (0.5, 0.99, 1.0)), str(len(beats)))
        for name, beats in late.items()
    ]
    print(table(("way", "p50", "p99", "max", "beats"), shown))
    print(f"others used {meanwhile.cores():.2f} cores meanwhile")
    own = quantile(late["lane of processes, 2"], 0.5)
    bars.append(Bar("lag_processes_p50", f"{own:.2f} ms", "< 1 ms", own < 1.0))
    return harness.finish(bars)


if __name__ == "__main__":
    sys.exit(main())
