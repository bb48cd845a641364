"""A load, carried out: the app is there, requests are sent, and a signal ends it early with what there is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from unstall.cli.load_order import Order
from unstall.cli.signals import heard
from unstall.clock import NS_PER_S
from unstall.load import run_scenarios
from unstall.load.machine import machine
from unstall.load.phase import phase_of, unwatched
from unstall.load.shards import OF_THE_WHOLE, START
from unstall.model.observation import Pulse
from unstall.model.outcome import Progress
from unstall.model.plan import Threshold
from unstall.model.proof import SHARD, Phase, Run
from unstall.model.report import Report
from unstall.prove.traffic import here_it_ends
from unstall.report.terminal import complain
from unstall.triage.thresholds import from_outside, judge
from unstall.triage.verdict import worst_of
from unstall.version import TOOL


class Ending:
    """The first signal ends the load and keeps what there is; the next one ends all."""

    def __init__(self) -> None:
        self.code = 0
        self.stop = asyncio.Event()
        self.loading = False

    def listening(self) -> AbstractContextManager[None]:
        task = asyncio.current_task()
        assert task is not None
        return heard(partial(self._hear, task), signal.SIGINT, signal.SIGTERM)

    def _hear(self, task: asyncio.Task[object], number: int) -> None:
        if self.stop.is_set() or not self.loading:
            task.cancel()
        self.code = self.code or 128 + number
        self.stop.set()


async def carried_out(order: Order, ending: Ending) -> Run:
    with ending.listening():
        return await _carried_out(order, ending)


async def _carried_out(order: Order, ending: Ending) -> Run:
    plan = order.plan
    phases: list[Phase] = []
    started = datetime.now(UTC).isoformat(timespec="seconds")
    for repeat in range(plan.repeat):
        try:
            phases.append(await _play(order, ending, repeat))
        except asyncio.CancelledError:
            if not phases:
                raise
            here_it_ends()
        if ending.stop.is_set():
            break
    thresholds, gaps = _deciding(order)
    return Run(
        tool=TOOL,
        target=plan.name or order.target,
        plan=plan,
        started=started,
        phases=tuple(phases),
        thresholds=judge(thresholds, phases),
        verdict=worst_of(each.verdict for each in phases),
        gaps=gaps,
        interrupted=ending.stop.is_set(),
        machine=machine_of(order),
    )


async def _play(order: Order, ending: Ending, repeat: int) -> Phase:
    plan = order.plan
    async with app(order) as (url, watched):
        ending.loading = True
        with progress_line() as told:
            loaded = await run_scenarios(
                url, plan.scenarios, plan.witness,
                seed=plan.seed + repeat, in_flight=plan.in_flight, processes=order.processes,
                drain_s=order.drain, progress=told, client=order.client, share=order.share,
                folder=order.folder, start_ns=_start_ns(order.start), stop=ending.stop,
            )  # fmt: skip
        ending.loading = False
    seen = watched()
    return phase_of(loaded, seen.report, repeat, seen.pulses, seen.ended)


class Watched(NamedTuple):
    """What the app's monitor has seen."""

    report: Report
    pulses: tuple[Pulse, ...] = ()
    ended: str = ""
    """That it ended while it was asked, as a sentence."""


@asynccontextmanager
async def app(order: Order) -> AsyncIterator[tuple[str, Callable[[], Watched]]]:
    """Where the app is, and what is to be asked after the block for what its monitor has seen.

    An app that runs already has no monitor of ours.
    """
    if order.url:
        yield order.url, lambda: Watched(unwatched(order.target))
        return
    from unstall.explain.report import report_of
    from unstall.model.recording import read
    from unstall.prove.app import started

    plan = order.plan.app
    seen: list[Watched] = []
    with tempfile.TemporaryDirectory(prefix="unstall-load-") as folder:
        record = Path(folder) / "app.jsonl"
        place = order.folder / plan.folder
        env = {**os.environ, "UNSTALL_ROOT": str(place.resolve()), **plan.env}
        env.setdefault("UNSTALL_PULSE_S", "1")  # lag is told by the second
        async with started(plan, env, folder=place, record=record, hear=_pass_on) as running:
            yield running.url, seen.pop
            ended = running.process.ended
        recording = read(record)
        seen.append(Watched(report_of(recording, order.target), recording.pulses, ended))


def _pass_on(line: str) -> None:
    complain(line)


@contextmanager
def progress_line() -> Iterator[Callable[[Progress], None] | None]:
    """A line on standard error that is written over, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return

    def told(progress: Progress) -> None:
        line = (
            f"{max(0, progress.elapsed_ns) // NS_PER_S:>4} s  {progress.due} due  "
            f"{progress.answered} answered  {progress.in_flight} open"
        )
        sys.stderr.write(f"\r{line:<70}")
        sys.stderr.flush()

    try:
        yield told
    finally:
        sys.stderr.write(f"\r{'':<70}\r")
        sys.stderr.flush()


def _deciding(order: Order) -> tuple[tuple[Threshold, ...], tuple[str, ...]]:
    """The thresholds that can be held here, and why others cannot."""
    thresholds = order.plan.thresholds
    if order.share is not None:
        return (), (OF_THE_WHOLE,) if thresholds else ()
    return from_outside(thresholds) if order.url else (thresholds, ())


def _start_ns(start: datetime | None) -> int | None:
    """On the monotonic clock, as it and the wall's stand now."""
    if start is None:
        return None
    return time.monotonic_ns() + round((start.timestamp() - time.time()) * NS_PER_S)


def machine_of(order: Order) -> dict[str, str]:
    told = machine()
    if order.share is not None:
        told[SHARD] = f"{order.share.which + 1}/{order.share.of}"
    if order.start is not None:
        told[START] = order.start.isoformat()
    return told
