"""How soon the first word about a stall comes, counted from the moment it passed the threshold.

unstall speaks while the stall lasts; aiocop and asyncio's debug mode are measured beside it in the same
run, with the same threshold, and speak when the step is over.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.processes import answer_of
from benchmarks.support.stalls import STALL_S, THRESHOLD_S, Told
from benchmarks.support.statistics import median_interval, quantile

LOOPS = ("asyncio", "uvloop")
TOLD_LATE = "c with GIL"
"""Reported, not judged: Python runs nowhere in the process until such a call returns."""
FULL = {"unstall": 50, "aiocop": 10, "debug": 10}
QUICK = {"unstall": 3, "aiocop": 1, "debug": 1}


def measured(harness: Harness, times: dict[str, int]) -> dict[tuple[str, str], list[Told]]:
    """By tool and loop. A process stages at most ten of each kind, so that start-up varies too."""
    jobs = [
        (tool, loop, min(10, total - done))
        for tool, total in times.items()
        for loop in LOOPS
        for done in range(0, total, 10)
    ]
    harness.chance.shuffle(jobs)
    found: dict[tuple[str, str], list[Told]] = {
        (tool, loop): [] for tool in times for loop in LOOPS
    }
    for number, (tool, loop, count) in enumerate(jobs, start=1):
        seed = harness.chance.randrange(1 << 30)
        told = answer_of("stalls", tool, loop, count, seed)
        found[tool, loop] += [Told(**one) for one in told]
        harness.progress(f"{number} of {len(jobs)}: {tool} on {loop}")
    return found


def row(tool: str, loop: str, kind: str, told: list[Told]) -> list[str]:
    delays = [one.first_s for one in told if one.first_s is not None]
    live = sum(one.while_it_lasted for one in told)
    cells = [tool, loop, kind, f"{live} of {len(told)}", f"{len(delays)} of {len(told)}"]
    if not delays:
        return [*cells, "-", "-", "-"]
    interval = median_interval(delays).text(seconds)
    return [*cells, interval, seconds(quantile(delays, 0.95)), seconds(max(delays))]


def seconds(value: float) -> str:
    return f"{value:.3f}"


def main() -> int:
    harness = Harness(parser(__doc__).parse_args())
    times = QUICK if harness.quick else FULL
    harness.section(
        f"Stalls of {STALL_S} s, threshold {THRESHOLD_S} s, {times['unstall']} of each kind for unstall; "
        "seconds from the threshold to the first word"
    )
    found = measured(harness, times)
    harness.raw["told"] = {
        f"{tool} {loop}": [asdict(one) for one in told] for (tool, loop), told in found.items()
    }
    rows = [
        row(tool, loop, kind, [one for one in told if one.kind == kind])
        for (tool, loop), told in found.items()
        for kind in dict.fromkeys(sorted(one.kind for one in told))
    ]
    headings = ("watched by", "loop", "stall", "while it lasted", "told at all", "median")
    print(table((*headings, "p95", "max"), rows, left=3))
    print(f"'{TOLD_LATE}' is not judged: until it returns, no Python runs in the process.")

    judged = [one for loop in LOOPS for one in found["unstall", loop] if one.kind != TOLD_LATE]
    delays = [one.first_s for one in judged if one.while_it_lasted and one.first_s is not None]
    silent = len(judged) - len(delays)
    if not delays:
        return harness.finish([Bar("first_word_s", "never", "< 0.2", False)])
    print(f"unstall, all judged stalls: median {statistics.median(delays):.3f} s, untold {silent}")
    worst = max(delays)
    return harness.finish(
        [
            Bar("first_word_s", f"{worst:.3f} (the slowest)", "< 0.2", worst < 0.2),
            Bar("told_while_it_lasts", str(len(delays)), f"of {len(judged)}", silent == 0),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
