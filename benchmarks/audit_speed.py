"""How long a whole audit takes: a project for the first time, again unchanged, and a million lines.

The million lines are the repositories of `--repos`, each copied beside itself until there are enough: names
repeat, as they do in a large company. Memory is the peak of the process, read from the system when it ends.
An audit has one thread, so what is held to the bars is the time of its processor: that is what it takes on
one core, whatever else the machine does. The clock is told beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.auditors import BY_NAME, installed, lines_in, reading, sources
from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.machine import ROOT
from benchmarks.support.processes import environment

MILLION, QUICK_LINES = 1_000_000, 100_000
COLD_S, WARM_S, LARGE_S, LARGE_BYTES = 5.0, 1.0, 60.0, 2 << 30
COLD_LINES = 100_000
LIMIT_S = 600.0
PEERS = ("ruff ASYNC", "hydroid --cpu")
_CHILD = """
import resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
"""


_HAND_OVER = """
import ast, gc, pickle, sys, time
from pathlib import Path
from unstall.audit.source import data_of, find, parse

def clocked(work, given):
    began = time.process_time()
    found = [work(each) for each in given]
    return found, time.process_time() - began

gc.disable()
sys.setrecursionlimit(8_000)
root = Path(sys.argv[1])
trees, parsing = clocked(parse, [data_of(root / file) for file in find(root)])
packed, packing = clocked(pickle.dumps, [each for each in trees if isinstance(each, ast.Module)])
del trees
_, unpacking = clocked(pickle.loads, packed)
print(parsing, packing, unpacking, sum(map(len, packed)))
"""
"""What other processes would take off this one if they parsed: trees have to be handed over."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one audit took."""

    clock_s: float
    core_s: float
    peak: int
    """Bytes of memory."""

    def __str__(self) -> str:
        return f"{self.core_s:.2f} s of a core, {self.clock_s:.2f} s on the clock"


def audit(folder: Path, *flags: str) -> Run:
    """Raises RuntimeError if it fails."""
    command = [sys.executable, "-m", "unstall", "audit", str(folder), "--no-import", *flags]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *command], env=environment(), capture_output=True, text=True,
        check=True, timeout=LIMIT_S,
    )  # fmt: skip
    code, clock, core, peak = done.stdout.split()
    if code not in ("0", "1"):
        raise RuntimeError(f"the audit of {folder} ended with {code}")
    return Run(float(clock), float(core), int(peak))


def handed_over(folder: Path) -> str:
    """What parsing takes, beside what it would take to get the trees from others; in s of a core."""
    done = subprocess.run(
        [sys.executable, "-c", _HAND_OVER, str(folder)], env=environment(), capture_output=True,
        text=True, check=True, timeout=LIMIT_S,
    )  # fmt: skip
    parsing, packing, unpacking, size = map(float, done.stdout.split())
    return (
        f"parsing all its files {parsing:.2f} s; taking over trees that others had parsed {unpacking:.2f} s, "
        f"and {packing:.2f} s of theirs to pack {size / (1 << 20):.0f} MiB"
    )


def grown(folder: Path, repos: Sequence[Path], least: int) -> int:
    """Fills `folder` with copies of the sources; how many lines there are then."""
    lines = copies = 0
    while lines < least:
        for repo in repos:
            for file in sources(repo):
                copy = folder / f"copy{copies}" / repo.name / file.relative_to(repo)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
            lines += lines_in(repo)
            if lines >= least:
                break
        copies += 1
    return lines


def nearest(lines: Mapping[Path, int], wanted: int) -> Path:
    return min(lines, key=lambda repo: abs(lines[repo] - wanted))


def small(harness: Harness, repo: Path, rounds: int) -> tuple[Run, Run]:
    """Of several audits of a copy the middle one: with nothing kept, and with nothing changed."""
    with tempfile.TemporaryDirectory(prefix="unstall-audit-") as folder:
        copy = Path(folder) / repo.name
        grown(copy, [repo], 1)
        harness.progress(f"{repo.name}: {rounds} times cold, then {rounds} times unchanged")
        cold = [audit(copy, "--no-cache") for _ in range(rounds)]
        audit(copy)
        again = [audit(copy) for _ in range(rounds)]
    harness.raw["small"] = {
        "repository": repo.name,
        "cold": [asdict(each) for each in cold],
        "again": [asdict(each) for each in again],
    }
    return _middle(cold), _middle(again)


