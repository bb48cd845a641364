"""Random calls, random ends: what a soak does to lanes, guards, deadlines and gates, and what must come back.

Everything is made on the loop that runs, so that nothing of an earlier soak is left in it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import sqlalchemy

from benchmarks.support.naps import fail, nap
from unstall import Deadline, Guard, Lane
from unstall.errors import LaneError, UsageError
from unstall.guard.guard import Route
from unstall.integrations.pools import Gates
from unstall.lanes.limits import Backend

CLIENTS = 24
SLOTS, QUEUE = 4, 8
IN_FLIGHT = 8
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Soaked:
    """What was done, and what had not come back when it was over; empty if all did."""

    done: Counter[str]
    missing: tuple[str, ...]


@dataclass(slots=True)
class Bench:
    """Everything that is soaked."""

    lanes: dict[str, Lane]
    guard: Guard
    pool: sqlalchemy.Pool
    gates: Gates
    done: Counter[str] = field(default_factory=Counter)


class Refused(Exception):
    """By what is soaked, as it should."""


# --- what is asked for ------------------------------------------------------------------------


def borrow(pool: sqlalchemy.Pool, seconds: float) -> None:
    connection = pool.connect()
    try:
        time.sleep(seconds)
    finally:
        connection.close()


def counted() -> Any:
    for number in range(5):
        time.sleep(0.001)
        yield number


async def call(bench: Bench, dice: Random) -> None:
    lane = bench.lanes[dice.choice(sorted(bench.lanes))]
    if dice.random() < 0.1:
        await lane.run(fail)
    await lane.run(nap, dice.random() * 0.02)


async def lend(bench: Bench, dice: Random) -> None:
    await bench.lanes["threads"].run(borrow, bench.pool, dice.random() * 0.01)


async def spread(bench: Bench, dice: Random) -> None:
    """Some of the results, and then away."""
    wanted = dice.randrange(6)
    async for _ in bench.lanes["threads"].map(nap, [0.002] * 5):
        wanted -= 1
        if wanted < 0:
            break


async def iterate(bench: Bench, dice: Random) -> None:
    wanted = dice.randrange(6)
    async for _ in bench.lanes["threads"].iterate(counted()):
        wanted -= 1
        if wanted < 0:
            break


async def request(bench: Bench, dice: Random) -> None:
    path = dice.choice(("/", "/", "/few", "/low", "/lane"))
    await asked(bench.guard, path, dice.random() * 0.06)


ASKS: tuple[Callable[[Bench, Random], Awaitable[None]], ...] = (
    call, call, lend, spread, iterate, request, request,
)  # fmt: skip


async def asked(app: Any, path: str, seconds: float) -> None:
    """One request; raises Refused for another answer than 200."""
    scope = {
        "type": "http", "method": "GET", "path": path, "root_path": "", "headers": [],
        "query_string": b"", "seconds": seconds,
    }  # fmt: skip
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3_600)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    if statuses != [200]:
        raise Refused(str(statuses))


def service(lanes: dict[str, Lane]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/lane":
            await lanes["threads"].run(nap, scope["seconds"])
        else:
            await asyncio.sleep(scope["seconds"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


# --- the soak ---------------------------------------------------------------------------------


async def soak(seconds: float, seed: int) -> Soaked:
    """Asks and cancels at random for so long, then waits for everything to come back."""
    threads_before = threading.active_count()
    with ExitStack() as stack:
        lanes = {
            "threads": stack.enter_context(Lane("soaked-threads", threads=SLOTS, queue=QUEUE)),
            "deadline": stack.enter_context(
                Lane("soaked-deadline", threads=SLOTS, queue=QUEUE, deadline=0.01)
            ),
            "processes": stack.enter_context(
                Lane("soaked-processes", processes=2, queue=QUEUE, deadline=2.0)
            ),
        }
        try:
            lanes["interpreters"] = stack.enter_context(
                Lane("soaked-interpreters", interpreters=2, queue=QUEUE)
            )
        except UsageError:
            pass  # this Python has none
        routes = {"/few": Route(in_flight=2), "/low": Route(priority="low")}
        app = Deadline(service(lanes), default=0.03, grace=0.01, told=lambda _: None)
        guard = Guard(
            app, in_flight=IN_FLIGHT, queue=QUEUE, queue_timeout=0.02, lag_ms=1_000, routes=routes
        )
        gates = stack.enter_context(Gates())
        pool = sqlalchemy.QueuePool(_connect, pool_size=2, max_overflow=1, timeout=0.02)
        bench = Bench(lanes, guard, pool, gates)
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(_client(bench, Random(seed * 1_000 + number), end))
        missing = [*await _held(bench), *await _unusable(bench)]
        pool.dispose()
    await _until(lambda: threading.active_count() <= threads_before)
    more = threading.active_count() - threads_before
    if more > 0:
        missing.append(f"{more} threads: {sorted(t.name for t in threading.enumerate())}")
    return Soaked(bench.done, tuple(missing))


class Connection:
    """As much of one as SQLAlchemy's pool asks for."""

    def rollback(self) -> None: ...

    def close(self) -> None: ...


