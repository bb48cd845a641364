"""tally serve, migrate, worker, rollups, stack, demo."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tally import __version__, demo
from tally.errors import Unable
from tally.settings import STAGES, Settings, SettingsError

USAGE, UNABLE = 2, 4
"""Exit codes: something given cannot be used, something needed cannot be had."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _leave)
    try:
        code: int = args.command(args)
        return code
    except SettingsError as error:
        return _say(error, USAGE)
    except Unable as error:
        return _say(error, UNABLE)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tally", description="A real-time analytics API.")
    parser.add_argument("--version", action="version", version=f"tally {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service with all that it needs")
    serve.set_defaults(command=_serve)
    serve.add_argument(
        "--stage", choices=STAGES, help="which composition (TALLY_STAGE, else async)"
    )
    serve.add_argument("--workers", type=int, default=2, metavar="N", help="API processes (2)")
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000, help="0 chooses a free one (8000)")
    serve.add_argument(
        "--folder", type=Path, metavar="DIR", help="keep the data there; else they are thrown away"
    )
    serve.add_argument("--pods", type=int, default=3, metavar="N", help="of each upstream (3)")
    serve.add_argument(
        "--hang",
        action="append",
        default=[],
        metavar="SERVICE:POD:S",
        help="let a pod keep each request, such as billing:1:15",
    )
    serve.add_argument(
        "--demo",
        action="store_true",
        help="migrate, and make a customer, also in a database that DATABASE_URL names",
    )

    migrate = commands.add_parser("migrate", help="bring the database of DATABASE_URL up to date")
    migrate.set_defaults(command=_migrate)
    migrate.add_argument(
        "--to", default="", metavar="REVISION", help="an older one takes migrations back"
    )
    migrate.add_argument(
        "--wait", type=float, default=0.0, metavar="S", help="for the server to be there (0)"
    )

    worker = commands.add_parser("worker", help="do the jobs: imports, billing, upkeep")
    worker.set_defaults(command=_worker)

    rollups = commands.add_parser(
        "rollups", help="compare the sums of some hours with their events, or make them again"
    )
    rollups.set_defaults(command=_rollups)
    rollups.add_argument("since", metavar="FROM", help="as 2026-11-21 or 2026-11-21T10:00Z; UTC")
    rollups.add_argument("until", metavar="TO", help="before this time; whole hours are taken")
    rollups.add_argument(
        "--rebuild",
        action="store_true",
        help="make them again, also what does not differ; the service goes on",
    )

    stack = commands.add_parser(
        "stack", help="run PostgreSQL and Valkey alone, and print their URLs"
    )
    stack.set_defaults(command=_stack)
    stack.add_argument(
        "--folder", type=Path, metavar="DIR", help="keep the data there; else they are thrown away"
    )
    stack.add_argument(
        "--scratch", action="store_true", help="faster, and nothing survives a loss of power"
    )
    demo.configure(
        commands.add_parser("demo", help="the case study: each stage while a pod of billing hangs")
    )
    return parser


def _serve(args: argparse.Namespace) -> int:
    from tally.serve import Options, serve

    if args.workers < 1 or args.pods < 1:
        raise SettingsError("--workers and --pods must be 1 or more")
    stage = args.stage or os.environ.get("TALLY_STAGE") or "async"
    serve(
        Options(
            stage,
            args.workers,
            args.host,
            args.port,
            args.folder,
            args.pods,
            tuple(args.hang),
            args.demo,
        ),
        os.environ,
    )
    return 0


def _migrate(args: argparse.Namespace) -> int:
    from tally.schema.migrate import NoSuchRevision, to, wait_for

    settings = Settings.from_environ(os.environ)
    try:
        wait_for(settings, args.wait)
        revision = to(settings, args.to)
    except (OSError, NoSuchRevision) as error:
        raise Unable(str(error)) from None
    print(f"the database is at revision {revision}")
    return 0


def _worker(_: argparse.Namespace) -> int:
    import logging

    from tally.schema.revisions import SchemaError
    from tally.worker.service import main as work

    settings = Settings.from_environ(os.environ)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it tells of every try
    try:
        work(settings)
    except SchemaError:
        return UNABLE  # it was said
    return 0


def _rollups(args: argparse.Namespace) -> int:
    import asyncio

    from tally.worker.rebuild import compare, rebuild

    since, until = _moment(args.since), _moment(args.until)
    if since >= until:
        raise SettingsError(f"FROM must be before TO: {args.since} is not before {args.until}")
    settings = Settings.from_environ(os.environ)
    left = asyncio.run((rebuild if args.rebuild else compare)(settings, since, until, print))
    if not left:
        print("all of it was made again" if args.rebuild else "all of it is what the events say")
        return 0
    if args.rebuild:
        raise Unable(f"{left} could not be made again: run it once more")
    raise Unable(f"{left} differ: run `tally rollups --rebuild {args.since} {args.until}`")


def _moment(text: str) -> datetime:
    """Without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{text!r} is no time: give one as 2026-11-21 or 2026-11-21T10:00Z"
        ) from None


def _stack(args: argparse.Namespace) -> int:
    from tally.stack import Stack

    with Stack(args.folder, scratch=args.scratch) as stack:
        if stack.without:
            print(f"tally: {stack.without}", file=sys.stderr)
        urls = {"database_url": stack.database_url, "redis_url": stack.redis_url}
        print(json.dumps(urls), flush=True)
        signal.pause()
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    """As an exit that unwinds: what was started is ended."""
    raise SystemExit(128 + number)


def _say(error: Exception, code: int) -> int:
    print(f"tally: {error}", file=sys.stderr)
    return code
