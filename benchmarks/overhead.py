"""What watching costs a FastAPI service at saturation, beside aiocop, asyncio debug mode and pyinstrument.

A no-op route under uvicorn (httptools, one worker, pinned to a core) answers a closed-loop client on
another core. Peers are compared over fresh processes, paired by round. The watch alone, and everything that
may stay on, is then switched on in one of two servers that share the core, and in the other, in turn: so half
a per cent can be told from noise. On a route with a query it is switched on and off inside one process.
"""

from __future__ import annotations

import os
import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.client import Counted
from benchmarks.support.harness import Harness, parser
from benchmarks.support.machine import Others
from benchmarks.support.saturation import (
    CLIENT_CORE,
    LOOPS,
    SERVER_CORE,
    Effort,
    Pair,
    Switching,
    fresh,
    side_by_side,
    switched,
)
from benchmarks.support.small import idle, small_table, turns
from benchmarks.support.statistics import (
    Interval,
    added_percent,
    lost_percent,
    median_interval,
)
from benchmarks.support.tools import PEERS
from tests.support.postgres import running_postgres

WATCHED = ("unstall", *PEERS)

# A window begins when what the switch itself costs is over: threads start, modules load, CPython specialises
# its code anew; and it takes two seconds to see that a process is busy, and to measure fewer requests. What
# is measured is the cost of leaving it on. Short windows, because a server drifts by more than is looked for.
SWITCHING = {"watch": Switching(60, 0.8, 0.3), "everything": Switching(15, 1.0, 2.5)}
BRIEFLY = {"watch": Switching(3, 0.4, 0.3), "everything": Switching(2, 0.4, 1.0)}
FULL = Effort(20, 1.0, 3.0, servers=4, switching=SWITCHING, idle=5.0, turns=200_000)
QUICK = Effort(2, 0.2, 0.4, servers=1, switching=BRIEFLY, idle=2.0, turns=20_000)


# --- peers, one fresh process each ----------------------------------------------------------------


def compared(harness: Harness, effort: Effort) -> dict[str, dict[str, list[Counted]]]:
    """By loop and tool, one window of each round."""
    found = {loop: {tool: list[Counted]() for tool in ("bare", *WATCHED)} for loop in LOOPS}
    others: list[float] = []
    for number in range(effort.rounds):
        order = [(loop, tool) for loop in LOOPS for tool in ("bare", *WATCHED)]
        harness.chance.shuffle(order)
        for loop, tool in order:
            meanwhile = Others()
            found[loop][tool].append(fresh(tool, loop, effort))
            others.append(meanwhile.cores())
        harness.progress(f"round {number + 1} of {effort.rounds}")
    harness.raw["compared"] = {
        loop: {tool: [asdict(window) for window in windows] for tool, windows in tools.items()}
        for loop, tools in found.items()
    }
    harness.raw["compared_others_cores"] = others
    print(f"others used {statistics.median(others):.2f} cores (median), {max(others):.2f} (most)")
    return found


def losses(found: dict[str, dict[str, list[Counted]]], loop: str, tool: str) -> Interval:
    pairs = zip(found[loop][tool], found[loop]["bare"], strict=True)
    return median_interval([lost_percent(mine.rps, bare.rps) for mine, bare in pairs])


def compared_table(found: dict[str, dict[str, list[Counted]]]) -> str:
    rows = []
    for loop, tools in found.items():
        for tool, windows in tools.items():
            row = [
                loop,
                tool,
                f"{statistics.median(w.rps for w in windows):.0f}",
                f"{statistics.median(w.cpu_us for w in windows):.1f}",
                f"{statistics.median(w.busy for w in windows):.2f}",
            ]
            if tool == "bare":
                rows.append([*row, "", ""])
                continue
            pairs = zip(windows, tools["bare"], strict=True)
            cpu = median_interval([added_percent(mine.cpu_us, b.cpu_us) for mine, b in pairs])
            rows.append([*row, losses(found, loop, tool).text(percent), cpu.text(percent)])
    headings = ("loop", "watched by", "rps", "CPU us/request", "core busy", "rps lost %")
    return table((*headings, "CPU added %"), rows, left=2)


def percent(value: float) -> str:
    return f"{value:.2f}"


def costs(pairs: list[Pair]) -> tuple[Interval, Interval, Interval]:
    """Requests per second lost in %, CPU added in %, and in microseconds a request."""
    return (
        median_interval([lost_percent(pair.on.rps, pair.off.rps) for pair in pairs]),
        median_interval([added_percent(pair.on.cpu_us, pair.off.cpu_us) for pair in pairs]),
        median_interval([pair.on.cpu_us - pair.off.cpu_us for pair in pairs]),
    )


# --- what is switched on, and what that may cost in % of requests per second

NOOP_MOST = {"watch": 1.0, "everything": 2.0}
QUERY_MOST = 1.0