def _connect() -> Any:
    return Connection()


async def _client(bench: Bench, dice: Random, end: float) -> None:
    while time.monotonic() < end:
        ask = dice.choice(ASKS)
        task = asyncio.ensure_future(ask(bench, dice))
        if dice.random() < 0.5:
            await asyncio.sleep(dice.random() * 0.02)
            task.cancel()
        try:
            await task
            bench.done[f"{ask.__name__} done"] += 1
        except asyncio.CancelledError:
            bench.done[f"{ask.__name__} cancelled"] += 1
        except (LaneError, Refused, LookupError, sqlalchemy.exc.TimeoutError):
            bench.done[f"{ask.__name__} refused"] += 1
        if dice.random() < 0.3:
            await asyncio.sleep(0.005)


async def _held(bench: Bench) -> list[str]:
    """What is still taken although nobody asks any more."""

    def taken() -> list[str]:
        found = []
        for name, lane in bench.lanes.items():
            seen = lane.statistics()
            if seen.running or seen.queued or seen.abandoned:
                found.append(
                    f"lane {name}: {seen.running} running, {seen.queued} queued, {seen.abandoned}"
                )
        guard = bench.guard.statistics()
        if guard.in_flight or guard.queued:
            found.append(f"guard: {guard.in_flight} in flight, {guard.queued} queued")
        routes = [known.lot.in_flight for known in bench.guard._known]
        if any(routes):
            found.append(f"slots of routes: {routes}")
        if not bench.gates.statistics():
            found.append("gates: saw no pool")
        if bench.gates.lent():
            found.append(f"gates: {bench.gates.lent()}")
        if bench.pool.checkedout():  # type: ignore[attr-defined]
            found.append(f"pool: {bench.pool.status()}")
        return found

    await _until(lambda: not taken())
    return taken()


async def _unusable(bench: Bench) -> list[str]:
    """Lanes and guards of which not all slots can be used at the same time."""
    found = []
    for name, lane in bench.lanes.items():
        found += [f"lane {name}: {said}" for said in await _all_at_once(lane, name == "deadline")]
    answers = [asked(bench.guard, "/", 0.01) for _ in range(IN_FLIGHT)]
    refused = [e for e in await asyncio.gather(*answers, return_exceptions=True) if e is not None]
    if refused:
        found.append(f"guard: not all {IN_FLIGHT} slots work: {refused[0]!r}")
    return found


async def _all_at_once(lane: Lane, leaves: bool) -> list[str]:
    """Calls for all slots; threads end when as many have met. `leaves` for a lane that gives up before."""
    before = lane.statistics()
    met = threading.Barrier(before.workers)
    threads = before.backend == Backend.THREADS
    work: Callable[[], object] = partial(met.wait, 5) if threads else partial(nap, 0.005)
    works = [lane.run(work) for _ in range(before.workers)]
    results = await asyncio.gather(*works, return_exceptions=True)
    worked = before.worked.count + before.workers
    await _until(lambda: lane.statistics().worked.count >= worked)
    failed = [each for each in results if isinstance(each, BaseException) and not leaves]
    if met.broken or failed or lane.statistics().worked.count < worked:
        return [f"not all {before.workers} slots work: {failed}"]
    return []


async def _until(holds: Callable[[], bool]) -> None:
    """Or until patience is over; the loop runs meanwhile."""
    end = time.monotonic() + _PATIENCE_S
    while not holds() and time.monotonic() < end:
        await asyncio.sleep(0.02)
