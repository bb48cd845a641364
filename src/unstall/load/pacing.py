"""Small helpers that open- and closed-model load share: wait, report, end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from unstall.clock import NS_PER_S, Clock
from unstall.load.sender import Sender
from unstall.model.outcome import Progress

_GLANCE_S = 0.005


async def sleep_until(at_ns: int, clock: Clock) -> None:
    """Sleep until a moment of the clock; when it is past, still let the others run once."""
    await asyncio.sleep(max(0, at_ns - clock.monotonic_ns()) / NS_PER_S)


@contextmanager
def quiet_gc() -> Iterator[None]:
    """No full garbage collection inside: with 1,500 requests open one takes a tenth of a second.

    It changes the whole process, so it is for the one who owns it (a command), around all its runs.
    Young generations are still collected; the rest waits until the end.
    """
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)


async def drain(
    senders: Sequence[Sender], seconds: float, stop: asyncio.Event | None = None
) -> None:
    """Give open requests up to `seconds` to end, or until `stop` is set."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while any(sender.in_flight for sender in senders) and loop.time() < end:
        if stop is not None and stop.is_set():
            return
        await asyncio.sleep(_GLANCE_S)


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    rest = list(tasks)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


async def with_progress(
    work: Awaitable[None],
    glance: Callable[[], Progress],
    report: Callable[[Progress], None] | None,
    every_s: float,
) -> None:
    """Await `work` and call `report` meanwhile; what `report` raises is raised in the end."""

    async def tick() -> None:
        while report is not None:
            await asyncio.sleep(every_s)
            report(glance())

    ticker = asyncio.create_task(tick())
    try:
        await work
    finally:
        ticker.cancel()
        await asyncio.wait({ticker})
    if not ticker.cancelled():
        ticker.result()


def glance_at(senders: Sequence[Sender], elapsed_ns: int) -> Progress:
    tallies = [sender.tally for sender in senders]
    return Progress(
        elapsed_ns=elapsed_ns,
        due=sum(tally.due for tally in tallies),
        sent=sum(tally.sent for tally in tallies),
        answered=sum(tally.answered for tally in tallies),
        in_flight=sum(sender.in_flight for sender in senders),
    )
