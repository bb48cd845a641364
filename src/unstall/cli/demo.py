"""`unstall demo`: the incident in a minute, before and after."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path
from typing import Any

from unstall.cli import TERMINATED
from unstall.cli.files import check_output, write_output
from unstall.cli.signals import heard
from unstall.cli.stage import Stage, stage
from unstall.errors import UsageError
from unstall.model.codec import dump
from unstall.model.finding import Finding
from unstall.model.histogram import Histogram
from unstall.prove.demo import DemoPlan, VariantResult, demonstrate
from unstall.report.terminal import write
from unstall.report.text import culprit
from unstall.report.units import columns

NAME = "demo"
HELP = "freeze a small service with one blocking call, and see it named, cured and compared"

_LITERAL = {"seconds": 60.0, "hang": 15.0, "probability": 0.05}


def configure(parser: argparse.ArgumentParser) -> None:
    plan = DemoPlan()
    option = parser.add_argument
    option("--seconds", type=float, metavar="S", help=f"of load per variant ({plan.seconds:g})")
    option("--rate", type=float, metavar="N", help=f"requests due per second ({plan.rate:g})")
    option("--hang", type=float, metavar="S", help=f"how long the ill pod hangs ({plan.hang:g})")
    option(
        "--probability", type=float, metavar="P",
        help=f"share of calls that meet it ({plan.probability:g})",
    )  # fmt: skip
    option("--seed", type=int, metavar="N", help=f"of arrivals and of the dice ({plan.seed})")
    option(
        "--literal", action="store_true",
        help="the write-up to the letter: 500 users at 50/s, time.sleep(15) in 5 %% of calls",
    )  # fmt: skip
    option("--json", type=Path, metavar="FILE", help="also write every figure as JSON")


def run(args: argparse.Namespace) -> int:
    plan = plan_of(args)
    check_output("--json", args.json)
    try:
        with stage() as told:
            results = asyncio.run(_uninterrupted(plan, told))
    except asyncio.CancelledError:
        return TERMINATED
    write(summary(plan, results))
    if args.json:
        _write(args.json, plan, results)
    return 0


async def _uninterrupted(plan: DemoPlan, told: Stage) -> tuple[VariantResult, ...]:
    """SIGTERM ends the run as Ctrl-C does: through the blocks that end the child processes."""
    task = asyncio.current_task()
    assert task is not None
    with heard(lambda _: task.cancel(), signal.SIGTERM):
        return await demonstrate(plan, told)


def plan_of(args: argparse.Namespace) -> DemoPlan:
    """Raises UsageError for a number that makes no demonstration."""
    given = {
        name: value
        for name in ("seconds", "rate", "hang", "probability", "seed")
        if (value := getattr(args, name)) is not None
    }
    plan = DemoPlan(**(_LITERAL if args.literal else {}) | given, literal=args.literal)
    for name, low, high in (
        ("seconds", 3, 3600), ("rate", 1, 2000), ("hang", 0, 600), ("probability", 0, 1),
        ("seed", 0, 2**31),
    ):  # fmt: skip
        value = getattr(plan, name)
        if not low <= value <= high:  # NaN is in no range
            raise UsageError(
                f"--{name} is {value:g}, outside {low} to {high}: give a number within"
            )
    return plan


def summary(plan: DemoPlan, results: tuple[VariantResult, ...]) -> str:
    """The table, the culprit, and what the figures rest on."""
    parts = [_headline(plan), _table(results)]
    worst = _worst(results)
    if worst is not None:
        parts.append("The culprit, while it froze everybody else:\n\n" + culprit(worst))
    parts += [f"unstall: {doubt}" for doubt in _doubts(results)]
    return "\n\n".join(parts)


def _headline(plan: DemoPlan) -> str:
    if plan.literal:
        return (
            f"500 users, 50 more per second, for {plan.seconds:g} s; {plan.probability:.0%} of calls "
            f"sleep {plan.hang:g} s."
        )
    return (
        f"{plan.rate:g} requests a second for {plan.seconds:g} s, open model, seed {plan.seed}; "
        f"1 of {plan.pods} pods hangs {plan.hang:g} s."
    )


_COLUMNS = ("variant", "due", "answered", "503", "p50", "p95", "p99", "witness p99", "loop lag p99",
            "stalls", "victims", "verdict")  # fmt: skip


def _table(results: tuple[VariantResult, ...]) -> str:
    rows = [_COLUMNS, *map(_row, results)]
    lines = columns(rows, left=(0, len(_COLUMNS) - 1))
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _row(result: VariantResult) -> tuple[str, ...]:
    traffic = result.traffic
    return (
        result.variant.name,
        str(traffic.due),
        str(traffic.answered),
        str(result.refused),
        *(_time(traffic.latency, q) for q in (0.5, 0.95, 0.99)),
        _time(result.witness.latency, 0.99),
        _time(result.lag, 0.99),
        str(len(result.report.stalls)),
        str(result.victims),
        str(result.verdict),
    )


def _time(histogram: Histogram, q: float) -> str:
    ns = histogram.quantile_ns(q)
    if ns is None:
        return "-"
    return f"{ns / 1e9:.2f} s" if ns >= 1_000_000_000 else f"{ns / 1e6:.1f} ms"


def _worst(results: tuple[VariantResult, ...]) -> Finding | None:
    found = [finding for result in results for finding in result.report.findings[:1]]
    return max(found, key=lambda finding: finding.evidence[0].total_ms or 0.0, default=None)


def _doubts(results: tuple[VariantResult, ...]) -> list[str]:
    doubts = [
        f"the load generator itself was late during '{result.variant.name}': this machine is busy, "
        "and its latencies contain that"
        for result in results
        if not result.trustworthy
    ]
    return doubts + sorted({gap for result in results for gap in result.report.gaps})


def _write(path: Path, plan: DemoPlan, results: tuple[VariantResult, ...]) -> None:
    data: dict[str, Any] = {
        "version": 1,
        "plan": dump(plan),
        "variants": [
            {
                "name": result.variant.name,
                "verdict": result.verdict,
                "because": result.because,
                "trustworthy": result.trustworthy,
                "traffic": dump(result.traffic),
                "witness": dump(result.witness),
                "stalls": [dump(stall) for stall in result.report.stalls],
                "findings": [dump(finding) for finding in result.report.findings],
            }
            for result in results
        ],
    }
    write_output("--json", path, json.dumps(data, indent=1))
