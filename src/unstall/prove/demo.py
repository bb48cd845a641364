"""The incident, replayed: one service, three ways to make the same blocking call, one ill pod.

Each variant is a run of `unstall prove` with a plan of its own: fresh processes of the service, and a proxy
in front of each pod of its downstream, one of which makes its callers wait. A witness asks for `/livez`,
which touches nothing.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import os
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from unstall.clock import SystemClock
from unstall.errors import MissingExtra, TargetError
from unstall.explain.victims import distinct_victims
from unstall.load import Crowd, Loaded, Progress, StreamOutcome, run, run_users
from unstall.load import witness as witness_stream
from unstall.model.histogram import Histogram
from unstall.model.plan import AppPlan, Fault, Plan, Scenario, Stage, WitnessPlan
from unstall.model.proof import WITNESS, Phase
from unstall.model.report import Report, WitnessVerdict
from unstall.prove.processes import child
from unstall.prove.run import Audience, Wishes, prove
from unstall.prove.tools import Load, Tools

WITNESS_RATE = 5.0
LITERAL_USERS = 500
LITERAL_SPAWN_RATE = 50.0
UPSTREAM = "INCIDENT_DOWNSTREAM"
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
    because: str
    trustworthy: bool
    report: Report
    lag: Histogram
    """Of the loop under load; start-up is left out."""

    @property
    def refused(self) -> int:
        return self.traffic.statuses.get("503", 0)

    @property
    def victims(self) -> int:
        return distinct_victims(self.report.stalls)


class _Titled(Audience):
    """A variant has one phase, which goes by the variant's name."""

    def __init__(self, inner: Audience, variant: Variant) -> None:
        self._inner = inner
        self._title = f"{variant.name}: GET {variant.path}"

    def begins(self, phase: str, seconds: float) -> None:
        self._inner.begins(self._title, seconds)

    def advances(self, progress: Progress) -> None:
        self._inner.advances(progress)

    def hears(self, line: str) -> None:
        self._inner.hears(line)

    def ends(self, phase: Phase) -> None:
        self._inner.ends(phase)


async def demonstrate(
    plan: DemoPlan, audience: Audience, variants: Sequence[Variant] = VARIANTS
) -> tuple[VariantResult, ...]:
    """Runs the variants one after the other.

    Raises MissingExtra without the libraries of the service, TargetError if it does not start.
    """
    _check_extras()
    return tuple([await _play(plan, each, audience) for each in variants])


async def _play(plan: DemoPlan, variant: Variant, audience: Audience) -> VariantResult:
    folder = reference_folder()
    environ = os.environ | {
        "INCIDENT_PROBABILITY": str(plan.probability),
        "INCIDENT_SECONDS": str(plan.hang),
        "INCIDENT_SEED": str(plan.seed),
        "INCIDENT_LANE_THREADS": str(plan.lane_threads),
        "INCIDENT_SOURCE": "sleep" if plan.literal else "downstream",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH")))),
    }
    async with _pods(plan, environ) as urls:
        run = await prove(
            plan_of(plan, variant),
            _Titled(audience, variant),
            Wishes(environ | {UPSTREAM: ",".join(urls)}, root=_root_of(folder), healthy=False),
            Tools(load=_crowd(plan, variant)) if plan.literal else None,
        )
    if run.interrupted:
        raise asyncio.CancelledError
    return _result(variant, run.phases[0])


def plan_of(plan: DemoPlan, variant: Variant) -> Plan:
    """The first pod hangs for whom the service's dice send there; if literal, the service itself sleeps."""
    server = (
        sys.executable, "-m", "uvicorn", "incident.app:app", "--port", "{port}",
        "--log-level", "error", "--no-access-log", "--timeout-graceful-shutdown", "1",
    )  # fmt: skip
    ill = Fault(UPSTREAM, "hang", seconds=plan.hang, bad=1)
    return Plan(
        name=variant.name,
        app=AppPlan(command=shlex.join(server), ready="/livez", patience=_START_PATIENCE_S),
        witness=WitnessPlan("/livez", WITNESS_RATE),
        scenarios=(
            Scenario(
                variant.name,
                path=variant.path,
                stages=(Stage(plan.rate, plan.seconds),),
                timeout=plan.seconds + plan.hang,
            ),
        ),
        faults=() if plan.literal else (ill,),
        seed=plan.seed,
    )


@asynccontextmanager
async def _pods(plan: DemoPlan, environ: dict[str, str]) -> AsyncIterator[list[str]]:
    """The downstream: its pods are well, and what one of them does is the proxy's doing."""
    command = (
        sys.executable,
        "-m",
        "incident.downstream",
        "--pods",
        str(plan.pods),
        "--hang",
        "0.001",
    )
    async with child("the downstream", command, environ, first_line=True) as pods:
        yield json.loads(await pods.first_line(_START_PATIENCE_S))["urls"]


def _crowd(plan: DemoPlan, variant: Variant) -> Load:
    """The closed model of the write-up, with the witness beside it."""

    async def load(
        base_url: str,
        scenarios: Sequence[Scenario],
        witness: WitnessPlan,
        /,
        *,
        seed: int,
        in_flight: int,
        processes: int,
        drain_s: float,
        progress: Callable[[Progress], None] | None,
        folder: Path,
        stop: asyncio.Event,
    ) -> Loaded:
        seconds = scenarios[0].stages[0].seconds
        users = LITERAL_USERS if seconds == plan.seconds else 1  # the warm-up is shorter
        crowd = Crowd(variant.name, variant.path, users, LITERAL_SPAWN_RATE, seconds, seed=seed)
        watched = witness_stream(witness.path, witness.rate, seconds)
        patience = plan.seconds + plan.hang
        from_ns = SystemClock().monotonic_ns()
        both = await asyncio.gather(
            run_users(base_url, crowd, timeout_s=patience, drain_s=1.0, progress=progress),
            run(base_url, [watched], timeout_s=patience, drain_s=1.0),
        )
        return Loaded(both[0] + both[1], from_ns, seconds)

    return load


def _result(variant: Variant, phase: Phase) -> VariantResult:
    return VariantResult(
        variant=variant,
        traffic=phase.outcome[variant.name],
        witness=phase.outcome[WITNESS],
        verdict=phase.verdict,
        because=phase.because,
        trustworthy=phase.outcome.trustworthy,
        report=phase.report,
        lag=phase.lag_under_load,
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
    for library in ("fastapi", "uvicorn", "requests", "rich"):
        if importlib.util.find_spec(library) is None:
            raise MissingExtra(library, "demo")