def side_by_side_bars(harness: Harness, effort: Effort, what: str) -> list[Bar]:
    """On a no-op route; and nothing, which shows what the method itself errs by."""
    bars, rows = [], []
    harness.section(f"Two servers on one core, {what} on in one, in turn; no-op route")
    fewer, most = max(1, effort.servers // 2), NOOP_MOST[what]
    for loop in LOOPS:
        for on, servers in ((what, effort.servers), (None, fewer)):
            if on is None and what != "watch":
                continue
            meanwhile = Others()
            swaps = side_by_side(harness, effort, loop, on, servers)
            lost = median_interval([swap.lost_percent for swap in swaps])
            cpu = median_interval([swap.added_percent for swap in swaps])
            added_us = median_interval([swap.added_us for swap in swaps])
            row = (lost.text(percent), cpu.text(percent), added_us.text(percent))
            rows.append((on or "nothing", loop, str(len(swaps)), *row, f"{meanwhile.cores():.2f}"))
            if on is not None:
                # What other threads of the server use is taken from both servers: only CPU time shows it.
                worse = max(lost, cpu, key=lambda found: found.median)
                bars.append(
                    Bar(
                        f"{on}_noop_{loop}_rps_lost", f"{worse.text(percent)} %",
                        f"< {most:g} %", worse.median < most,
                    )
                )  # fmt: skip
    headings = ("on", "loop", "swaps", "rps lost %", "CPU added %", "CPU added us/request")
    print(table((*headings, "others' cores"), rows, left=2))
    return bars


def query_bars(harness: Harness, effort: Effort) -> list[Bar]:
    """Everything, on a route with a query.

    Raises what `running_postgres` raises where there is no PostgreSQL.
    """
    bars, rows = [], []
    harness.section(
        f"Everything switched in place, in pairs of windows, on {effort.servers} servers one after another"
    )
    with running_postgres() as server:
        os.environ["BENCHMARK_DSN"] = server.dsn
        for loop in LOOPS:
            meanwhile = Others()
            lost, cpu, added_us = costs(switched(harness, effort, loop, "everything", "/query"))
            row = (lost.text(percent), cpu.text(percent), added_us.text(percent))
            rows.append(("/query", loop, *row, f"{meanwhile.cores():.2f}"))
            name = f"everything_query_{loop}_rps_lost"
            within = lost.median < QUERY_MOST
            bars.append(Bar(name, f"{lost.text(percent)} %", f"< {QUERY_MOST:g} %", within))
    headings = ("route", "loop", "rps lost %", "CPU added %", "CPU added us/request")
    print(table((*headings, "others' cores"), rows, left=2))
    return bars


# --- all of it ------------------------------------------------------------------------------------


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, help=f"of fresh servers (default: {FULL.rounds})")
    options.add_argument("--servers", type=int, help=f"to switch in (default: {FULL.servers})")
    options.add_argument(
        "--only", choices=(*NOOP_MOST, "query"), help="what is switched on, and no peers"
    )
    harness = Harness(options.parse_args())
    effort = QUICK if harness.quick else FULL
    rounds = harness.options.rounds or effort.rounds
    effort = replace(effort, rounds=rounds, servers=harness.options.servers or effort.servers)
    print(f"server on core {SERVER_CORE}, client on core {CLIENT_CORE}")
    if harness.options.only in NOOP_MOST:
        return harness.finish(side_by_side_bars(harness, effort, harness.options.only))
    if harness.options.only == "query":
        return harness.finish(query_bars(harness, effort))

    harness.section(
        f"Beside peers: {effort.rounds} rounds of fresh processes, {effort.window} s each"
    )
    found = compared(harness, effort)
    print(compared_table(found))

    bars = [bar for what in NOOP_MOST for bar in side_by_side_bars(harness, effort, what)]
    bars += query_bars(harness, effort)

    harness.section(f"An idle service for {effort.idle} s: % of a core")
    unused = harness.raw["idle_percent"] = idle(effort)
    print(small_table(unused))

    harness.section("One turn of a task (sleep(0)): CPU us")
    turned = turns(harness, effort)
    print(small_table(turned))
    added = max(turned[loop]["unstall"] - turned[loop]["bare"] for loop in LOOPS)
    bars.append(Bar("added_per_callback", f"{added:.2f} us", "< 2 us", added < 2.0))

    bars.append(below_every_peer(found))
    most = max(unused[loop]["unstall"] for loop in LOOPS)
    bars.append(Bar("idle_cpu", f"{most:.2f} %", "< 1 %", most < 1.0))
    return harness.finish(bars)


def below_every_peer(found: dict[str, dict[str, list[Counted]]]) -> Bar:
    """By the medians of the fresh processes, on each loop; told for the loop where it is closest."""
    closest: list[tuple[float, str, str]] = []
    for loop in LOOPS:
        own = losses(found, loop, "unstall").median
        least, peer = min((losses(found, loop, peer).median, peer) for peer in PEERS)
        closest.append((least - own, f"{own:.2f} %", f"< {least:.2f} % ({peer}, {loop})"))
    margin, figure, goal = min(closest)
    return Bar("below_every_peer", figure, goal, margin > 0)


if __name__ == "__main__":
    sys.exit(main())
