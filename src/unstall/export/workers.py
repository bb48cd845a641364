"""All workers of a server at one moment, judged from what stands in their slots."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unstall.export import processes
from unstall.export.slot import LoopState, SlotState
from unstall.export.snapshot import WORKER, families_in, side_by_side, summed
from unstall.model.metric import Family, Kind, Sample

Read = Callable[[], Sequence[SlotState]]

_SILENT_NS = 2_000_000_000
"""A watchdog that can speak has said something by then."""
_UTILIZATION = "asyncio_eventloop_utilization_ratio"


class State(enum.StrEnum):
    ALIVE = "alive"
    STARTING = "starting"
    """Its loop is held up by imports or the lifespan, before the first request."""
    PAUSED = "paused"
    """It stands at a debugger's prompt."""
    STOPPED = "stopped"
    """The system does not let the process run: SIGSTOP, or a debugger from outside."""
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Worker:
    """One process with event loops. Times in seconds."""

    pid: int
    state: State
    lag_s: float
    """The largest of the last second or so; of a loop that stands still, for how long."""
    tick_age_s: float
    """Since the last beat of the loop that has been silent longest."""
    blocked_s: float
    """Age of the stall going on now, 0.0 without one."""
    silent: bool
    """No thread of it speaks: C code holds the interpreter lock, or the process is stopped."""
    words: Mapping[str, Any]
    """What is known of that stall; see `collect.words_of`. Empty if nothing is."""
    loops: int
    snapshot: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    workers: tuple[Worker, ...]
    families: tuple[Family, ...]
    at_s: float
    """Seconds since the epoch."""

    def stalls(self) -> list[tuple[int, Mapping[str, Any]]]:
        """The last ones that are over, with the worker's number, the newest first."""
        both = [(w.pid, stall) for w in self.workers for stall in w.snapshot.get("stalls", ())]
        return sorted(both, key=lambda each: float(each[1].get("at", 0)), reverse=True)


def look(
    read: Read, now: Callable[[], int] = time.monotonic_ns, wall_s: float | None = None
) -> View:
    """Reads twice if somebody looks frozen: who moved between is not."""
    states = read()
    at = now()
    if any(_late_ns(state, at) for state in states):
        states, at = read(), now()
    alive = [(state, processes.status(state.pid, state.started)) for state in states if state.loops]
    workers = tuple(_worker(state, status.stopped, at) for state, status in alive if status.alive)
    wall = time.time() if wall_s is None else wall_s
    written = [(state.pid, families_in(state.snapshot)) for state in states if state.snapshot]
    living = {worker.pid for worker in workers}
    gauges = _gauges({pid: families for pid, families in written if pid in living}, workers)
    families = (*_of_loops(workers, wall), *summed(each for _, each in written), *gauges)
    return View(workers, families, wall)


def _worker(state: SlotState, stopped: bool, now: int) -> Worker:
    oldest = min(state.loops, key=lambda loop: loop.last_ns)
    late = _late_ns(state, now)
    words = oldest.words if late and oldest.words else {}
    if stopped and late:
        judged = State.STOPPED
    elif not late:
        judged = State.ALIVE
    elif words.get("cause") == "paused":
        judged = State.PAUSED
    else:
        judged = State.STARTING if words.get("startup") else State.FROZEN
    worst = max(loop.worst_ns for loop in state.loops)
    return Worker(
        pid=state.pid,
        state=judged,
        lag_s=max(worst, late) / 1e9,
        tick_age_s=max(0, now - oldest.last_ns) / 1e9,
        blocked_s=late / 1e9,
        silent=late > _SILENT_NS and not words,
        words=words,
        loops=len(state.loops),
        snapshot=state.snapshot or {},
    )


def _late_ns(state: SlotState, now: int) -> int:
    """How late the next beat is, of the loop that waits longest for it; 0 up to the threshold."""

    def late(loop: LoopState) -> int:
        return now - loop.last_ns - state.interval_ns

    longest = max(map(late, state.loops), default=0)
    return longest if longest > state.threshold_ns else 0


def _of_loops(workers: Sequence[Worker], wall_s: float) -> list[Family]:
    """What siblings can say of a worker although no thread of it runs."""
    blocked = [Sample((str(w.pid),), w.blocked_s) for w in workers]
    ticks = [Sample((str(w.pid),), wall_s - w.tick_age_s) for w in workers]
    sites = [
        Sample((str(w.pid), str(w.words.get("cause", "unknown")),
                str(w.words.get("site", "")), str(w.words.get("entry", ""))), 1.0)
        for w in workers if w.blocked_s
    ]  # fmt: skip
    gauge = Kind.GAUGE
    return [
        Family("asyncio_eventloop_blocked_seconds", gauge,
               "Age of the stall of the event loop that goes on now.", (WORKER,), tuple(blocked)),
        Family("asyncio_eventloop_blocked_info", gauge, "What is to blame for the stall that goes on now.",
               (WORKER, "cause", "site", "entry"), tuple(sites)),
        Family("asyncio_eventloop_last_tick_timestamp_seconds", gauge,
               "When the event loop was last seen to run.", (WORKER,), tuple(ticks)),
    ]  # fmt: skip


def _gauges(live: Mapping[int, Sequence[Family]], workers: Sequence[Worker]) -> list[Family]:
    """A loop that has stood still for longer than a second was busy for all of it, whoever can say so."""
    stands = {(str(w.pid),) for w in workers if w.blocked_s > 1}
    families = []
    for family in side_by_side(live):
        if family.name == _UTILIZATION and stands:
            samples = tuple(
                Sample(s.labels, 1.0) if s.labels in stands else s for s in family.samples
            )
            family = Family(family.name, family.kind, family.help, family.labels, samples)  # noqa: PLW2901
        families.append(family)
    return families
