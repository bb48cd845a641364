"""`unstall report`: what recordings, or the outcome of a run, come to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from unstall.cli.files import check_folder, write_output
from unstall.cli.outcome import read_whole, run_in
from unstall.errors import NotEnoughData, UsageError
from unstall.explain.report import report_of
from unstall.model.proof import Run
from unstall.model.recording import Recording, read
from unstall.model.report import Verdict
from unstall.report.terminal import complain, has_colour, write
from unstall.triage.gate import gate_of
from unstall.triage.regression import Change, compare
from unstall.triage.same_plan import cautions

NAME = "report"
HELP = "say what recordings, or the outcome of a run, come to"

EXIT_CODES = {Verdict.CLEAN: 0, Verdict.FINDINGS: 1, Verdict.NOT_ENOUGH_DATA: 3}
OF_RECORDINGS = ("text", "json", "speedscope")
OF_RUNS = ("text", "json", "html", "junit", "github", "markdown")
FORMATS = tuple(dict.fromkeys((*OF_RECORDINGS, *OF_RUNS)))

_EPILOG = """\
FILE is what unstall run --record wrote, or what unstall prove --json or unstall load --json did; which of
them is told by its content. Several recordings are one report.

Exit code of recordings: 0 no stall was seen, 1 findings, 3 not enough data. Of a run: 0 thresholds held and
nobody froze, 1 a threshold missed, a bystander frozen or a regression, 3 not enough data. 2 a file cannot be
read.

  unstall report run.jsonl
  unstall report run.json --format html --output run.html
  unstall report --before old.json new.json --format html --output compared.html
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    option = parser.add_argument
    option(
        "files", metavar="FILE", nargs="+", type=Path,
        help="what unstall run --record wrote, or one outcome of a run",
    )  # fmt: skip
    option(
        "--format", choices=FORMATS, default="text",
        help="of the report (text); of recordings also speedscope: what the loops did while they stalled, "
        "for speedscope.app; of a run also html, junit, github and markdown",
    )  # fmt: skip
    option(
        "--before", metavar="FILE", type=Path,
        help="the outcome of an earlier run of the same plan: shown beside, and regressions fail",
    )  # fmt: skip
    option("--output", metavar="FILE", type=Path, help="write the report there")


def run(args: argparse.Namespace) -> int:
    files: list[Path] = args.files
    check_folder("--output", args.output)
    runs = {file: outcome for file in files if (outcome := run_in(file)) is not None}
    if not runs:
        return _of_recordings(files, args)
    if len(files) > 1:
        raise UsageError(
            f"{', '.join(map(str, runs))} is the outcome of a run, and {len(files)} files were given: "
            "give one, and an earlier one as --before FILE"
        )
    return _of_run(runs[files[0]], files[0], args)


# --- a run ------------------------------------------------------------------------------------


def _of_run(outcome: Run, file: Path, args: argparse.Namespace) -> int:
    _check(args.format, OF_RUNS, f"{file} is the outcome of a run")
    before = None
    changes: Sequence[Change] = ()
    if args.before is not None:
        before = read_whole(args.before, "--before")
        if outcome.shard:
            raise UsageError(
                f"{file} is shard {outcome.shard} of a load, and --before compares wholes: name what "
                "unstall load merge made of all shards"
            )
        changes = compare(before, outcome, outcome.plan.seed)
        for caution in cautions(before, outcome):
            complain(f"unstall: {caution}")
    _say(rendered(outcome, before, changes, args.format, colour=_colour(args)), args)
    if args.format == "github":
        summarised(outcome, changes)
    return int(gate_of(outcome, changes))


def rendered(
    outcome: Run, before: Run | None, changes: Sequence[Change], form: str, *, colour: bool = False
) -> str:
    """`form` is one of `OF_RUNS`."""
    from unstall.report import junit, run_github, run_html, run_json, run_markdown, run_text
    from unstall.triage.secrets import without_secrets_of

    if form == "html":
        return run_html.page(outcome, before, changes).rstrip("\n")
    if form == "json":
        return run_json.render(outcome, changes)
    outcome = without_secrets_of(outcome)  # which those two do themselves
    if form == "text":
        return run_text.text(outcome, changes, colour=colour)
    renderers = {
        "junit": junit.render,
        "github": run_github.render,
        "markdown": run_markdown.render,
    }
    return renderers[form](outcome, changes)


def summarised(outcome: Run, changes: Sequence[Change]) -> None:
    """Into the summary of a job of GitHub's, where we run in one."""
    from unstall.report.run_github import SUMMARY, summarise
    from unstall.triage.secrets import without_secrets_of

    try:
        summarise(without_secrets_of(outcome), changes, os.environ)
    except OSError as error:
        complain(
            f"unstall: the summary of the job could not be written: {error.strerror}; "
            f"{SUMMARY} is {os.environ.get(SUMMARY)!r}"
        )


# --- recordings -------------------------------------------------------------------------------


def _of_recordings(files: Sequence[Path], args: argparse.Namespace) -> int:
    target = ", ".join(map(str, files))
    _check(args.format, OF_RECORDINGS, f"{target} is a recording")
    if args.before is not None:
        raise UsageError(
            f"--before compares outcomes of runs, and {target} is a recording: leave it out, or give what "
            "unstall prove --json wrote"
        )
    recording = sum((read(file) for file in files), Recording())
    for flaw in recording.flaws:
        complain(f"unstall: {flaw}")
    report = report_of(recording, target)
    if args.format == "json":
        from unstall.report import json

        _say(json.render(report), args)
    elif args.format == "speedscope":
        from unstall.report import speedscope

        if not recording.stretches:
            raise NotEnoughData(
                f"no stall is in {target}, and so nothing to draw: the text report says what was watched"
            )
        _say(speedscope.render(recording, target), args)
    elif not (recording.loops or recording.stretches or recording.pulses):
        raise NotEnoughData(
            f"no event loop was watched in {target}: record again, and send requests meanwhile"
        )
    else:
        from unstall.report import text

        _say(text.render(report, colour=_colour(args)), args)
    return EXIT_CODES[report.verdict]


def _check(form: str, known: Sequence[str], what: str) -> None:
    if form not in known:
        raise UsageError(f"--format {form} is not for this: {what}, shown as {', '.join(known)}")


def _colour(args: argparse.Namespace) -> bool:
    return args.output is None and has_colour(sys.stdout)


def _say(text: str, args: argparse.Namespace) -> None:
    if args.output is None:
        write(text)
    else:
        write_output("--output", args.output, text)
