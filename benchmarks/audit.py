"""How many real blocking sites does a reader of source find, and whom does it accuse for nothing?

Each tool reads whole checked-out repositories in which a reader has labelled sites (`--labels FILE`, JSON
lines) that block a loop, and look-alikes that do not. A label is found if a tool names a line of that very
call. Sites that are one microsecond call are left out of recall. Neither labels nor repositories are part of
this project.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.auditors import (
    AUDITORS,
    BY_NAME,
    Auditor,
    Reading,
    installed,
    lines_in,
    reading,
)
from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.labels import Label, Score, folder_of, judged, labels_of, score, span_of
from benchmarks.support.machine import ROOT
from benchmarks.support.statistics import median_interval

ROUNDS, QUICK_ROUNDS = 3, 1
RECALL_PERCENT, INDIRECT_PERCENT, CLEAN_PERCENT = 90.0, 85.0, 2.0
SECONDS_PER_100K = 5.0
Readings = Mapping[str, Mapping[str, Sequence[Reading]]]
"""By tool, then by repository; one of each round."""


def measured(
    harness: Harness, programs: Mapping[str, Path], repos: Mapping[str, Path], rounds: int
) -> Readings:
    jobs = [(tool, repo) for tool in programs for repo in repos for _ in range(rounds)]
    harness.chance.shuffle(jobs)
    found: dict[str, dict[str, list[Reading]]] = {
        tool: {repo: [] for repo in repos} for tool in programs
    }
    for number, (tool, repo) in enumerate(jobs, start=1):
        harness.progress(f"{number} of {len(jobs)}: {tool} reads {repo}")
        found[tool][repo].append(reading(BY_NAME[tool], programs[tool], repos[repo]))
    return found


def scored(
    readings: Mapping[str, Sequence[Reading]], labels: Sequence[Label], repos: Mapping[str, Path]
) -> Score:
    """A repository that a tool could not read counts as one in which it found nothing."""
    told = {repo: each[0].by_file() for repo, each in readings.items()}
    return score(
        judged(label, told[label.repo], span_of(repos[label.repo], label))
        for label in labels
        if label.repo in repos
    )


def certainly_flagged(
    readings: Mapping[str, Sequence[Reading]], flagged: Sequence[Label], repos: Mapping[str, Path]
) -> int:
    """Clean sites that unstall is certain of."""
    count = 0
    for label in flagged:
        first, last = span_of(repos[label.repo], label)
        sure = readings[label.repo][0].certain
        count += any(file == label.file and first <= line <= last for file, line in sure)
    return count


# --- what is printed --------------------------------------------------------------------------------


def per_tool(scores: Mapping[str, Score], readings: Readings, seconds: Mapping[str, str]) -> str:
    rows = []
    for tool, each in scores.items():
        findings = sum(of_repo[0].findings for of_repo in readings[tool].values())
        rows.append(
            (
                tool, f"{each.blocking.text()} {each.blocking.percent:.0f} %", each.direct.text(),
                each.indirect.text(), each.trivial.text(), each.clean.text(), str(findings),
                seconds[tool],
            )
        )  # fmt: skip
    heads = (
        "tool",
        "found",
        "direct",
        "indirect",
        "trivial",
        "clean flagged",
        "findings",
        "s / 100k lines",
    )
    return table(heads, rows)


def per_kind(scores: Mapping[str, Score]) -> str:
    kinds = sorted({kind for each in scores.values() for kind, _ in each.kinds})
    rows = [(kind, *(dict(each.kinds)[kind].text() for each in scores.values())) for kind in kinds]
    return table(("kind", *scores), rows)


def per_repo(readings: Readings, lines: Mapping[str, int]) -> str:
    """What a user of each tool has to read."""
    rows = [
        (repo, str(count), *(_shown(of_tool[repo][0]) for of_tool in readings.values()))
        for repo, count in lines.items()
    ]
    return table(("findings shown", "lines", *readings), rows)


def _shown(each: Reading) -> str:
    return "void" if each.trouble else str(each.findings)


def speed(of_repo: Mapping[str, Sequence[Reading]], lines: Mapping[str, int]) -> tuple[float, str]:
    """Seconds for 100,000 lines, over all repositories together."""
    rounds = len(next(iter(of_repo.values())))
    read = [
        100_000 * sum(each[n].took_s for each in of_repo.values()) / sum(lines.values())
        for n in range(rounds)
    ]
    interval = median_interval(read)
    return interval.median, interval.text(lambda value: f"{value:.2f}")


def bars(each: Score, certain: int, seconds: float) -> list[Bar]:
    flagged = each.clean.percent
    return [
        Bar("audit_recall", f"{each.blocking.percent:.1f} %", f">= {RECALL_PERCENT:g} %",
            each.blocking.percent >= RECALL_PERCENT),
        Bar("audit_indirect", f"{each.indirect.percent:.1f} %", f">= {INDIRECT_PERCENT:g} %",
            each.indirect.percent >= INDIRECT_PERCENT),
        Bar("audit_clean_certain", str(certain), "== 0", certain == 0),
        Bar("audit_clean_flagged", f"{flagged:.1f} %", f"<= {CLEAN_PERCENT:g} %", flagged <= CLEAN_PERCENT),
        Bar("audit_seconds_per_100k_lines", f"{seconds:.2f}", f"< {SECONDS_PER_100K:g}",
            seconds < SECONDS_PER_100K),
    ]  # fmt: skip


def told(title: str, labels: Sequence[Label]) -> str:
    rows = [
        f"  {label.place}  {label.kind}{'' if label.direct else ', indirect'}: {label.what}  [{label.entry}]"
        for label in labels
    ]
    return "\n".join([f"{title} ({len(labels)})", *rows])


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    options = parser(__doc__)
    add = options.add_argument
    given = {name: os.environ.get(f"UNSTALL_AUDIT_{name}") for name in ("LABELS", "REPOS")}
    add("--labels", type=Path, metavar="FILE", default=given["LABELS"],
        help="labelled sites, JSON lines (default: $UNSTALL_AUDIT_LABELS)")  # fmt: skip
    add("--repos", type=Path, metavar="DIR", default=given["REPOS"],
        help="checked-out repositories, each in owner__name (default: $UNSTALL_AUDIT_REPOS)")  # fmt: skip
    add("--tool", metavar="T", action="append", choices=list(BY_NAME))
    add("--misses", action="store_true", help="print what each tool missed and wrongly flagged")
    add("--rounds", type=int, metavar="N", help=f"readings of each repository ({ROUNDS})")
    add("--cache", type=Path, metavar="DIR", default=ROOT / ".cache" / "auditors",
        help="where peers are installed")  # fmt: skip
    given_options = options.parse_args(arguments)
    for name in ("labels", "repos"):
        path = getattr(given_options, name)
        if path is None or not Path(path).exists():
            options.error(f"--{name} is {path}: name what there is")
    return given_options


def chosen(options: argparse.Namespace) -> list[Auditor]:
    if options.tool:
        return [BY_NAME[name] for name in options.tool]
    return [each for each in AUDITORS if not (options.quick and each.slow)]


def main(arguments: Sequence[str] | None = None) -> int:
    harness = Harness(options_of(arguments))
    options = harness.options
    labels = labels_of(Path(options.labels).read_text(encoding="utf-8"))
    every = {
        repo: folder_of(Path(options.repos), repo)
        for repo in sorted({each.repo for each in labels})
    }
    repos = {repo: folder for repo, folder in every.items() if folder.is_dir()}
    programs: dict[str, Path] = {}
    for auditor in chosen(options):
        folder = installed(auditor, options.cache)
        if folder is None:
            print(f"absent: {auditor.name} ({auditor.package} cannot be installed here)")
        else:
            programs[auditor.name] = folder
    for repo in every.keys() - repos.keys():
        print(f"absent: {repo} is not checked out below {options.repos}")
    rounds = options.rounds or (QUICK_ROUNDS if harness.quick else ROUNDS)
    lines = {repo: lines_in(folder) for repo, folder in repos.items()}
    readings = measured(harness, programs, repos, rounds)
    scores = {tool: scored(each, labels, repos) for tool, each in readings.items()}
    speeds = {tool: speed(each, lines) for tool, each in readings.items()}

    harness.section(
        f"{len(labels)} labels in {len(repos)} repositories, {sum(lines.values())} lines"
    )
    print(per_tool(scores, readings, {tool: text for tool, (_, text) in speeds.items()}))
    harness.section("found of the sites that are not trivial, by kind")
    print(per_kind(scores))
    harness.section("findings shown outside of tests, scripts, examples and documentation")
    print(per_repo(readings, lines))
    for tool, of_tool in readings.items():
        for repo, each in of_tool.items():
            if each[0].trouble:
                print(f"void: {tool} on {repo}: {each[0].trouble}")
    if options.misses:
        for tool, one in scores.items():
            harness.section(told(f"missed by {tool}", one.misses))
            print(told(f"flagged by {tool} although clean", one.flagged))
    if "unstall" not in scores:
        return harness.finish([])
    certain = certainly_flagged(readings["unstall"], scores["unstall"].flagged, repos)
    return harness.finish(bars(scores["unstall"], certain, speeds["unstall"][0]))


if __name__ == "__main__":
    sys.exit(main())
