"""A plan, carried out: the app healthy, then with one upstream ill at a time, and what bystanders felt.

Each phase has fresh processes of the app under `unstall run`. The proxies stand between app and upstreams
for the whole run, and do nothing but in the phase of their fault.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from unstall.explain.report import report_of
from unstall.load import Loaded, quiet_gc
from unstall.load.machine import machine
from unstall.load.phase import lag_by_second
from unstall.load.scenarios import seconds_of
from unstall.model.finding import Finding
from unstall.model.outcome import Progress
from unstall.model.plan import Fault, Plan, WitnessPlan
from unstall.model.proof import HEALTHY, Exchanges, Phase, Run, Unexercised
from unstall.model.report import Report, WitnessVerdict
from unstall.prove.app import App
from unstall.prove.bystander import asked_by, no_bystander
from unstall.prove.conclusion import concluded
from unstall.prove.environment import rewritten
from unstall.prove.ground import Ground, check, check_reachable, folder_of, ground_of
from unstall.prove.peers import read_behind, renamed
from unstall.prove.stood import Watched
from unstall.prove.tools import Proxy, Tools
from unstall.prove.traffic import entries_under_load, here_it_ends, until_stopped, warm_up
from unstall.prove.verdicts import judge
from unstall.version import TOOL

_SLOW_MS = "60000"
"""Under a fault slow requests are what was asked for, and each would be a line."""
_DRAIN_S = 3.0
"""After the last request was due: who has no answer by then was not served."""


class Audience:
    """Who is told what happens; every method is called on the loop that carries the plan out."""

    def begins(self, phase: str, seconds: float) -> None: ...

    def advances(self, progress: Progress) -> None: ...

    def hears(self, line: str) -> None:
        """A line of `unstall run`, while it happens."""

    def ends(self, phase: Phase) -> None: ...


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a run is asked for beside its plan."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """What the app finds before the plan's own env."""
    root: Path | None = None
    """Paths are told relative to it; None: the folder where the app is started."""
    healthy: bool = True
    """Whether there is a phase without a fault, to compare with."""
    allow_remote: tuple[str, ...] = ()
    processes: int = 1
    """That send the load."""
    source: tuple[Finding, ...] = ()
    """What the audit of the same app found."""
    unexercised: tuple[Unexercised, ...] = ()
    """What is known before the run to get no request."""
    gaps: tuple[str, ...] = ()
    """What is known before the run not to be seen."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """What all phases of a run share."""

    plan: Plan
    wishes: Wishes
    ground: Ground
    env: Mapping[str, str]
    proxies: Mapping[str, Proxy]
    names: Mapping[str, str]
    """A proxy's address, and the upstream's that it stands before."""
    folder: Path
    audience: Audience
    tools: Tools
    notes: list[str]
    """What the proxies have to say."""
    asked: list[str]
    """Upstreams that the witness asks itself."""

    @property
    def witness(self) -> WitnessPlan:
        told = self.plan.witness
        return told if told.path else replace(told, path=self.plan.app.ready)


async def prove(
    plan: Plan,
    audience: Audience,
    wishes: Wishes | None = None,
    tools: Tools | None = None,
) -> Run:
    """Carries a plan out. When its task is cancelled it ends the children and returns what it has.

    Raises UsageError for a plan that cannot be carried out, TargetError if the app does not get ready.
    """
    wishes = wishes or Wishes()
    check(plan, wishes.allow_remote)
    ground = ground_of(plan, wishes.environ)
    gaps = [*wishes.gaps, *ground.gaps, *await check_reachable(ground)]
    run = Run(
        tool=TOOL,
        target=plan.name or plan.app.command,
        plan=plan,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        unexercised=wishes.unexercised,
        machine=_machine(),
    )
    phases: list[Phase] = []
    interrupted = False
    with _set_up(plan, wishes, ground, audience, tools or Tools()) as stage:
        for repeat, fault in _phases(plan, healthy=wishes.healthy):
            try:
                phase, interrupted = await _play(stage, fault, repeat, phases, gaps)
            except asyncio.CancelledError:
                here_it_ends()
                interrupted = True
                gaps.append(
                    f"the run was interrupted in the phase {title_of(fault)!r}, which is left out"
                )
                break
            phases.append(phase)
            audience.ends(phase)
            if interrupted:
                gaps.append(
                    f"the run was interrupted in the phase {phase.name!r}: it is shorter than planned"
                )
                break
        gaps += stage.notes
    played = replace(run, phases=tuple(phases), gaps=tuple(gaps), interrupted=interrupted)
    upstreams = {name: tuple(map(str, found)) for name, found in ground.upstreams.items()}
    return concluded(played, wishes.source, upstreams)


def title_of(fault: Fault | None) -> str:
    return fault.title if fault else HEALTHY


def _machine() -> dict[str, str]:
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return {**machine(), "load": busy}


def _phases(plan: Plan, *, healthy: bool) -> Iterator[tuple[int, Fault | None]]:
    faults: list[Fault | None] = [*plan.faults]
    if healthy or not faults:
        faults.insert(0, None)
    for repeat in range(max(1, plan.repeat)):
        for fault in faults:
            yield repeat, fault


@contextmanager
def _set_up(
    plan: Plan, wishes: Wishes, ground: Ground, audience: Audience, tools: Tools
) -> Iterator[_Stage]:
    notes: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="unstall-prove-", ignore_cleanup_errors=True) as folder,
        tools.chaos(plan.seed, on_note=notes.append) as made,
        quiet_gc(),
    ):
        proxies = {name: made.proxy(name, found) for name, found in ground.upstreams.items()}
        env = dict(ground.env)
        names: dict[str, str] = {}
        for name, proxy in proxies.items():
            env = rewritten(name, env, proxy.addresses)
            names |= {
                f"{host}:{port}": str(real)
                for (host, port), real in zip(proxy.addresses, ground.upstreams[name], strict=True)
            }
        env["UNSTALL_ROOT"] = str(wishes.root or folder_of(plan))
        env.setdefault("UNSTALL_SLOW_MS", _SLOW_MS)
        env.setdefault("UNSTALL_PULSE_S", "1")  # lag is shown second by second
        yield _Stage(
            plan, wishes, ground, env, proxies, names, Path(folder), audience, tools, notes, []
        )


async def _play(
    stage: _Stage, fault: Fault | None, repeat: int, before: Sequence[Phase], gaps: list[str]
) -> tuple[Phase, bool]:
    """One phase, and whether it was cut short; `gaps` takes what there is to say beside."""
    plan, name = stage.plan, title_of(fault)
    stage.audience.begins(name, seconds_of(plan.scenarios, plan.witness))
    record = stage.folder / f"{len(before)}.jsonl"
    hear = _hearing(stage)
    async with stage.tools.start(
        plan.app, stage.env, folder=folder_of(plan), record=record, hear=hear
    ) as app:
        if plan.faults and not before:
            ask = partial(stage.tools.ask, app.url, stage.witness.path)
            ill = {each.upstream: stage.proxies[each.upstream] for each in plan.faults}
            stage.asked.extend(await asked_by(ask, ill))
            gaps += (no_bystander(stage.witness.path, each) for each in stage.asked)
        loaded, exchanges, cut_short = await _loaded(stage, app, fault, repeat)
        ended = app.process.ended
    if ended:
        gaps.append(f"{name}: {ended}")
    recording = read_behind(record, stage.names)
    healthy = next((p for p in before if p.fault is None and p.repeat == repeat), None)
    entries = entries_under_load(recording, loaded.from_ns)
    report = replace(report_of(recording, name), entries=entries)
    verdict, because = judge(
        loaded.outcome,
        fault,
        healthy,
        exchanges,
        _watched(stage, fault, report, loaded),
        _doubt(stage, fault, ended),
    )
    if ended and fault is not None:
        if verdict is WitnessVerdict.ISOLATED:
            verdict = WitnessVerdict.NOT_ENOUGH_DATA
        because += f"; {ended}"
    phase = Phase(
        name=name,
        fault=fault,
        outcome=loaded.outcome,
        report=report,
        verdict=verdict,
        because=because,
        ended=ended,
        from_ns=loaded.from_ns,
        seconds=loaded.seconds,
        lag=lag_by_second(recording.pulses, loaded.from_ns),
        exchanges=exchanges,
        repeat=repeat,
    )
    return phase, cut_short


def _doubt(stage: _Stage, fault: Fault | None, ended: str) -> str:
    """Why the witness can say nothing; an app that ends without a fault has frozen nobody."""
    if fault is None:
        return ended
    asks = fault.upstream in stage.asked
    return no_bystander(stage.witness.path, fault.upstream) if asks else ""


def _watched(stage: _Stage, fault: Fault | None, report: Report, loaded: Loaded) -> Watched:
    found = stage.ground.upstreams[fault.upstream] if fault else ()
    return Watched(report.stalls, loaded.from_ns, loaded.seconds, tuple(map(str, found)))


async def _loaded(
    stage: _Stage, app: App, fault: Fault | None, repeat: int
) -> tuple[Loaded, tuple[Exchanges, ...], bool]:
    plan, witness = stage.plan, stage.witness
    send = partial(
        stage.tools.load,
        app.url,
        seed=plan.seed + repeat,
        in_flight=plan.in_flight,
        drain_s=_DRAIN_S,
        folder=folder_of(plan),
    )
    await send(warm_up(plan.scenarios), witness, processes=1, progress=None, stop=asyncio.Event())
    for proxy in stage.proxies.values():
        proxy.counts(reset=True)
    try:
        if fault is not None:
            stage.proxies[fault.upstream].put(fault)
        loaded, cut_short = await until_stopped(
            partial(
                send,
                plan.scenarios,
                witness,
                processes=stage.wishes.processes,
                progress=stage.audience.advances,
            )
        )
        return loaded, tuple(proxy.counts() for proxy in stage.proxies.values()), cut_short
    finally:  # the calls that hang end now, so that the app can end well
        for proxy in stage.proxies.values():
            proxy.clear()


def _hearing(stage: _Stage) -> Callable[[str], None]:
    def hear(line: str) -> None:
        if line.startswith("unstall:"):  # the rest is the app's own, and kept for a failure
            stage.audience.hears(renamed(line, stage.names))

    return hear
