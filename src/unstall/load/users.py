"""Closed-model load: people who wait for an answer, think, and ask again.

This is the shape of a classic load test, and of its blind spot: while the server is frozen its
users wait, so hardly anything is asked. It is here to replay such a test, not to judge a service.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from unstall.clock import NS_PER_S, Clock, SystemClock
from unstall.errors import UsageError
from unstall.load.connection import Connections
from unstall.load.outcome import StreamBuilder
from unstall.load.pacing import cancel_all, glance_at, sleep_until, with_progress
from unstall.load.place import place_of
from unstall.load.recipe import Recipe
from unstall.load.rehearsal import rehearse
from unstall.load.sender import WireSender
from unstall.model.outcome import Outcome, Progress


@dataclass(frozen=True, slots=True)
class Crowd:
    """`users` people, `spawn_rate` more per second, who ask the same thing for `seconds`.

    Each starts at once, then waits between the two ends of `wait_s` (uniform, seeded) after every
    answer or time-out.
    """

    name: str
    path: str
    users: int = 500
    spawn_rate: float = 50.0
    seconds: float = 300.0
    wait_s: tuple[float, float] = (1.0, 5.0)
    seed: int = 0
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


async def run_users(
    base_url: str,
    crowd: Crowd,
    *,
    timeout_s: float = 30.0,
    drain_s: float = 5.0,
    progress: Callable[[Progress], None] | None = None,
    progress_s: float = 1.0,
    clock: Clock | None = None,
) -> Outcome:
    """Let the crowd loose and return what came back, in one stream of its name.

    A request is meant to leave when its user has waited enough, so what a frozen server keeps its
    users from asking is in no figure. Arguments and errors are those of `engine.run`.
    """
    clock = clock or SystemClock()
    if crowd.users < 0 or crowd.spawn_rate <= 0 or not 0 <= crowd.wait_s[0] <= crowd.wait_s[1]:
        raise UsageError(
            "a crowd needs users from 0 up, a spawn rate above 0 and a wait from low to high, "
            f"not {crowd.users}, {crowd.spawn_rate} and {crowd.wait_s}"
        )
    place = place_of(base_url)
    requests = Recipe.of(
        place, name=crowd.name, method=crowd.method, path=crowd.path, headers=crowd.headers,
        seed=crowd.seed,
    )  # fmt: skip
    tls = ssl.create_default_context() if place.scheme == "https" else None
    addresses = await place.addresses()
    await rehearse(clock)
    start_ns = clock.monotonic_ns()
    sender = WireSender(
        StreamBuilder(crowd.name, start_ns),
        requests,
        Connections(place, addresses, tls=tls, now_ns=clock.monotonic_ns),
        timeout_s=timeout_s, in_flight=crowd.users + 1, clock=clock,
    )  # fmt: skip
    try:
        await with_progress(
            _let_loose(sender, crowd, start_ns, drain_s, clock),
            lambda: glance_at([sender], clock.monotonic_ns() - start_ns),
            progress,
            progress_s,
        )
    finally:
        sender.abandon()
        await sender.close()
    return Outcome((sender.tally.freeze(),))


async def _let_loose(
    sender: WireSender, crowd: Crowd, start_ns: int, drain_s: float, clock: Clock
) -> None:
    end_ns = start_ns + round(crowd.seconds * NS_PER_S)

    async def user(number: int) -> None:
        random = Random(f"{crowd.seed} {number}")  # of its own: no user changes another's waits
        next_ns = start_ns + round(number * NS_PER_S / crowd.spawn_rate)
        while next_ns < end_ns:
            await sleep_until(next_ns, clock)
            over = asyncio.Event()
            sender.leave(next_ns, sender.tally.due, over.set)
            await over.wait()
            next_ns = clock.monotonic_ns() + round(random.uniform(*crowd.wait_s) * NS_PER_S)

    users = [asyncio.create_task(user(number)) for number in range(crowd.users)]
    try:
        await sleep_until(end_ns, clock)
        if users:
            await asyncio.wait(users, timeout=drain_s)
    finally:
        await cancel_all(users)
