"""How often a stall gets its one right cause and line, and whether clean code is ever accused.

Every scenario of tests/live/causes.py runs many times in a process of its own, on asyncio and uvloop,
and is judged by the table of tests/live/test_causes.py. No peer names a cause, so none is measured.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from tests.live.test_causes import EXPECTED, LOOPS, Expected, seen
from tests.support.postgres import Postgres, running_postgres

FULL_RUNS, QUICK_RUNS = 20, 1
FILE = "tests/live/causes.py"


@dataclass(frozen=True, slots=True)
class Run:
    name: str
    loop: str
    missed: str = ""
    """What was wrong, with the reason the monitor gave; empty when all was right."""
    starved: int = 0
    """Stalls told as the machine's fault."""

    @property
    def clean(self) -> bool:
        return self.name.endswith("_clean")


def run(name: str, loop: str, server: Postgres) -> Run:
    try:
        result = seen(name, loop, server.dsn)
    except (subprocess.SubprocessError, ValueError) as error:
        return Run(name, loop, f"the scenario did not end well: {error}")
    stalls: list[dict[str, Any]] = result["stalls"]
    starved = sum(stall["cause"] == "starved" for stall in stalls)
    if name.endswith("_clean"):
        missed = "; ".join(told(stall) for stall in stalls if stall["cause"] != "starved")
    else:
        missed = wrong(EXPECTED[name], stalls, result["findings"], f"{server.host}:{server.port}")
    return Run(name, loop, missed, starved)


def wrong(
    expected: Expected, stalls: list[dict[str, Any]], findings: list[dict[str, Any]], peer: str
) -> str:
    """What the longest stall was told as instead; empty if cause, line and rule are right."""
    if not stalls:
        return "no stall was seen"
    worst = max(stalls, key=lambda stall: stall["until_ns"] - stall["from_ns"])
    site = worst.get("site")
    where = (site["file"], site["function"], site["call"]) if site else None
    right = (FILE, expected.function, expected.call) if expected.function else None
    codes = {finding["code"] for finding in findings}
    if worst["cause"] == expected.cause and where == right and expected.code in codes:
        if not expected.peered or worst.get("peer") == peer:
            return ""
        return f"the peer should be {peer}: {told(worst)}"
    return f"{told(worst)}; rules {sorted(codes)}"


def told(stall: dict[str, Any]) -> str:
    site = stall.get("site")
    where = f"{site['function']} at {site['file']}:{site['line']} ({site['call']})" if site else "-"
    because = stall["because"]
    why = because if isinstance(because, str) else ", ".join(map(str, because))
    return f"{stall['cause']} in {where} because {why}"


def report(runs: list[Run]) -> str:
    rows = []
    for name in EXPECTED:
        row = [name]
        for loop in LOOPS:
            for scenario in (name, f"{name}_clean"):
                mine = [run for run in runs if run.name == scenario and run.loop == loop]
                row.append(f"{sum(not run.missed for run in mine)} of {len(mine)}")
        rows.append(row)
    pairs = [f"{loop} {what}" for loop in LOOPS for what in ("right", "clean silent")]
    return table(("cause produced", *pairs), rows)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, help=f"of each on each loop (default: {FULL_RUNS})")
    harness = Harness(options.parse_args())
    times = harness.options.runs or (QUICK_RUNS if harness.quick else FULL_RUNS)
    names = [scenario for name in EXPECTED for scenario in (name, f"{name}_clean")]
    order = [(name, loop) for name in names for loop in LOOPS for _ in range(times)]
    harness.chance.shuffle(order)
    harness.section(f"{times} runs of each on each loop, {len(order)} in all, in random order")
    with running_postgres() as server:
        runs = []
        for number, (name, loop) in enumerate(order, start=1):
            runs.append(run(name, loop, server))
            if number % 50 == 0:
                harness.progress(f"{number} of {len(order)}")
    harness.raw["runs"] = [asdict(run) for run in runs]
    print(report(runs))
    for (name, loop, missed), count in Counter((r.name, r.loop, r.missed) for r in runs).items():
        if missed:
            print(f"miss: {name} on {loop}, {count} x: {missed}")
    starved = sum(run.starved for run in runs if run.clean)
    print(f"stalls of clean code told as starved (the machine's, no accusation): {starved}")

    staged = [run for run in runs if not run.clean]
    right = sum(not run.missed for run in staged)
    accused = sum(bool(run.missed) for run in runs if run.clean)
    print(
        f"right in {100 * right / len(staged):.1f} % of {len(staged)} stagings; where nothing is missed, "
        f"fewer than {100 * 3 / len(staged):.1f} % would be in the long run (95 %)"
    )
    return harness.finish(
        [
            Bar("causes_right_label", str(right), f"of {len(staged)}", right == len(staged)),
            Bar("clean_twins_silent", f"{accused} accused", "== 0", accused == 0),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
