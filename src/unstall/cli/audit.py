"""`unstall audit`: source in, every place where a request can block the loop out."""

from __future__ import annotations

import argparse
import atexit
import gc
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from unstall.audit.source import data_of, find
from unstall.cli.files import check_folder, write_output
from unstall.cli.target import Target, target_of
from unstall.configuration import AuditSettings, audit_settings, confidence_of
from unstall.errors import UsageError
from unstall.model.path import RequestPath
from unstall.model.report import Report, Verdict
from unstall.report.blocks import hanging
from unstall.report.terminal import has_colour, write
from unstall.report.units import counted
from unstall.rules import BY_CODE
from unstall.settings import working_folder
from unstall.triage import baseline as ratchet
from unstall.triage.changed import changes_since, touched
from unstall.triage.select import (
    Selection,
    codes_of,
    is_asked,
    judged,
    lies_on,
    ranked,
    selected,
    worth_showing,
)
from unstall.triage.spans import Read
from unstall.triage.waivers import Waiver, unused, waived, waivers_in

NAME = "audit"
HELP = "read the source, and say which step of which request can block the event loop, and why"

EXIT_CODES = {Verdict.CLEAN: 0, Verdict.FINDINGS: 1, Verdict.NOT_ENOUGH_DATA: 3}
FORMATS = ("text", "json", "sarif", "github", "markdown", "mermaid")
_OF_PATHS = ("text", "json", "mermaid")
_WIDTHS = (60, 140)
_ALL = 1_000_000
_LIMIT = 50

