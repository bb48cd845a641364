"""Whether the small demonstration shows what it promises, again and again.

Each run plays the blocking variant and the lane with a seed of its own, as `unstall demo` (`make incident`)
does: the line named must be the `requests.get` of the incident service, the blocking variant frozen, the lane
isolated. No peer can be asked: none names a line and the request it froze while the freeze lasts.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from unstall.load import quiet_gc
from unstall.model.finding import Cause
from unstall.model.report import WitnessVerdict
from unstall.prove.demo import VARIANTS, DemoPlan, VariantResult, demonstrate
from unstall.prove.run import Audience

FULL_RUNS, QUICK_RUNS = 20, 2
FILE, FUNCTION, CALL = "reference/incident/app.py", "fetch_price", "requests.get"
TEXT = "response = requests.get("
WITNESS_GOAL_MS = 50.0


def line_to_blame() -> int:
    """Where the call stands in the source, found by its text."""
    source = (Path(__file__).resolve().parents[1] / FILE).read_text(encoding="utf-8")
    return next(n for n, line in enumerate(source.splitlines(), 1) if TEXT in line)


def miss_of(blocking: VariantResult, lane: VariantResult) -> str:
    """What was not as promised; empty when all was."""
    if not blocking.report.findings:
        return "nothing was found in the blocking variant"
    worst = blocking.report.findings[0]
    site, entry = worst.site, worst.entry
    if site is None or (site.file, site.line, site.function, site.call) != (
        FILE, line_to_blame(), FUNCTION, CALL,
    ):  # fmt: skip
        return f"blamed {site}"
    if worst.cause is not Cause.WAITING or worst.evidence[0].peer is None:
        return f"told as {worst.cause} with peer {worst.evidence[0].peer}"
    if entry is None or (entry.kind, entry.name) != ("dependency", f"GET {VARIANTS[0].path}"):
        return f"entered by {entry}"
    if blocking.verdict is not WitnessVerdict.FROZEN:
        return f"blocking variant {blocking.verdict}"
    if lane.report.findings:
        return f"accused in the lane variant: {lane.report.findings[0].site}"
    return ""


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, help=f"with a seed each (default: {FULL_RUNS})")
    harness = Harness(options.parse_args())
    times = harness.options.runs or (QUICK_RUNS if harness.quick else FULL_RUNS)
    harness.section(f"{times} runs of two variants, 5 s each, a pod that hangs 2 s")
    rows, misses, witnesses, frozen, isolated = [], 0, [], 0, 0
    for seed in range(times):
        plan = DemoPlan(seconds=5, hang=2, seed=seed)
        with quiet_gc():
            blocking, lane = asyncio.run(demonstrate(plan, Audience(), (VARIANTS[0], VARIANTS[2])))
        miss = miss_of(blocking, lane)
        misses += bool(miss)
        frozen += blocking.verdict is WitnessVerdict.FROZEN
        isolated += lane.verdict is WitnessVerdict.ISOLATED
        p99 = (lane.witness.latency.quantile_ns(0.99) or 0) / 1e6
        witnesses.append(p99)
        rows.append(
            (str(seed), str(blocking.verdict), str(len(blocking.report.stalls)),
             str(blocking.victims), str(lane.verdict), f"{p99:.1f}", miss or "right")
        )  # fmt: skip
        harness.progress(f"{seed + 1} of {times}")
    harness.raw["runs"] = rows
    heading = ("seed", "blocking", "stalls", "victims", "lane", "lane witness p99 ms", "culprit")
    print(table(heading, rows))
    worst = max(witnesses)
    return harness.finish(
        [
            Bar("demo_right_culprit", str(times - misses), f"of {times}", misses == 0),
            Bar("demo_blocking_frozen", str(frozen), f"of {times}", frozen == times),
            Bar("demo_lane_isolated", str(isolated), f"of {times}", isolated == times),
            Bar(
                "demo_lane_witness_p99_ms",
                f"{worst:.1f}",
                "< 50 in every run",
                worst < WITNESS_GOAL_MS,
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
