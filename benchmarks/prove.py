"""Whether `prove` says of the incident what is so, again and again.

The three plans of `reference/incident`, each with a seed of its own in every run: frozen, with the line and
the peer, for the call on the loop; degraded for the pool that all share; isolated for the lane. No peer can
be asked: none loads an app, makes an upstream ill and says who waited for which line.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from unstall.model.finding import Finding, is_proved
from unstall.model.plan import Plan, Stage
from unstall.model.proof import WITNESS, Run
from unstall.model.report import WitnessVerdict
from unstall.plans import read_plan
from unstall.prove.run import Audience, Wishes, prove

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
INCIDENT = REFERENCE / "incident"
FILE, FUNCTION, CALL = "reference/incident/app.py", "fetch_price", "requests.get"
TEXT = "response = requests.get("
UPSTREAM = "INCIDENT_DOWNSTREAM"
EXPECTED = {
    "blocking": WitnessVerdict.FROZEN,
    "shared_pool": WitnessVerdict.DEGRADED,
    "lane": WitnessVerdict.ISOLATED,
}
FULL_RUNS, QUICK_RUNS = 10, 1
FULL_S, QUICK_S = 10.0, 5.0


@dataclass(frozen=True, slots=True)
class Played:
    seed: int
    variant: str
    run: Run
    peer: str

    @property
    def miss(self) -> str:
        """What was not as it is; empty when all was."""
        if self.run.verdict is not EXPECTED[self.variant]:
            return f"{self.run.verdict}: {self.run.phases[-1].because}"
        proved = [finding for finding in self.run.findings if is_proved(finding)]
        if self.variant != "blocking":
            return f"accused {proved[0].site}" if proved else ""
        return miss_of(proved, self.peer)


def miss_of(proved: list[Finding], peer: str) -> str:
    if not proved:
        return "frozen, and nothing was proved"
    site, proof = proved[0].site, proved[0].evidence[0]
    if site is None or (site.file, site.line, site.function, site.call) != (
        FILE, line_to_blame(), FUNCTION, CALL,
    ):  # fmt: skip
        return f"blamed {site}"
    return "" if proof.peer == peer else f"on {proof.peer} in place of {peer}"


def line_to_blame() -> int:
    """Where the call stands in the source, found by its text."""
    source = (INCIDENT / "app.py").read_text(encoding="utf-8")
    return next(n for n, line in enumerate(source.splitlines(), 1) if TEXT in line)


@contextmanager
def downstream() -> Iterator[str]:
    """One pod that is well, as HOST:PORT."""
    words = [sys.executable, "-m", "incident.downstream", "--pods", "1", "--hang", "0"]
    child = subprocess.Popen(words, cwd=REFERENCE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        (url,) = json.loads(child.stdout.readline())["urls"]
        yield url.removeprefix("http://")
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def plan_of(variant: str, peer: str, seed: int, seconds: float) -> Plan:
    plan = read_plan(INCIDENT / f"{variant}.toml")
    scenarios = tuple(
        replace(each, stages=(Stage(each.stages[0].rate, seconds),)) for each in plan.scenarios
    )
    app = replace(plan.app, env=plan.app.env | {UPSTREAM: f"http://{peer}"})
    return replace(plan, app=app, scenarios=scenarios, seed=seed)


def play(variant: str, seed: int, seconds: float) -> Played:
    with downstream() as peer:
        plan = plan_of(variant, peer, seed, seconds)
        run = asyncio.run(prove(plan, Audience(), Wishes(root=REFERENCE.parent)))
    return Played(seed, variant, run, peer)


def row_of(played: Played) -> tuple[str, ...]:
    healthy, ill = played.run.phases
    proved = [finding for finding in played.run.findings if is_proved(finding)]
    return (
        str(played.seed),
        played.variant,
        str(played.run.verdict),
        *(
            f"{(p.outcome[WITNESS].latency.quantile_ns(0.99) or 0) / 1e6:.1f}"
            for p in (healthy, ill)
        ),
        str(ill.exchanges[0].hit),
        str(len(ill.report.stalls)),
        f"{proved[0].site.file}:{proved[0].site.line}" if proved and proved[0].site else "-",
        played.miss or "right",
    )


_HEADS = (
    "seed",
    "plan",
    "verdict",
    "healthy p99 ms",
    "fault p99 ms",
    "met",
    "stalls",
    "proved",
    "",
)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--runs", type=int, help=f"of each plan (default: {FULL_RUNS})")
    harness = Harness(options.parse_args())
    times = harness.options.runs or (QUICK_RUNS if harness.quick else FULL_RUNS)
    seconds = QUICK_S if harness.quick else FULL_S
    harness.section(f"{times} runs of three plans, two phases of {seconds:g} s each")
    order = [(seed, variant) for seed in range(times) for variant in EXPECTED]
    harness.chance.shuffle(order)
    results: list[Played] = []
    for number, (seed, variant) in enumerate(order, 1):
        results.append(play(variant, seed, seconds))
        harness.progress(f"{number} of {len(order)}: {variant} {results[-1].miss or 'right'}")
    results.sort(key=lambda each: (list(EXPECTED).index(each.variant), each.seed))
    rows = [row_of(each) for each in results]
    harness.raw["runs"] = rows
    print(table(_HEADS, rows))
    return harness.finish([_bar(variant, results, times) for variant in EXPECTED])


def _bar(variant: str, results: list[Played], times: int) -> Bar:
    right = sum(not each.miss for each in results if each.variant == variant)
    return Bar(f"prove_{variant}_{EXPECTED[variant]}", str(right), f"of {times}", right == times)


if __name__ == "__main__":
    sys.exit(main())
