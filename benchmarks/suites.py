"""Test suites of well-known projects under test mode: what changes, what is found, what it costs.

Each suite comes from its sdist and runs in an environment of its own, plain, under `--unstall` and under
blockbuster, in random order, several times. Nothing but the time may change under unstall, and whatever it
finds was looked at by hand: the verdicts are in `support/judged.py`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.foreign import PEER, Home, Ran, Suite, housed, ran
from benchmarks.support.harness import Harness, parser
from benchmarks.support.judged import FALSE, key_of, verdict_on
from benchmarks.support.machine import ROOT

WAYS = ("plain", "unstall", PEER)
SLOWDOWN = 1.3
CACHE = ROOT / ".cache" / "suites"

SUITES = (
    Suite(
        "starlette", "1.10.0",
        ("httpx", "httpx2[zstd]", "itsdangerous", "jinja2", "opentelemetry-sdk", "python-multipart", "pytest",
         "pyyaml", "trio", "importlib-metadata", "anyio"),
        plugins=("anyio",), brings_peer=True,
    ),
    Suite(
        "httpx", "0.28.1",
        ("chardet", "click", "cryptography", "h2", "pygments", "pytest", "rich", "socksio", "trio", "trustme",
         "uvicorn", "brotli", "zstandard", "anyio"),
        plugins=("anyio",),
    ),
    Suite(
        "anyio", "4.16.0",
        ("exceptiongroup", "hypothesis", "psutil", "pytest", "pytest-mock", "pytest-timeout", "trio",
         "trustme", "truststore", "uvloop"),
        ("-m", "not network", "-k", "not trio and not ipv6 and not dualstack and not Backpressure",
         "--ignore", "tests/test_pytest_plugin.py"),
        left_out="what needs a network, IPv6 or small buffers, runs pytest itself, or runs on trio",
        brings_peer=True,
    ),
)  # fmt: skip


def measured(harness: Harness, suites: Sequence[Suite], rounds: int) -> dict[str, list[Ran]]:
    """Of each suite all runs. The first round of all is thrown away: it compiles."""
    homes = {suite.name: housed(suite, CACHE) for suite in suites}
    for suite in suites:
        _once(suite, homes[suite.name], "plain")
    jobs = [(suite, way) for suite in suites for way in WAYS for _ in range(rounds)]
    harness.chance.shuffle(jobs)
    runs: dict[str, list[Ran]] = {suite.name: [] for suite in suites}
    for number, (suite, way) in enumerate(jobs, start=1):
        runs[suite.name].append(_once(suite, homes[suite.name], way))
        harness.progress(
            f"{number} of {len(jobs)}: {suite.name} {way} {runs[suite.name][-1].wall_s:.1f} s"
        )
    harness.raw["runs"] = {
        name: [
            {"way": run.way, "wall_s": run.wall_s, "cpu_s": run.cpu_s, "trouble": run.trouble,
             "findings": run.findings, "gaps": run.gaps, "outcomes": run.outcomes}
            for run in each
        ]
        for name, each in runs.items()
    }  # fmt: skip
    return runs


def _once(suite: Suite, home: Home, way: str) -> Ran:
    with tempfile.TemporaryDirectory(prefix="suites-") as folder:
        return ran(suite, home, way, Path(folder))


def of(runs: Sequence[Ran], way: str) -> list[Ran]:
    return [run for run in runs if run.way == way and not run.trouble]


# --- what changed -----------------------------------------------------------------------------------


def stable(runs: Sequence[Ran]) -> Mapping[str, str]:
    """Outcomes that all plain runs agree on: a test that comes out now so, now so, says nothing."""
    first, *rest = [run.outcomes for run in of(runs, "plain")]
    return {test: how for test, how in first.items() if all(each.get(test) == how for each in rest)}


def changed(runs: Sequence[Ran], way: str) -> Counter[str]:
    """Tests that came out otherwise than plain, and in how many of the runs."""
    expected = stable(runs)
    return Counter(
        test
        for run in of(runs, way)
        for test, how in expected.items()
        if run.outcomes.get(test) != how
    )


def findings_of(runs: Sequence[Ran]) -> list[Mapping[str, Any]]:
    """Distinct ones of all runs, by what they claim."""
    found = {key_of(each): each for run in of(runs, "unstall") for each in run.findings}
    return [found[key] for key in sorted(found)]


# --- what is printed --------------------------------------------------------------------------------


def outcomes(runs: Mapping[str, Sequence[Ran]]) -> str:
    rows = []
    for name, each in runs.items():
        for way in WAYS:
            for run in of(each, way)[:1]:
                counted = Counter(run.outcomes.values())
                failed = sum(n for how, n in counted.items() if how not in ("passed", "skipped"))
                altered = len(changed(each, way)) if way != "plain" else 0
                figures = (counted["passed"], failed, counted["skipped"], altered)
                rows.append([name, way, *map(str, figures)])
    return table(("suite", "run", "passed", "failed", "skipped", "otherwise"), rows, left=2)


def times(runs: Mapping[str, Sequence[Ran]]) -> str:
    rows = []
    for name, each in runs.items():
        for way in WAYS:
            mine = of(each, way)
            if mine:
                wall, cpu = median(run.wall_s for run in mine), median(run.cpu_s for run in mine)
                rows.append([name, way, f"{wall:.1f}", f"{ratio(each, way, 'wall_s'):.2f}",
                             f"{cpu:.1f}", f"{ratio(each, way, 'cpu_s'):.2f}"])  # fmt: skip
    return table(("suite", "run", "wall s", "times plain", "CPU s", "times plain"), rows, left=2)


def ratio(runs: Sequence[Ran], way: str, clock: str) -> float:
    ours = median(getattr(run, clock) for run in of(runs, way))
    return float(ours / median(getattr(run, clock) for run in of(runs, "plain")))


def told(runs: Mapping[str, Sequence[Ran]]) -> Iterator[str]:
    for name, each in runs.items():
        for finding in findings_of(each):
            site = finding["site"] or {"file": "?", "line": 0, "call": "?"}
            yield (
                f"{name}: {finding['severity']} {finding['code']} {site['file']}:{site['line']} "
                f"calls {site['call']}: {verdict_on(name, finding) or 'NOT JUDGED'}"
            )


def notes(runs: Mapping[str, Sequence[Ran]]) -> Iterator[str]:
    for name, each in runs.items():
        for run in each:
            if run.trouble:
                yield f"void: {name} {run.way}: {run.trouble}"
        for way in ("unstall", PEER):
            for test, times in changed(each, way).items():
                yield f"otherwise under {way}, {times} of {len(of(each, way))}: {name} {test}"
        for gap in sorted({gap for run in of(each, "unstall") for gap in run.gaps}):
            yield f"gap: {name}: {gap}"


# --- what must hold ---------------------------------------------------------------------------------


def bars(runs: Mapping[str, Sequence[Ran]]) -> list[Bar]:
    every = [run for each in runs.values() for run in each]
    void = sum(bool(run.trouble) for run in every)
    held = [Bar("suites_ran", str(len(every) - void), f"of {len(every)}", void == 0)]
    if void:
        return held
    altered = sum(len(changed(each, "unstall")) for each in runs.values())
    verdicts = [
        verdict_on(name, finding) for name, each in runs.items() for finding in findings_of(each)
    ]
    false = sum(verdict.startswith(FALSE) for verdict in verdicts)
    unjudged = verdicts.count("")
    held += [
        Bar("suites_outcomes_changed", str(altered), "== 0", altered == 0),
        Bar("suites_false", str(false), "== 0", false == 0),
        Bar("suites_not_judged", str(unjudged), "== 0", unjudged == 0),
    ]
    for name, each in runs.items():
        times = ratio(each, "unstall", "wall_s")
        held.append(
            Bar(f"suites_{name}_slowdown", f"{times:.2f}", f"<= {SLOWDOWN}", times <= SLOWDOWN)
        )
    return held


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser(__doc__)
    by_package = {suite.package: suite for suite in SUITES}
    options.add_argument("--only", metavar="SUITE", action="append", choices=sorted(by_package))
    options.add_argument(
        "--rounds", type=int, default=0, help="runs of each kind (default: 5, quick 1)"
    )
    harness = Harness(options.parse_args(arguments))
    names = harness.options.only or (["httpx"] if harness.quick else by_package)
    suites = [by_package[name] for name in names]
    rounds = harness.options.rounds or (1 if harness.quick else 5)
    harness.section(f"{len(suites)} suites, {len(WAYS) * rounds} runs of each, in random order")
    for suite in suites:
        print(f"{suite.name}{f', without {suite.left_out}' if suite.left_out else ''}")
    runs = measured(harness, suites, rounds)
    harness.section(
        "Outcomes of the first run of each kind; otherwise: tests that did not come out as plain"
    )
    if any(not of(each, "plain") for each in runs.values()):
        print("\n".join(notes(runs)))
        return harness.finish(bars(runs))
    print(outcomes(runs))
    harness.section("Times: medians")
    print(times(runs))
    harness.section("Each finding, and what it is")
    print("\n".join(told(runs)) or "none")
    harness.section("What did not run, came out otherwise, or was not seen")
    print("\n".join(notes(runs)) or "nothing")
    return harness.finish(bars(runs))


if __name__ == "__main__":
    sys.exit(main())
