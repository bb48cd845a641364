"""A plan's scenarios and its witness, as one run on one machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unstall.clock import NS_PER_S, Clock, SystemClock
from unstall.errors import UsageError
from unstall.load.arrivals import stepped
from unstall.load.engine import LEAD_NS, Generator, Limits, Share, Stream, check_client, requests_of
from unstall.load.place import Place
from unstall.load.workers import Job, worked
from unstall.model.outcome import Outcome, Progress
from unstall.model.plan import Arrivals, Scenario, Stage, WitnessPlan
from unstall.model.proof import WITNESS
from unstall.triage.thresholds import LOOP

_ANYWHERE = Place("http", "localhost", 80)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came back from a run."""

    outcome: Outcome
    from_ns: int
    """When its first second began, on the monotonic clock."""
    seconds: float
    """Of load: as planned, or until it was stopped."""
    interrupted: bool = False


async def run_scenarios(
    base_url: str,
    scenarios: Sequence[Scenario],
    witness: WitnessPlan,
    *,
    seed: int = 0,
    in_flight: int = 5_000,
    processes: int = 1,
    drain_s: float = 5.0,
    progress: Callable[[Progress], None] | None = None,
    progress_s: float = 0.5,
    clock: Clock | None = None,
    client: str = "unstall",
    share: Share | None = None,
    folder: Path | None = None,
    start_ns: int | None = None,
    stop: asyncio.Event | None = None,
) -> Loaded:
    """All scenarios side by side, and the witness in the stream of that name.

    processes   so many more send the scenarios; this one then sends the witness alone
    share       of all requests, those that are ours; other machines send the rest
    folder      where the modules of flows lie
    start_ns    on the monotonic clock; None: at once
    stop        when it is set, the run ends and what came until then is returned

    The schedule, and what is filled in, follow from `seed` alone: not from `processes` or `share`.
    Raises `UsageError` for what cannot be sent, `MissingExtra` without the client.
    """
    clock = clock or SystemClock()
    check_client(client)
    seconds = seconds_of(scenarios, witness)
    share = share or Share()
    limits = Limits(in_flight=in_flight, drain=drain_s)
    own = [witness_stream(witness, seconds, seed)] if witness.rate else []
    job = Job(base_url, tuple(scenarios), seed, limits, share, client, str(folder or Path()))
    streams = streams_of(scenarios, seed) + own
    if processes == 1:
        async with Generator(
            base_url, streams, limits, share=share, client=client, folder=folder, clock=clock
        ) as generator:
            from_ns = start_ns or clock.monotonic_ns() + LEAD_NS
            await generator.run(from_ns, stop=stop, progress=progress, progress_s=progress_s)
            outcome = generator.outcome()
    else:
        outcome, from_ns = await worked(
            job, own, processes,
            progress=progress, progress_s=progress_s, clock=clock, start_ns=start_ns, stop=stop,
        )  # fmt: skip
    stopped = stop is not None and stop.is_set()
    if stopped:
        seconds = min(seconds, max(0.0, (clock.monotonic_ns() - from_ns) / NS_PER_S))
    return Loaded(outcome, from_ns, seconds, stopped)


def check(scenarios: Sequence[Scenario], witness: WitnessPlan) -> None:
    """Makes every request once. Raises UsageError for what cannot be sent, before anything is started."""
    seconds = seconds_of(scenarios, witness)
    for stream in (*streams_of(scenarios, 0), witness_stream(witness, seconds, 0)):
        if not stream.call:
            requests_of(stream, _ANYWHERE)


def seconds_of(scenarios: Sequence[Scenario], witness: WitnessPlan) -> float:
    """That the longest scenario takes. Raises UsageError for what is no load."""
    for scenario in scenarios:
        if scenario.name in (WITNESS, LOOP):  # thresholds mean something else by them
            raise UsageError(
                f"a scenario has the name {scenario.name!r}, which is taken: give it another"
            )
        if not scenario.stages:
            raise UsageError(
                f"scenario {scenario.name!r} has no stages: give it a rate and seconds"
            )
    if not scenarios:
        raise UsageError("there is no scenario to send: give one, with a request and stages")
    if not 0 <= witness.rate <= 1_000:
        raise UsageError(f"the rate of the witness is {witness.rate:g}: give 0 to 1000 a second")
    return max(stepped(scenario.stages).seconds for scenario in scenarios)


def streams_of(scenarios: Sequence[Scenario], seed: int) -> list[Stream]:
    return [
        Stream(
            name=each.name,
            method=each.method,
            path=each.path,
            offsets=stepped(each.stages, each.arrivals, f"{seed} {each.name}"),
            headers=each.headers,
            body=each.body,
            seed=seed,
            timeout_s=each.timeout,
            examples=each.examples,
            call=each.call,
        )
        for each in scenarios
    ]


def witness_stream(plan: WitnessPlan, seconds: float, seed: int) -> Stream:
    offsets = stepped((Stage(plan.rate, seconds),), Arrivals.CONSTANT)
    return Stream(WITNESS, "GET", plan.path or "/", offsets, fresh=True, seed=seed)
