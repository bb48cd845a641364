"""How long a whole audit takes: a project for the first time, again unchanged, and a million lines.

The million lines are the repositories of `--repos`, each copied beside itself until there are enough: names
repeat, as they do in a large company. Memory is the peak of the process, read from the system when it ends.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.auditors import BY_NAME, installed, lines_in, reading, sources
from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.machine import ROOT
from benchmarks.support.processes import environment

MILLION, QUICK_LINES = 1_000_000, 100_000
WARM_S, LARGE_S, LARGE_BYTES = 1.0, 60.0, 2 << 30
WARM_LINES = 100_000
LIMIT_S = 600.0
PEERS = ("ruff ASYNC", "hydroid --cpu")
_CHILD = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def audit(folder: Path, *flags: str) -> tuple[float, int]:
    """Seconds on the clock, and the peak of memory in bytes. Raises RuntimeError if it fails."""
    command = [sys.executable, "-m", "unstall", "audit", str(folder), "--no-import", *flags]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *command], env=environment(), capture_output=True, text=True,
        check=True, timeout=LIMIT_S,
    )  # fmt: skip
    took = time.monotonic() - began
    code, peak = map(int, done.stdout.split())
    if code not in (0, 1):
        raise RuntimeError(f"the audit of {folder} ended with {code}")
    return took, peak


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


def warm(harness: Harness, repo: Path, rounds: int) -> tuple[float, float]:
    """The first and the middle one of later audits of a copy, in s."""
    with tempfile.TemporaryDirectory(prefix="unstall-audit-") as folder:
        copy = Path(folder) / repo.name
        grown(copy, [repo], 1)
        harness.progress(f"{repo.name}: cold, then {rounds} times unchanged")
        cold, _ = audit(copy)
        again = [audit(copy)[0] for _ in range(rounds)]
    harness.raw["warm"] = {"repository": repo.name, "cold_s": cold, "again_s": again}
    return cold, statistics.median(again)


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

    chosen = nearest(lines, WARM_LINES)
    harness.section(f"{chosen.name}, {lines[chosen]} lines: for the first time, and unchanged")
    cold, again = warm(harness, chosen, 2 if harness.quick else 5)
    print(f"cold {cold:.2f} s, warm {again:.2f} s")

    with tempfile.TemporaryDirectory(prefix="unstall-audit-") as folder:
        count = grown(Path(folder), list(lines), wanted)
        harness.section(f"{count} lines in one project")
        harness.progress(f"reading {count} lines")
        took, peak = audit(Path(folder), "--no-cache")
    print(f"{took:.1f} s, {peak / (1 << 20):.0f} MiB at most")

    harness.section("findings shown outside of tests, scripts, examples and documentation")
    heads = ("tool", "findings", "per 1,000 lines", "s / 100k lines")
    print(table(heads, noise(harness, lines, harness.options.cache)))
    part = count / MILLION
    return harness.finish(
        [
            Bar("audit_warm", f"{again:.2f} s", f"< {WARM_S:g} s", again < WARM_S),
            Bar("audit_million_lines", f"{took:.1f} s for {count} lines", f"< {LARGE_S * part:.0f} s",
                took < LARGE_S * part),
            Bar("audit_million_lines_memory", f"{peak / (1 << 20):.0f} MiB", "< 2048 MiB",
                peak < LARGE_BYTES),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
