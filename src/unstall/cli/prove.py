"""`unstall prove`: the incident, before production has it."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unstall.cli import INTERRUPTED, TERMINATED
from unstall.cli.files import check_outputs, write_output
from unstall.cli.signals import heard
from unstall.errors import UsageError
from unstall.model.proof import Run
from unstall.report.terminal import complain, has_colour, write

if TYPE_CHECKING:
    from unstall.cli.prove_order import Asked
    from unstall.cli.stage import Stage
    from unstall.prove.run import Wishes
    from unstall.triage.regression import Change

NAME = "prove"
HELP = (
    "boot the app, load it, let one upstream misbehave, and see whether bystanders are still served"
)

_FORMS = ("json", "html", "junit")
_EPILOG = """\
PLAN is a file of TOML; without one the plan stands in unstall.toml or [tool.unstall] of pyproject.toml.
With package.module:app no plan is needed: uvicorn serves the app, and requests are derived from its OpenAPI
document. These are sent for real, those that write included: give it data that may be changed.

An upstream is the environment variable that names it to the app. It gets a proxy, and the app is started
with the variable pointing there. One phase is healthy, and one is for each fault.

Exit code: 0 thresholds held and nobody was frozen, 1 frozen bystanders, a missed threshold or a regression,
3 not enough data, 2 wrong usage or plan, 4 the app did not get ready, 130 interrupted, with what there was.

  unstall prove
  unstall prove plan.toml --baseline main.json --html run.html
  unstall prove app.main:app --upstream DATABASE_URL --fault hang:3 --probability 0.05
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    option = parser.add_argument
    option("target", metavar="PLAN | APP", nargs="?", help="a plan, or package.module:app")
    look = parser.add_argument_group("without a plan")
    look.add_argument(
        "--upstream", metavar="NAME", action="append", help="a variable that names one; repeatable"
    )
    look.add_argument(
        "--fault", metavar="KIND[:N]", action="append",
        help="what it does: hang:3, latency:500, reset_peer, …; repeatable (hang:3)",
    )  # fmt: skip
    look.add_argument("--probability", type=float, metavar="P", help="share of exchanges (0.5)")
    look.add_argument("--seconds", type=float, metavar="S", help="of load in each phase (10)")
    look.add_argument("--rate", type=float, metavar="N", help="requests a second, all routes (50)")
    look.add_argument(
        "--witness", metavar="PATH", help="what bystanders ask for (a path nobody has)"
    )
    look.add_argument(
        "--skip", metavar="ROUTE", action="append", help='left alone: "POST /admin/*"'
    )
    look.add_argument("--header", metavar="NAME:VALUE", action="append", help="of each request")
    look.add_argument(
        "--value", metavar="NAME=TEXT", action="append",
        help="for the path or query parameter of that name; repeatable, then sent in turn",
    )  # fmt: skip
    look.add_argument(
        "--openapi", type=Path, metavar="FILE", help="the document, if it serves none"
    )
    look.add_argument("--read-only", action="store_true", help="send nothing that may write")
    option("--seed", type=int, metavar="N", help="of arrivals and of the dice (0)")
    option("--repeat", type=int, metavar="N", help="play each phase so often (1)")
    option("--processes", type=int, metavar="N", default=1, help="that send the load (1)")
    option("--env-file", type=Path, metavar="FILE", help="variables for the app, as in .env")
    option("--allow-remote", metavar="HOST", action="append", help="a target on another machine")
    option("--no-audit", action="store_true", help="do not read the app's source")
    option(
        "--format",
        choices=("text", "github", "markdown"),
        default="text",
        help="of the report (text)",
    )
    option("--json", type=Path, metavar="FILE", help="also write all of the run")
    option("--html", type=Path, metavar="FILE", help="also write a page")
    option("--junit", type=Path, metavar="FILE", help="also write JUnit XML")
    option("--baseline", type=Path, metavar="FILE", help="a --json of before: fail on a regression")


def run(args: argparse.Namespace) -> int:
    check_outputs({f"--{option}": getattr(args, option) for option in _FORMS})
    before = _read_baseline(args.baseline)
    from unstall.cli.prove_order import asked_of, wishes_of
    from unstall.cli.stage import stage
    from unstall.triage.same_plan import check_same

    ending = _Ending()
    try:
        with stage() as told:
            asked = asked_of(args)
            if before is not None and asked.wanted is None:
                check_same(before.plan, asked.plan)
            asked, wishes = wishes_of(asked, args, told.say)
            done = asyncio.run(_carried_out(asked, wishes, told, ending))
    except asyncio.CancelledError:
        return TERMINATED
    code = _said(done, args, before)
    if done.interrupted:
        return TERMINATED if ending.terminated else INTERRUPTED
    return code


# --- the run --------------------------------------------------------------------------------


class _Ending:
    """Whether SIGTERM ended the run; Ctrl-C does it without us."""

    terminated = False

    def on_sigterm(self, task: asyncio.Task[Run], _: int) -> None:
        self.terminated = True
        task.cancel()


async def _carried_out(asked: Asked, wishes: Wishes, told: Stage, ending: _Ending) -> Run:
    task = asyncio.current_task()
    assert task is not None
    with heard(partial(ending.on_sigterm, task), signal.SIGTERM):
        return await _proved(asked, wishes, told)


async def _proved(asked: Asked, wishes: Wishes, told: Stage) -> Run:
    from unstall.prove.run import prove

    plan = asked.plan
    if asked.wanted is not None:
        from unstall.prove.first_look import look

        told.say(f"== asking {asked.wanted.app} what it can be asked")
        seen = await look(
            plan, asked.wanted, wishes.environ, asked.terms, asked.openapi, asked.routes
        )
        plan = seen.plan
        wishes = replace(wishes, unexercised=seen.unexercised, gaps=(*wishes.gaps, *seen.notes))
    return await prove(plan, told, wishes)


# --- what came of it ------------------------------------------------------------------------


def _said(done: Run, args: argparse.Namespace, before: Run | None) -> int:
    from unstall.cli.report import rendered, summarised
    from unstall.triage.gate import gate_of
    from unstall.triage.regression import compare
    from unstall.triage.same_plan import cautions

    refused: UsageError | None = None
    changes: Sequence[Change] = ()
    if before is not None:
        try:
            changes = compare(before, done, done.plan.seed)
        except UsageError as error:  # the run is told all the same
            before, refused = None, error
    for caution in cautions(before, done) if before else ():
        complain(f"unstall: {caution}")
    write(rendered(done, before, changes, args.format, colour=has_colour(sys.stdout)))
    if args.format == "github":
        summarised(done, changes)
    for form in _FORMS:
        file = getattr(args, form)
        if file is not None:
            write_output(f"--{form}", file, rendered(done, before, changes, form))
    if refused is not None:
        raise refused
    return int(gate_of(done, changes))


def _read_baseline(file: Path | None) -> Run | None:
    """Raises RecordingError for what is no run, UsageError for a part of one."""
    from unstall.cli.outcome import read_whole

    return None if file is None else read_whole(file, "--baseline")