_EPILOG = """\
TARGET is package.module:app, a folder, a file, or nothing for the project of the current folder. Settings
stand in [tool.unstall.audit] of pyproject.toml; flags win. A finding is waived by a comment on its line, on
the line above or at the head of its function:  # unstall: ignore[US103] reason until=2027-01-31

Exit code: 0 nothing that must be mended (notes, start-up and waived findings do not count), 1 findings,
3 neither a route nor an async function was found, 2 wrong usage or settings, 4 TARGET is not there or
cannot be read.

  unstall audit
  unstall audit --path "POST /orders"
  unstall audit --baseline .unstall-baseline.json --update-baseline
  unstall audit --changed-from origin/main --format github
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    option = parser.add_argument
    option(
        "target", metavar="TARGET", nargs="?", help="what to read (the current folder's project)"
    )
    option("--path", metavar="ROUTE", help='the anatomy of one route, as in "POST /orders"')
    option("--all-paths", action="store_true", help="the anatomy of every route")
    option("--format", choices=FORMATS, default="text", help="of the report (text)")
    option("--output", metavar="FILE", type=Path, help="write the report there")
    option("--select", metavar="CODES", help="only these rules: codes or beginnings, US1,US403")
    option("--ignore", metavar="CODES", help="not these rules")
    option("--min-confidence", metavar="WORD", help="certain, likely or possible (likely)")
    option(
        "--show-trivial",
        action="store_true",
        help="also single calls of microseconds, as a stat, milliseconds at start-up, and what import does",
    )
    option(
        "--unknown", action="store_true", help="list the calls on request paths that are not known"
    )
    option(
        "--statistics", action="store_true", help="findings by rule, and waivers that waive nothing"
    )
    option("--baseline", metavar="FILE", type=Path, help="findings known there are silent")
    option(
        "--update-baseline", action="store_true",
        help="write the baseline anew: what is found now is known, what is gone is dropped",
    )  # fmt: skip
    option(
        "--changed-from", metavar="REV",
        help="only findings that touch functions changed since a git revision; all is still read",
    )  # fmt: skip
    option(
        "--limit", type=int, metavar="N", default=_LIMIT,
        help=f"functions shown in a section of the text report, 0 for all ({_LIMIT})",
    )  # fmt: skip
    option("--exit-zero", action="store_true", help="findings do not fail the run")
    importing = parser.add_mutually_exclusive_group()
    importing.add_argument(
        "--import", dest="importing", action="store_const", const="require",
        help="import the app in a guarded child process, and fail if that does not work",
    )  # fmt: skip
    importing.add_argument(
        "--no-import", dest="importing", action="store_const", const="refuse",
        help="read source alone",
    )  # fmt: skip
    option(
        "--python", metavar="PATH", help="the project's interpreter or environment, to import with"
    )
    option(
        "--types", action="store_true",
        help="ask a type checker (ty, else jedi) about calls on request paths that stay unknown",
    )  # fmt: skip
    option("--no-cache", action="store_true", help="read all anew, and keep nothing")


def run(args: argparse.Namespace) -> int:
    from unstall.cli.reading import read_project

    # The trees go with the process: to look through them for garbage at its end is a tenth of the work.
    atexit.register(gc.freeze)
    check(args)
    here = working_folder()
    target = target_of(args.target, here)
    settings = audit_settings(target.root)
    selection = selection_of(args, settings, target)
    known_in = baseline_file(args, settings, here)
    read = reader(target.root)
    report = read_project(
        target,
        importing=args.importing,
        python=args.python,
        types=args.types,
        keep=not args.no_cache,
        entrances=settings.entrances,
    )
    outcome = triage(report, target, selection, known_in, read, args)
    say(outcome, args)
    code = EXIT_CODES[outcome.report.verdict]
    return 0 if args.exit_zero and code == EXIT_CODES[Verdict.FINDINGS] else code


def check(args: argparse.Namespace) -> None:
    """Raises UsageError for flags that do not go together."""
    of_paths = args.path is not None or args.all_paths
    if args.path is not None and args.all_paths:
        raise UsageError("--path and --all-paths were both given: choose one")
    if args.format == "mermaid" and not of_paths:
        raise UsageError("--format mermaid draws paths: add --path ROUTE or --all-paths")
    if of_paths and args.format not in _OF_PATHS:
        raise UsageError(f"paths are shown as {', '.join(_OF_PATHS)}, not as {args.format}")
    if args.limit < 0:
        raise UsageError(f"--limit is {args.limit}: give a number of functions, or 0 for all")
    if args.update_baseline and args.changed_from is not None:
        raise UsageError("--update-baseline needs all findings: leave out --changed-from")
    check_folder("--output", args.output)


def selection_of(args: argparse.Namespace, settings: AuditSettings, target: Target) -> Selection:
    """Flags over the file. Raises UsageError."""
    where = str(settings.file)
    confidence = settings.min_confidence
    if args.min_confidence is not None:
        confidence = confidence_of(args.min_confidence, "--min-confidence")
    return Selection(
        select=_codes(args.select, "--select", settings.select, f"select in {where}"),
        ignore=_codes(args.ignore, "--ignore", settings.ignore, f"ignore in {where}"),
        min_confidence=confidence,
        trivial=args.show_trivial,
        below=target.below,
        exclude=settings.exclude,
        per_file_ignores=tuple(
            (pattern, codes_of(codes, f"per-file-ignores in {where}"))
            for pattern, codes in settings.per_file_ignores
        ),
    )


def _codes(flag: str | None, name: str, filed: Sequence[str], where: str) -> tuple[str, ...]:
    return codes_of(flag.split(","), name) if flag is not None else codes_of(filed, where)


def baseline_file(args: argparse.Namespace, settings: AuditSettings, here: Path) -> Path | None:
    """The flag's is relative to the current folder, the file's to where it was written."""
    given: Path | None = args.baseline
    if given is not None:
        return here / given
    if settings.baseline is not None and settings.file is not None:
        return settings.file.parent / settings.baseline
    if args.update_baseline:
        raise UsageError(
            "--update-baseline does not know which file: add --baseline FILE, or baseline in "
            "[tool.unstall.audit]"
        )
    return None


def reader(root: Path) -> Read:
    def read(file: str) -> str | None:
        data = data_of(root / file)
        if isinstance(data, str):
            return None
        return data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")

    return read


# --- what is made of it -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    report: Report
    unused: tuple[Waiver, ...] = ()
    paths: tuple[RequestPath, ...] | None = None
    """Those that were asked for."""


def triage(
    report: Report,
    target: Target,
    selection: Selection,
    known_in: Path | None,
    read: Read,
    args: argparse.Namespace,
    today: Callable[[], date] = date.today,
) -> Outcome:
    """Waivers, then what was asked for, then what has changed, then what is known."""
    asked = (file for file in find(target.root) if is_asked(file, selection))
    waivers = waivers_in(asked, read, BY_CODE)
    everything, idle = waived(report, waivers, read, today())
    left = selected(everything, selection)
    if args.changed_from is not None:
        left = touched(left, changes_since(args.changed_from, target.root), read)
    if known_in is not None:
        left = _ratcheted(left, everything, known_in, update=args.update_baseline)
    if args.path is None and not args.all_paths:
        paths = left.paths if args.unknown else ()
        return Outcome(replace(left, paths=paths), idle)
    return _of_paths(left, selection, idle, args)


def _ratcheted(left: Report, everything: Report, file: Path, *, update: bool) -> Report:
    known = ratchet.read(file) if file.exists() or not update else {}
    gone = ratchet.gone(known, everything.findings)
    told: list[str] = []
    if update:
        fresh = len(ratchet.apply(left, known).findings)
        known = ratchet.updated(known, left.findings, everything.findings)
        ratchet.write(file, known)
        total = sum(each.count for each in known.values())
        told.append(
            f"the baseline {file.name} holds {counted(total, 'finding')}: {fresh} new, "
            f"{gone} gone and dropped"
        )
    elif gone:
        are = "is" if gone == 1 else "are"
        told.append(
            f"{counted(gone, 'finding')} of the baseline {are} gone: --update-baseline drops them"
        )
    report = ratchet.apply(left, known)
    return replace(report, remarks=(*report.remarks, *told))


def _of_paths(
    report: Report, selection: Selection, idle: tuple[Waiver, ...], args: argparse.Namespace
) -> Outcome:
    """Only the findings on the paths that were asked for decide."""
    from unstall.report.paths import chosen

    paths = report.paths if args.path is None else chosen(report.paths, args.path)
    known = {each.fingerprint for each in report.findings}
    paths = tuple(worth_showing(path, selection, known) for path in paths)
    findings = ranked(
        each for each in report.findings if any(lies_on(each, path) for path in paths)
    )
    others = len(report.findings) - len(findings)
    hidden = report.hidden | ({"other paths": others} if others else {})
    left = replace(report, findings=findings, paths=paths, hidden=hidden, objections=())
    return Outcome(replace(judged(left), objections=report.objections), idle, paths)


# --- what is said -------------------------------------------------------------------------


def say(outcome: Outcome, args: argparse.Namespace) -> None:
    colour = args.output is None and has_colour(sys.stdout)
    text = rendered(outcome, args, colour=colour, width=_width())
    if args.output is None:
        write(text)
        return
    write_output("--output", args.output, text)
    from unstall.report.audit import headline

    write(f"{headline(outcome.report)}; written to {args.output}")


def rendered(outcome: Outcome, args: argparse.Namespace, *, colour: bool, width: int) -> str:
    report = outcome.report
    if outcome.paths is not None and args.format != "json":
        from unstall.report import mermaid, paths

        if args.format == "mermaid":
            return mermaid.render(outcome.paths)
        waived_ = {each.finding.fingerprint: each.reason for each in report.waived}
        unknown = _ALL if args.unknown else paths.PLAIN.unknown
        shown = (*report.findings, *(each.finding for each in report.waived))
        look = paths.Look(colour, width, unknown, waived_, shown)
        trees = paths.render(outcome.paths, look)
        told = hanging((f"gaps  {gap}" for gap in report.gaps), width)
        return "\n\n".join(part for part in (trees, "\n".join(told)) if part)
    if args.format == "text":
        from unstall.report import audit as text

        extra = [text.unknown_calls(report)] if args.unknown else []
        if args.statistics:
            extra.append(text.statistics(report, [unused(each) for each in outcome.unused]))
        limit = args.limit or None
        return text.render(report, colour=colour, width=width, extra=extra, limit=limit)
    from unstall.report import github, json, markdown, sarif

    render: dict[str, Callable[[Report], str]] = {
        "json": json.render,
        "sarif": sarif.render,
        "github": github.render,
        "markdown": markdown.render,
    }
    return render[args.format](report)


def _width() -> int:
    """Of the terminal, within what reads well; of anything else 100."""
    if not sys.stdout.isatty():
        return 100
    least, most = _WIDTHS
    return max(least, min(most, shutil.get_terminal_size((100, 24)).columns))
