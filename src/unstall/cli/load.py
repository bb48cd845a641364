"""`unstall load`: as many requests as were asked for, whatever the answers; and whether they were good."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from unstall.cli import INTERRUPTED, locusts
from unstall.cli.files import check_output, write_output
from unstall.cli.load_order import order_of
from unstall.cli.load_run import Ending, carried_out
from unstall.cli.outcome import read_run, read_whole
from unstall.errors import NotEnoughData
from unstall.load import quiet_gc, run_on_best
from unstall.load.files import raise_file_limit
from unstall.load.phase import lateness_of
from unstall.load.scenarios import check as check_sent
from unstall.load.shards import merged
from unstall.model.proof import HEALTHY, Phase, Run
from unstall.report import run_json
from unstall.report.load_text import text
from unstall.report.terminal import complain, write
from unstall.settings import working_folder
from unstall.triage.same_plan import check_same
from unstall.triage.secrets import in_text
from unstall.triage.thresholds import check

NAME = "load"
HELP = (
    "send requests when they are due, whatever the answers take, and hold the outcome to thresholds"
)

_EPILOG = """\
PLAN is a file of TOML; without one the plan stands in unstall.toml or [tool.unstall] of pyproject.toml. A URL
needs none. Latency counts from the moment at which a request was due, so waiting in line is in it.

Exit code: 0 thresholds held, 1 a threshold missed or a regression, 3 not enough data, or the load was more
than this machine could send, 2 wrong usage or plan, 4 the app did not get ready, 130 interrupted.

  unstall load http://127.0.0.1:8000/items --rate 200 --seconds 30
  unstall load plan.toml --url http://127.0.0.1:8000 --processes 2
  unstall load plan.toml --shard 1/4 --start 2026-11-21T15:00:00Z --json shard1.json
  unstall load merge shard1.json shard2.json shard3.json shard4.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    option = parser.add_argument
    option(
        "target", metavar="PLAN | URL | merge FILE", nargs="*",
        help="what to send; or the word merge and the files of all shards",
    )  # fmt: skip
    alone = parser.add_argument_group("with a URL")
    alone.add_argument("--rate", type=float, metavar="N", help="requests due per second (50)")
    alone.add_argument("--seconds", type=float, metavar="S", help="of load (10)")
    alone.add_argument("--method", metavar="NAME", help="of the requests (GET)")
    alone.add_argument("--header", metavar="NAME:VALUE", action="append", help="repeatable")
    alone.add_argument("--body", metavar="TEXT", help="of the requests; may hold ${...}")
    alone.add_argument("--witness", metavar="PATH", help="what bystanders ask for (/)")
    alone.add_argument("--witness-rate", type=float, metavar="N", help="how often (5); 0: never")
    option("--url", metavar="URL", help="where the plan's app runs already")
    option("--seed", type=int, metavar="N", help="of arrivals, and of what is filled in")
    option("--in-flight", type=int, metavar="N", help="so many of a scenario may be open (5000)")
    option("--drain", type=float, metavar="S", default=5.0, help="wait so long for the last (5)")
    option("--processes", type=int, metavar="N", default=1, help="that send the load (1)")
    option("--client", metavar="NAME", default="unstall", help="unstall, httpx2 or httpx (unstall)")
    option("--shard", metavar="K/N", help="send this part of it; others send the rest")
    option("--start", metavar="MOMENT", help="begin then, as in 2026-11-21T15:00:00Z")
    option("--allow-remote", metavar="HOST", action="append", help="a target on another machine")
    option("--json", type=Path, metavar="FILE", help="also write all of the run")
    option("--baseline", type=Path, metavar="FILE", help="a --json of before: fail on a regression")
    option("--engine", choices=("open", "locust"), default="open", help="who sends (open)")
    locusts.configure(parser)


def run(args: argparse.Namespace) -> int:
    check_output("--json", args.json)
    before = read_whole(args.baseline, "--baseline") if args.baseline else None
    if args.target[:1] == ["merge"]:
        whole = merged([(name, read_run(Path(name))) for name in args.target[1:]])
        return _concluded(whole, args, before)
    ending = Ending()
    raise_file_limit()
    try:
        done = (
            locusts.carry_out(args, ending)
            if args.engine == "locust"
            else _sent(args, ending, before)
        )
    except asyncio.CancelledError:
        return ending.code or INTERRUPTED
    code = _concluded(done, args, before) if done is not None else 0
    return ending.code or code


def _sent(args: argparse.Namespace, ending: Ending, before: Run | None) -> Run:
    locusts.refuse(args)
    order = order_of(args, working_folder())
    if before is not None:
        check_same(before.plan, order.plan)
    check_sent(order.plan.scenarios, order.plan.witness)
    check(order.plan, (HEALTHY, *(fault.title for fault in order.plan.faults)))
    with quiet_gc():
        return run_on_best(carried_out(order, ending))


def _concluded(done: Run, args: argparse.Namespace, before: Run | None = None) -> int:
    """What is said and written of a run, and the exit code for it."""
    if args.json:
        write_output("--json", args.json, run_json.render(done))
    write(text(done))
    for phase in done.phases if not done.interrupted else ():
        _check_enough(phase, args.processes)
    code = 1 if any(not each.held for each in done.thresholds) else 0
    return max(code, _compared(before, done)) if before is not None else code


def _check_enough(phase: Phase, processes: int) -> None:
    """Raises NotEnoughData if figures would be the generator's, or nobody's."""
    outcome = phase.outcome
    if phase.ended:
        raise NotEnoughData(in_text(phase.ended))
    if not any(stream.due for stream in outcome.streams):
        raise NotEnoughData("no request was due: give a rate above 0, and more seconds")
    if not outcome.trustworthy:
        raise NotEnoughData(
            f"{lateness_of(outcome)}: no latency is told, because it would be ours; "
            f"lower the rate, or give --processes {processes + 1}"
        )
    if not any(stream.answered for stream in outcome.streams):
        broke = sorted({kind for stream in outcome.streams for kind in stream.errors})
        why = f" ({', '.join(broke)})" if broke else ""
        raise NotEnoughData(
            f"no request was answered{why}: start the app, or correct where it is said to be"
        )


def _compared(before: Run, done: Run) -> int:
    from unstall.report.run_figures import change_values
    from unstall.triage.regression import compare, regressions
    from unstall.triage.same_plan import cautions

    changes = regressions(compare(before, done, done.plan.seed))
    for caution in cautions(before, done):
        complain(f"unstall: {caution}")
    for change in changes:
        write(f"  regression    {change.phase} {change.metric}: {change_values(change)}")
    if not changes:
        write("  no regression beyond the noise of both runs")
    return 1 if changes else 0
