"""What `unstall load` is asked for: a plan, or an address and a rate; and on which terms."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from unstall.errors import UsageError
from unstall.load import Place, Share, place_of
from unstall.load.shards import share_of
from unstall.model.plan import AppPlan, Arrivals, Plan, Scenario, Stage, WitnessPlan
from unstall.plans import find_plan, read_plan

RATE, SECONDS = 50.0, 10.0
_ALONE = {"rate": "--rate", "seconds": "--seconds", "method": "--method", "header": "--header",
          "body": "--body", "witness": "--witness", "witness_rate": "--witness-rate"}  # fmt: skip
"""What a plan says, so that a flag beside it would contradict it."""


@dataclass(frozen=True, slots=True)
class Order:
    plan: Plan
    url: str
    """Empty: the plan's command starts the app."""
    folder: Path
    """Of the plan; modules of flows and the app's folder are relative to it."""
    processes: int = 1
    client: str = "unstall"
    drain: float = 5.0
    share: Share | None = None
    start: datetime | None = None

    @property
    def target(self) -> str:
        return self.url or self.plan.app.command


def order_of(
    args: argparse.Namespace, here: Path, wall_s: Callable[[], float] = time.time
) -> Order:
    """Raises UsageError."""
    target = args.target[0] if args.target else ""
    if len(args.target) > 1:
        raise UsageError(f"{args.target[1]!r} is one too many: name one plan or one URL")
    if "://" in target:
        plan, url = _quick(target, args), _base(target)
    else:
        plan = _planned(target, args, here)
        url = args.url or plan.app.url
    if not plan.scenarios:
        raise UsageError(f"{plan.file} has no [[scenario]]: write one, or name a URL")
    if url:
        check_near(place_of(url), args.allow_remote or ())
    elif not plan.app.command:
        raise UsageError(
            f"{plan.file} says neither where the app is nor how to start it: "
            "give --url, or a command in [app]"
        )
    share, start = _shard(args, wall_s)
    if start is not None and plan.repeat > 1:
        raise UsageError(
            f"--start is one moment, and {plan.file} has repeat = {plan.repeat}: take it out"
        )
    if share is not None and not url:
        raise UsageError("--shard needs --url: all machines load one app, and nobody starts it")
    return Order(
        plan=_changed(plan, args),
        url=url,
        folder=Path(plan.file).parent if plan.file else here,
        processes=args.processes,
        client=args.client,
        drain=_number(args.drain, "--drain"),
        share=share,
        start=start,
    )


def check_near(place: Place, allowed: list[str] | tuple[str, ...]) -> None:
    """Raises UsageError for a host that is not this machine, unless it is allowed by name."""
    if not place.loopback and place.host not in allowed:
        raise UsageError(
            f"the target is on {place.host}, which is not this machine: "
            f"if it is yours to load, give --allow-remote {place.host}"
        )


def _base(url: str) -> str:
    place = place_of(url.partition("?")[0].partition("#")[0])
    return f"{place.scheme}://{place.authority}"


def _quick(url: str, args: argparse.Namespace) -> Plan:
    """One scenario, without a plan."""
    if args.url:
        raise UsageError(f"--url {args.url} is beside {url}: give one of them")
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    rate = RATE if args.rate is None else args.rate
    seconds = SECONDS if args.seconds is None else args.seconds
    stage = Stage(_number(rate, "--rate"), _number(seconds, "--seconds", least=0.1))
    scenario = Scenario(
        name="load",
        method=(args.method or "GET").upper(),
        path=path,
        headers=_headers(args.header or ()),
        body=args.body or "",
        stages=(stage,),
        arrivals=Arrivals.POISSON,
    )
    return Plan(
        name=url,
        app=AppPlan(url=_base(url)),
        witness=WitnessPlan(args.witness or "/", _witness_rate(args)),
        scenarios=(scenario,),
    )


def _witness_rate(args: argparse.Namespace) -> float:
    rate = WitnessPlan().rate if args.witness_rate is None else args.witness_rate
    return _number(rate, "--witness-rate")


def _planned(target: str, args: argparse.Namespace, here: Path) -> Plan:
    for option, flag in _ALONE.items():
        if getattr(args, option) is not None:
            raise UsageError(f"{flag} is for a URL: a plan says this itself")
    if target:
        return read_plan(here / target)
    plan = find_plan(here)
    if plan is None:
        raise UsageError(
            "there is no plan here: name one, write [[scenario]] in unstall.toml, or give a URL, "
            "as in unstall load http://127.0.0.1:8000/ --rate 50"
        )
    return plan


def _changed(plan: Plan, args: argparse.Namespace) -> Plan:
    if args.seed is not None:
        plan = replace(plan, seed=args.seed)
    if args.in_flight is not None:
        if args.in_flight < 1:
            raise UsageError(f"--in-flight is {args.in_flight}: give 1 or more")
        plan = replace(plan, in_flight=args.in_flight)
    return plan


def _headers(given: list[str] | tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise UsageError(
                f"--header is {text!r}: give a name and a value, as in 'Accept: text/html'"
            )
        headers[name.strip()] = value.strip()
    return headers


def _shard(
    args: argparse.Namespace, wall_s: Callable[[], float]
) -> tuple[Share | None, datetime | None]:
    start = start_of(args.start, wall_s()) if args.start else None
    if args.shard is None:
        return None, start
    if start is None:
        raise UsageError(
            "--shard needs --start: the same moment for all machines, as in 2026-11-21T15:00:00Z"
        )
    if args.baseline is not None:
        raise UsageError(
            "--shard sends a part, and --baseline is for the whole: give it to unstall load merge"
        )
    if args.json is None:
        raise UsageError(
            "--shard needs --json FILE: unstall load merge makes the whole of the files"
        )
    return share_of(args.shard), start


def start_of(text: str, wall_s: float) -> datetime:
    """A moment to come. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            f"--start is {text!r}: give a moment with its zone, as in 2026-11-21T15:00:00Z"
        )
    ago = wall_s - moment.timestamp()
    if ago > 0:
        raise UsageError(f"--start {text} was {ago:.0f} s ago: give a moment to come")
    return moment.astimezone(UTC)


def _number(value: float, flag: str, least: float = 0.0) -> float:
    if math.isfinite(value) and value >= least:
        return value
    raise UsageError(f"{flag} is {value:g}: give a number from {least:g} up")
