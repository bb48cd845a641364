"""Open-model load: requests leave when they are due, whether or not the earlier ones were answered.

A closed loop, where a user waits for an answer before the next request, sends less the slower the
server is, and so measures a frozen one while nobody asks it anything (coordinated omission). Here
the schedule stands before the run, and latency counts from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from unstall.clock import NS_PER_S, Clock, SystemClock
from unstall.errors import UsageError
from unstall.load.arrivals import constant
from unstall.load.outcome import StreamBuilder
from unstall.load.pacing import cancel_all, drain, glance_at, sleep_until, with_progress
from unstall.load.sender import Sender, rehearse
from unstall.model.outcome import Outcome, Progress

# Between the call and the first due send: time to open what has to be open.
_LEAD_NS = NS_PER_S // 20


@dataclass(frozen=True, slots=True)
class Stream:
    """The same request, sent at each of `offsets` (ns after the start).

    `X-Scenario` carries the name unless `headers` say otherwise. With `fresh` every request has a
    new connection.
    """

    name: str
    method: str
    path: str
    offsets: Sequence[int]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    fresh: bool = False


def witness(path: str, rate: float, seconds: float, name: str = "witness") -> Stream:
    """What a bystander feels: `GET path` at a fixed rate per second, each on a new connection."""
    return Stream(name, "GET", path, constant(rate, seconds), fresh=True)


async def run(
    base_url: str,
    streams: Sequence[Stream],
    *,
    timeout_s: float = 30.0,
    in_flight: int = 5_000,
    drain_s: float = 5.0,
    progress: Callable[[Progress], None] | None = None,
    progress_s: float = 1.0,
    clock: Clock | None = None,
) -> Outcome:
    """Send every stream as planned and return what came back.

    timeout_s   given up after so long, counted from the real send
    in_flight   per stream: with so many open, what is due is dropped and counted
    drain_s     after the last due send, how long answers may still come; the rest is unanswered
    progress    called every `progress_s` on this loop, so it must be quick

    Raises `UsageError` for a URL that cannot be used, `MissingExtra` without httpx2.
    """
    clock = clock or SystemClock()
    _check_names(streams)
    async with AsyncExitStack() as stack:
        senders = [
            await stack.enter_async_context(_sender(base_url, stream, timeout_s, clock))
            for stream in streams
        ]
        await rehearse(clock)
        start_ns = clock.monotonic_ns() + _LEAD_NS
        await with_progress(
            _send_all(senders, _plan(streams, start_ns), in_flight, drain_s, clock),
            lambda: glance_at(senders, clock.monotonic_ns() - start_ns),
            progress,
            progress_s,
        )
        return Outcome(tuple(sender.tally.freeze() for sender in senders))


def _check_names(streams: Sequence[Stream]) -> None:
    names = [stream.name for stream in streams]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two streams have the name {twice[0]!r}; give each its own")


def _sender(base_url: str, stream: Stream, timeout_s: float, clock: Clock) -> Sender:
    return Sender(
        StreamBuilder(stream.name),
        method=stream.method,
        url=base_url.rstrip("/") + "/" + stream.path.lstrip("/"),
        headers=stream.headers,
        body=stream.body,
        timeout_s=timeout_s,
        clock=clock,
        fresh=stream.fresh,
    )


def _plan(streams: Sequence[Stream], start_ns: int) -> list[tuple[int, int]]:
    """Every send of every stream in order of time: `(intended_ns, index of the stream)`."""
    return sorted(
        (start_ns + offset, index)
        for index, stream in enumerate(streams)
        for offset in stream.offsets
    )


async def _send_all(
    senders: Sequence[Sender],
    plan: Sequence[tuple[int, int]],
    in_flight: int,
    drain_s: float,
    clock: Clock,
) -> None:
    open_requests: set[asyncio.Task[None]] = set()
    try:
        for intended_ns, index in plan:
            await sleep_until(intended_ns, clock)
            sender = senders[index]
            sender.tally.due += 1
            if sender.in_flight >= in_flight:
                sender.tally.dropped += 1
                continue
            task = asyncio.create_task(sender.send(intended_ns))
            open_requests.add(task)
            task.add_done_callback(open_requests.discard)
        await drain(open_requests, drain_s)
    finally:
        await cancel_all(open_requests)
