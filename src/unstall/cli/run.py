"""`unstall run`: a command with a monitor in each of its event loops."""

from __future__ import annotations

import argparse
from pathlib import Path

from unstall.errors import UsageError

NAME = "run"
HELP = "run a server command, and name what blocks its event loops while it happens"

_EPILOG = """\
The command runs as it would alone: its output, its signals and its exit code are its own. What unstall
has to say goes to stderr: a line for each stall, at the threshold and again while it lasts, and a report
when the command has ended. Every Python process below the command is watched as soon as it runs an event
loop: workers, reloaders, what a shell script starts.

Not watched: Python older than 3.11, processes started as python -I, -E or -S or with a cleared
environment, and those that another tool's sitecustomize keeps from us; start unstall run inside that tool.

  unstall run -- uvicorn app.main:app
  unstall run --record run.jsonl -- gunicorn -k uvicorn_worker.UvicornWorker app.main:app
  unstall report run.jsonl
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "unstall run [OPTIONS] -- COMMAND..."
    parser.epilog = _EPILOG
    option = parser.add_argument
    option("--threshold", metavar="MS", help="a loop held for longer than this has stalled (100)")
    option(
        "--record", metavar="FILE", type=Path,
        help="write all that is seen as JSON lines; an earlier recording there is overwritten",
    )  # fmt: skip
    option(
        "--format", choices=("text", "json"), default="text",
        help="of what goes to stderr; json: one object on a line, kind stall, report or note",
    )  # fmt: skip
    option(
        "--inside-c", action="store_true",
        help="name the line even while one call in C holds the interpreter lock; reads stacks without "
        "that lock, which can crash the program: not for production",
    )  # fmt: skip
    option(
        "--latent", action="store_true",
        help="tell also of calls on the loop that are fast now and hang it when their server hangs",
    )  # fmt: skip
    option(
        "--metrics", metavar="[HOST:]PORT",
        help="serve the metrics of all processes of the command for Prometheus, and a live page",
    )  # fmt: skip
    option("--no-summary", action="store_true", help="no report at the end")
    option("--quiet", action="store_true", help="neither stalls nor report, only the recording")
    option("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="what to run")


def run(args: argparse.Namespace) -> int:
    from unstall.run.options import Options
    from unstall.run.parent import watch

    command = tuple(args.command[1:] if args.command[:1] == ["--"] else args.command)
    if not command:
        raise UsageError(
            "no COMMAND was given: put it behind --, as in unstall run -- uvicorn app:app"
        )
    options = Options(
        threshold=args.threshold,
        record=args.record,
        as_json=args.format == "json",
        quiet=args.quiet,
        summary=not args.no_summary,
        inside_c=args.inside_c,
        metrics=args.metrics,
        latent=args.latent,
    )
    return watch(command, options)
