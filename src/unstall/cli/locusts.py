"""`unstall load --engine locust`: Locust sends, our witness asks beside it, and one table tells of both."""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from unstall.cli.load_order import Order, order_of
from unstall.cli.load_run import Ending, app, machine_of, progress_line
from unstall.errors import UsageError
from unstall.load.locusts import Crew, Locust, locustfile_of, run_locust, work
from unstall.load.locusts.command import DEFAULT_PORT
from unstall.load.phase import phase_of
from unstall.model.plan import Scenario
from unstall.model.proof import Run
from unstall.settings import working_folder
from unstall.triage.thresholds import from_outside, judge
from unstall.version import TOOL

USERS = "500@50"
"""The load test that is in every write-up: 500 users, 50 more each second."""
SECONDS = 60.0
_USERS = re.compile(r"(\d+)(?:@(\d+(?:\.\d+)?))?")
_RAMP_S = 10
_OURS = {"shard": "--shard", "start": "--start", "rate": "--rate"}
"""What only our own engine can do."""
_OF_REQUESTS = {"body": "--body", "method": "--method", "header": "--header"}
"""What a locustfile says itself."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds what only this engine asks for."""
    group = parser.add_argument_group("with --engine locust")
    option = group.add_argument
    option(
        "-f", "--locustfile", metavar="FILE", type=Path, action="append",
        help="sent as it is; repeatable. Without one the plan's scenarios become one",
    )  # fmt: skip
    option("--users", metavar="N[@RATE]", help=f"so many, RATE more a second ({USERS})")
    option("--spawn-rate", type=float, metavar="RATE", help="users more a second")
    option("--master", action="store_true", help="wait for workers on other machines")
    option("--expect-workers", type=int, metavar="N", help="so many (1)")
    option("--worker", action="store_true", help="work for a master; nothing else is needed")
    option("--master-host", metavar="HOST", help="where the master listens, or is (127.0.0.1)")
    option("--master-port", type=int, metavar="PORT", help=f"of the master ({DEFAULT_PORT})")
    option(
        "--locust-args", metavar="TEXT", default="",
        help="passed on as they are: user classes, --tags, …",
    )  # fmt: skip


def refuse(args: argparse.Namespace) -> None:
    """Raises UsageError for this engine's options where another one sends."""
    for name in ("locustfile", "users", "spawn_rate", "master", "expect_workers", "worker",
                 "master_host", "master_port", "locust_args"):  # fmt: skip
        if getattr(args, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} is for Locust: give --engine locust with it, or leave it out")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, apart from where the app is."""

    files: tuple[Path, ...]
    users: int
    spawn_rate: float
    crew: Crew
    more: tuple[str, ...] = ()


def carry_out(args: argparse.Namespace, ending: Ending) -> Run | None:
    """The run; None after the work for a master elsewhere, which has all the figures."""
    wanted = wanted_of(args)
    if args.worker:
        asyncio.run(_worked(wanted, ending))
        return None
    order = order_with(args, wanted, working_folder())
    return asyncio.run(_carried_out(order, wanted, args.seconds, ending))


def wanted_of(args: argparse.Namespace) -> Wanted:
    """Raises UsageError."""
    for name, flag in _OURS.items():
        if getattr(args, name, None) is not None:
            raise UsageError(f"{flag} is for our own engine: leave it out, or --engine locust")
    for name, flag in _OF_REQUESTS.items():
        if args.locustfile and getattr(args, name) is not None:
            raise UsageError(f"{flag} is beside a locustfile, which says this itself: leave it out")
    if args.master and args.worker:
        raise UsageError("--master and --worker are two machines: give one of them")
    if args.expect_workers is not None and not args.master:
        raise UsageError("--expect-workers is for a master: give --master, or leave it out")
    users, spawn_rate = users_of(args.users or USERS, args.spawn_rate)
    return Wanted(
        files=tuple(args.locustfile or ()),
        users=users,
        spawn_rate=spawn_rate,
        crew=Crew(
            processes=args.processes,
            master=args.master,
            workers=args.expect_workers or 1,
            host=args.master_host or "127.0.0.1",
            port=DEFAULT_PORT if args.master_port is None else args.master_port,
        ),
        more=_words(args.locust_args),
    )


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--locust-args is {text!r}, which cannot be read: {error}") from None


def users_of(text: str, spawn_rate: float | None) -> tuple[int, float]:
    """From `500@50` or `500`; without a rate all are there after ten seconds. Raises UsageError."""
    match = _USERS.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--users is {text!r}: write a number, or as in {USERS} with how many a second"
        )
    if match[2] and spawn_rate is not None:
        raise UsageError(
            f"--users {text} says how many come a second, and so does --spawn-rate {spawn_rate:g}: "
            "give one of them"
        )
    users = int(match[1])
    return users, spawn_rate or float(match[2] or max(1.0, users / _RAMP_S))


def order_with(args: argparse.Namespace, wanted: Wanted, here: Path) -> Order:
    """Where the app is, and which plan says so. Raises UsageError."""
    asked = argparse.Namespace(**vars(args))
    if wanted.files and not asked.target and asked.url:
        asked.target, asked.url = [asked.url], None  # a locustfile needs no plan
    if not (asked.target and "://" in asked.target[0]):
        asked.seconds = None  # in place of the plan's: Locust's users know no stages
    return order_of(asked, here)


async def _worked(wanted: Wanted, ending: Ending) -> None:
    with ending.listening():
        await work(wanted.files, wanted.crew)


async def _carried_out(order: Order, wanted: Wanted, seconds: float | None, ending: Ending) -> Run:
    plan = order.plan
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with ending.listening(), ExitStack() as stack:
        files, by_name = wanted.files, False
        if not files:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="unstall-locust-"))
            )
            files, by_name = (folder / "planned.py",), True
            files[0].write_text(locustfile_of(plan.scenarios, seed=plan.seed), encoding="utf-8")
        locust = Locust(
            files, wanted.users, wanted.spawn_rate, seconds or lasting(plan.scenarios),
            drain=order.drain, crew=wanted.crew, by_name=by_name, more=wanted.more,
        )  # fmt: skip
        async with app(order) as (url, watched):
            ending.loading = True
            with progress_line() as told:
                done = await run_locust(url, locust, plan.witness, progress=told, stop=ending.stop)
            ending.loading = False
        seen = watched()
        phase = phase_of(done.loaded, seen.report, 0, seen.pulses, seen.ended)
    measured, unseen = from_outside(plan.thresholds) if order.url else (plan.thresholds, ())
    return Run(
        tool=TOOL,
        target=plan.name or order.target,
        plan=plan,
        started=started,
        phases=(phase,),
        thresholds=judge(measured, (phase,)),
        verdict=phase.verdict,
        gaps=(*done.gaps, *unseen),
        interrupted=ending.stop.is_set(),
        machine=machine_of(order),
    )


def lasting(scenarios: tuple[Scenario, ...]) -> float:
    """Seconds of the longest; of a URL alone, a minute."""
    longest = max((sum(s.seconds for s in each.stages) for each in scenarios), default=0.0)
    return longest or SECONDS
