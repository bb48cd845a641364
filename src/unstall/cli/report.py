"""`unstall report`: what recordings come to."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from unstall.explain.report import report_of
from unstall.model.recording import Recording, read
from unstall.model.report import Verdict

NAME = "report"
HELP = "say what one or more recordings come to"

EXIT_CODES = {Verdict.CLEAN: 0, Verdict.FINDINGS: 1, Verdict.NOT_ENOUGH_DATA: 3}

_EPILOG = """\
Exit code: 0 no stall was seen, 1 findings, 3 not enough data, 2 a file cannot be read.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    option = parser.add_argument
    option("files", metavar="FILE", nargs="+", type=Path, help="what unstall run --record wrote")
    option("--format", choices=("text", "json"), default="text", help="of the report (text)")


def run(args: argparse.Namespace) -> int:
    files: list[Path] = args.files
    recording = sum((read(file) for file in files), Recording())
    for flaw in recording.flaws:
        print(f"unstall: {flaw}", file=sys.stderr)
    report = report_of(recording, ", ".join(map(str, files)))
    if args.format == "json":
        from unstall.report import json

        print(json.render(report))
    else:
        from unstall.report import text

        print(text.render(report, colour=_has_colour()))
    return EXIT_CODES[report.verdict]


def _has_colour() -> bool:
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()
