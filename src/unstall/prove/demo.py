"""The incident, replayed: one service, three ways to make the same blocking call, one ill pod.

Each variant gets fresh processes: a downstream of N pods of which one hangs, and the service under
`unstall run`. Load comes from here; a witness asks for `/livez`, which touches nothing.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unstall.errors import MissingExtra, TargetError
from unstall.explain.report import report_of
from unstall.explain.victims import distinct_victims
from unstall.load import (
    Crowd,
    Outcome,
    Progress,
    Stream,
    StreamOutcome,
    poisson,
    quiet_gc,
    run,
    run_users,
)
from unstall.load import witness as witness_stream
from unstall.model.recording import read
from unstall.model.report import Report, WitnessVerdict
from unstall.prove.processes import child, free_port, until_accepting
from unstall.triage.verdict import witness_verdict

WITNESS_RATE = 5.0
LITERAL_USERS = 500
LITERAL_SPAWN_RATE = 50.0
_START_PATIENCE_S = 30.0
_MAX_PODS = 100


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    path: str


VARIANTS = (
    Variant("blocking dependency", "/sync_with_async_blocking_dep"),
    Variant("shared thread pool", "/sync_with_async_dep_offload"),
    Variant("lane of its own", "/lane"),
)


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What to do to the service. `seconds` is per variant; `hang` in seconds."""

    seconds: float = 10.0
    rate: float = 50.0
    hang: float = 3.0
    probability: float = 0.05
    seed: int = 7
    literal: bool = False

    @property
    def pods(self) -> int:
        """So many that the ill one among them is about a share of `probability`."""
        return min(_MAX_PODS, max(2, round(1 / self.probability))) if self.probability else 2

    @property
    def lane_threads(self) -> int:
        """Twice the threads that hung calls hold on average, rate x share x hang; 8 as written up."""
        needed = self.rate * self.probability * self.hang
        return 8 if self.literal else min(64, max(8, math.ceil(2 * needed)))


@dataclass(frozen=True, slots=True)
class VariantResult:
    variant: Variant
    traffic: StreamOutcome
    witness: StreamOutcome
    verdict: WitnessVerdict
    trustworthy: bool
    report: Report

    @property
    def refused(self) -> int:
        return self.traffic.statuses.get("503", 0)

    @property
    def victims(self) -> int:
        return distinct_victims(self.report.stalls)


class Audience:
    """Who is told what happens; every method is called on the loop that runs the demonstration."""

    def begins(self, variant: Variant) -> None: ...

    def advances(self, variant: Variant, progress: Progress) -> None: ...

    def hears(self, line: str) -> None:
        """A line of `unstall run`, while it happens."""

    def ends(self, result: VariantResult) -> None: ...


async def demonstrate(
    plan: DemoPlan, audience: Audience, variants: Sequence[Variant] = VARIANTS
) -> tuple[VariantResult, ...]:
    """Runs the variants one after the other.

    Raises MissingExtra without the libraries of the service, TargetError if it does not start.
    """
    _check_extras()
    with tempfile.TemporaryDirectory(prefix="unstall-demo-") as folder, quiet_gc():
        return tuple([await _play(plan, each, audience, Path(folder)) for each in variants])


async def _play(
    plan: DemoPlan, variant: Variant, audience: Audience, folder: Path
) -> VariantResult:
    audience.begins(variant)
    record = folder / f"{variant.path.strip('/')}.jsonl"
    port = free_port()
    env = os.environ | {
        "INCIDENT_PROBABILITY": str(plan.probability),
        "INCIDENT_SECONDS": str(plan.hang),
        "INCIDENT_SEED": str(plan.seed),
        "INCIDENT_LANE_THREADS": str(plan.lane_threads),
        "UNSTALL_ROOT": str(_root_of(reference_folder())),
        "UNSTALL_SLOW_MS": "60000",  # the story is told by the stalls
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(reference_folder()), os.environ.get("PYTHONPATH")))
        ),
    }
    hang = ("--pods", str(plan.pods), "--hang", str(plan.hang))
    downstream = (sys.executable, "-m", "incident.downstream", *hang)
    async with child("the downstream", downstream, env) as pods:
        urls = json.loads(await pods.first_line(_START_PATIENCE_S))["urls"]
        env |= (
            {"INCIDENT_SOURCE": "sleep"}
            if plan.literal
            else {"INCIDENT_SOURCE": "downstream", "INCIDENT_DOWNSTREAM": ",".join(urls)}
        )

        def hear(line: str) -> None:
            if line.startswith("unstall:"):  # the rest is the service's own, and kept for a failure
                audience.hears(line)

        async with child("the service", _service(port, record), env, hear) as service:
            await until_accepting(service, port, _START_PATIENCE_S)
            outcome = await _load(
                plan, variant, port, lambda progress: audience.advances(variant, progress)
            )
            await pods.stop()  # the calls that hang break now, so that the service can end well
    result = _result(variant, outcome, report_of(read(record), variant.path))
    audience.ends(result)
    return result


def _service(port: int, record: Path) -> tuple[str, ...]:
    return (
        sys.executable, "-m", "unstall", "run", "--record", str(record), "--no-summary", "--",
        sys.executable, "-m", "uvicorn", "incident.app:app", "--port", str(port),
        "--log-level", "error", "--no-access-log", "--timeout-graceful-shutdown", "1",
    )  # fmt: skip


async def _load(
    plan: DemoPlan, variant: Variant, port: int, progress: Callable[[Progress], None]
) -> Outcome:
    base = f"http://127.0.0.1:{port}"
    witness = witness_stream("/livez", WITNESS_RATE, plan.seconds)
    patience = plan.seconds + plan.hang
    if plan.literal:
        crowd = Crowd(
            variant.name, variant.path, LITERAL_USERS, LITERAL_SPAWN_RATE, plan.seconds,
            seed=plan.seed,
        )  # fmt: skip
        users, watched = await asyncio.gather(
            run_users(base, crowd, timeout_s=patience, drain_s=1.0, progress=progress),
            run(base, [witness], timeout_s=patience, drain_s=1.0),
        )
        return users + watched
    due = poisson(plan.rate, plan.seconds, plan.seed)
    stream = Stream(variant.name, "GET", variant.path, due)
    return await run(
        base, [stream, witness], timeout_s=patience, drain_s=min(plan.hang, 3.0),
        progress=progress, progress_s=0.25,
    )  # fmt: skip


def _result(variant: Variant, outcome: Outcome, report: Report) -> VariantResult:
    witness = outcome["witness"]
    return VariantResult(
        variant=variant,
        traffic=outcome[variant.name],
        witness=witness,
        verdict=witness_verdict(witness.latency, witness.due, witness.due - witness.answered),
        trustworthy=outcome.trustworthy,
        report=report,
    )


def reference_folder() -> Path:
    """Where the `incident` package lies: in the repository, or shipped inside the wheel."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_reference", package.parents[1] / "reference"):
        if (folder / "incident" / "app.py").is_file():
            return folder
    raise TargetError(
        f"the incident service is not beside {package}: reinstall unstall, or run from a checkout"
    )


def _root_of(folder: Path) -> Path:
    """What paths are shown relative to: the checkout, so that the line named can be opened."""
    return folder.parent if folder.name == "reference" else folder


def _check_extras() -> None:
    for library in ("fastapi", "uvicorn", "requests", "httpx2", "rich"):
        if importlib.util.find_spec(library) is None:
            raise MissingExtra(library, "demo")