def _middle(runs: Sequence[Run]) -> Run:
    return sorted(runs, key=lambda run: run.core_s)[len(runs) // 2]


def noise(
    harness: Harness, repos: Mapping[Path, int], cache: Path
) -> list[tuple[str, str, str, str]]:
    """Findings shown per 1,000 lines, and seconds per 100,000, by tool."""
    rows = []
    for name in ("unstall", *PEERS):
        programs = installed(BY_NAME[name], cache)
        if programs is None:
            rows.append((name, "absent", "", ""))
            continue
        lines = findings = 0
        took = 0.0
        for repo, count in repos.items():
            harness.progress(f"{name} reads {repo.name}")
            each = reading(BY_NAME[name], programs, repo)
            if not each.trouble:
                lines, findings, took = lines + count, findings + each.findings, took + each.took_s
        shown = f"{1000 * findings / lines:.2f}" if lines else "void"
        pace = f"{100_000 * took / lines:.2f}" if lines else ""
        rows.append((name, str(findings), shown, pace))
    return rows


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument(
        "--repos", type=Path, metavar="DIR", default=os.environ.get("UNSTALL_AUDIT_REPOS"),
        help="checked-out repositories (default: $UNSTALL_AUDIT_REPOS)",
    )  # fmt: skip
    options.add_argument(
        "--cache", type=Path, metavar="DIR", default=ROOT / ".cache" / "auditors",
        help="where peers are installed",
    )  # fmt: skip
    given = options.parse_args(arguments)
    if given.repos is None or not Path(given.repos).is_dir():
        options.error(f"--repos is {given.repos}: name a folder of repositories")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    harness = Harness(options_of(arguments))
    folders = sorted(each for each in Path(harness.options.repos).iterdir() if each.is_dir())
    lines = {folder: count for folder in folders if (count := lines_in(folder))}
    wanted = QUICK_LINES if harness.quick else MILLION

    chosen = nearest(lines, COLD_LINES)
    harness.section(f"{chosen.name}, {lines[chosen]} lines: for the first time, and unchanged")
    cold, again = small(harness, chosen, 3 if harness.quick else 5)
    print(f"cold {cold}; unchanged {again}")
    print(handed_over(chosen))

    with tempfile.TemporaryDirectory(prefix="unstall-audit-") as folder:
        count = grown(Path(folder), list(lines), wanted)
        harness.section(f"{count} lines in one project")
        harness.progress(f"reading {count} lines")
        large = audit(Path(folder), "--no-cache")
    harness.raw["large"] = {"lines": count, **asdict(large)}
    print(f"{large}, {large.peak / (1 << 20):.0f} MiB at most")

    harness.section("findings shown outside of tests, scripts, examples and documentation")
    heads = ("tool", "findings", "per 1,000 lines", "s / 100k lines")
    print(table(heads, noise(harness, lines, harness.options.cache)))
    part, allowed = count / MILLION, COLD_S * lines[chosen] / COLD_LINES
    return harness.finish(
        [
            Bar("audit_cold", f"{cold.core_s:.2f} s for {lines[chosen]} lines", f"< {allowed:.2f} s",
                cold.core_s < allowed),
            Bar("audit_warm", f"{again.core_s:.2f} s", f"< {WARM_S:g} s", again.core_s < WARM_S),
            Bar("audit_million_lines", f"{large.core_s:.1f} s for {count} lines",
                f"< {LARGE_S * part:.0f} s", large.core_s < LARGE_S * part),
            Bar("audit_million_lines_memory", f"{large.peak / (1 << 20):.0f} MiB", "< 2048 MiB",
                large.peak < LARGE_BYTES),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
