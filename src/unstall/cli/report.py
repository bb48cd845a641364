"""`unstall report`: what recordings come to."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from unstall.errors import NotEnoughData
from unstall.explain.report import report_of
from unstall.model.recording import Recording, read
from unstall.model.report import Verdict
from unstall.report.terminal import complain, has_colour, write

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
    option(
        "--format", choices=("text", "json", "speedscope"), default="text",
        help="of the report (text); speedscope: what the loops did while they stalled, for speedscope.app",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    files: list[Path] = args.files
    recording = sum((read(file) for file in files), Recording())
    for flaw in recording.flaws:
        complain(f"unstall: {flaw}")
    target = ", ".join(map(str, files))
    report = report_of(recording, target)
    if args.format == "json":
        from unstall.report import json

        write(json.render(report))
    elif args.format == "speedscope":
        from unstall.report import speedscope

        if not recording.stretches:
            raise NotEnoughData(
                f"no stall is in {target}, and so nothing to draw: the text report says what was watched"
            )
        write(speedscope.render(recording, target))
    elif not (recording.loops or recording.stretches or recording.pulses):
        raise NotEnoughData(
            f"no event loop was watched in {target}: record again, and send requests meanwhile"
        )
    else:
        from unstall.report import text

        write(text.render(report, colour=has_colour(sys.stdout)))
    return EXIT_CODES[report.verdict]
