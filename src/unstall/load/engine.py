"""Open-model load: requests leave when they are due, whether or not the earlier ones were answered.

A closed loop, where a user waits for an answer before the next request, sends less the slower the
server is, and so measures a frozen one while nobody asks it anything (coordinated omission). Here
the schedule stands before the run, and latency counts from it.
"""

from __future__ import annotations

import asyncio
import heapq
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from unstall.clock import NS_PER_S, Clock, SystemClock
from unstall.errors import UsageError
from unstall.load.arrivals import constant
from unstall.load.connection import Connections
from unstall.load.flow_sender import FlowSender
from unstall.load.flows import flow_named
from unstall.load.httpx_sender import HttpxSender, client_library
from unstall.load.outcome import StreamBuilder
from unstall.load.pacing import drain, glance_at, with_progress
from unstall.load.place import Place, place_of
from unstall.load.pump import Due, Pump
from unstall.load.recipe import InTurn, Recipe, Requests
from unstall.load.rehearsal import rehearse
from unstall.load.sender import Sender, WireSender
from unstall.load.templates import escaped
from unstall.model.outcome import Outcome, Progress
from unstall.model.plan import Example

# Between the call and the first due send: time to open what has to be open.
LEAD_NS = NS_PER_S // 20
CLIENTS = ("unstall", "httpx2", "httpx")


@dataclass(frozen=True, slots=True)
class Stream:
    """A request, sent at each of `offsets` (ns after the start, ascending).

    `path`, `body` as text and the values of `headers` may hold `${...}`, see `templates`. `X-Scenario`
    carries the name unless `headers` say otherwise. With `fresh` every request has a new connection.
    """

    name: str
    method: str
    path: str
    offsets: Iterable[int]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes = b""
    fresh: bool = False
    seed: int = 0
    """Of what is filled in."""
    timeout_s: float | None = None
    """None: that of the run."""
    examples: tuple[Example, ...] = ()
    """Sent in turn, in place of path and body."""
    call: str = ""
    """`module:function`, a flow that makes the requests itself."""


@dataclass(frozen=True, slots=True)
class Share:
    """Of all requests of a run, those that this generator sends: numbers `which`, `which + of`, ..."""

    which: int = 0
    of: int = 1

    def split(self, into: int) -> tuple[Share, ...]:
        return tuple(Share(self.which + self.of * part, self.of * into) for part in range(into))


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a run may have open, and for how long. Durations in seconds."""

    timeout: float = 30.0
    """Given up after so long, counted from the real send; a stream may have its own."""
    in_flight: int = 5_000
    """Per stream: with so many open, what is due is dropped and counted."""
    drain: float = 5.0
    """After the last due send, how long answers may still come; the rest is unanswered."""


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
    client: str = "unstall",
) -> Outcome:
    """Send every stream as planned and return what came back.

    timeout_s   given up after so long, counted from the real send
    in_flight   per stream: with so many open, what is due is dropped and counted
    drain_s     after the last due send, how long answers may still come; the rest is unanswered
    progress    called every `progress_s` on this loop, so it must be quick
    client      one of `CLIENTS`

    Raises `UsageError` for a URL or a stream that cannot be used, `MissingExtra` without the client.
    """
    clock = clock or SystemClock()
    limits = Limits(timeout_s, in_flight, drain_s)
    async with Generator(base_url, streams, limits, clock=clock, client=client) as generator:
        start_ns = clock.monotonic_ns() + LEAD_NS
        await generator.run(start_ns, progress=progress, progress_s=progress_s)
        return generator.outcome()


class Generator:
    """Senders for some streams: made ready, run once, and asked for the outcome."""

    def __init__(
        self,
        base_url: str,
        streams: Sequence[Stream],
        limits: Limits,
        *,
        share: Share | None = None,
        client: str = "unstall",
        folder: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`folder` is where modules of flows lie. Raises `UsageError`."""
        _check_names(streams)
        check_client(client)
        self._url = base_url
        self._place = place_of(base_url)
        self._streams = streams
        self._limits = limits
        self._share = share or Share()
        self._client = client
        self._clock = clock or SystemClock()
        self._flows = {each.name: flow_named(each.call, folder) for each in streams if each.call}
        self._requests = {
            each.name: requests_of(each, self._place) for each in streams if not each.call
        }
        self._senders: list[Sender] = []
        self._stack = AsyncExitStack()
        self._start_ns = 0

    async def __aenter__(self) -> Generator:
        """Everything that takes time is done, so that no measured request pays for it."""
        if self._streams:
            self._addresses = await self._place.addresses()
            self._tls = ssl.create_default_context() if self._place.scheme == "https" else None
            await rehearse(self._clock)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(
        self,
        start_ns: int,
        *,
        stop: asyncio.Event | None = None,
        progress: Callable[[Progress], None] | None = None,
        progress_s: float = 1.0,
    ) -> None:
        """Returns when all is sent and answered or given up, or soon after `stop` is set."""
        self._start_ns = start_ns
        for stream in self._streams:
            sender = self._sender(stream)
            self._senders.append(sender)
            self._stack.push_async_callback(sender.close)
        try:
            await with_progress(self._send_all(start_ns, stop), self.glance, progress, progress_s)
        finally:
            for sender in self._senders:
                sender.abandon()
            await self._stack.aclose()

    def glance(self) -> Progress:
        return glance_at(self._senders, self._clock.monotonic_ns() - self._start_ns)

    def outcome(self) -> Outcome:
        streams = []
        for sender in self._senders:
            streams.append(sender.tally.freeze())
            if isinstance(sender, FlowSender):
                streams += [step.freeze() for step in sender.steps]
        return Outcome(tuple(streams))

    async def _send_all(self, start_ns: int, stop: asyncio.Event | None) -> None:
        pump = Pump(self._plan(start_ns), self._senders, self._clock)
        await pump.run(stop)
        if stop is None or not stop.is_set():
            await drain(self._senders, self._limits.drain, stop)

    def _plan(self, start_ns: int) -> Iterator[Due]:
        """Every send of every stream that is ours, in order of time."""
        return heapq.merge(
            *(
                _due(stream.offsets, start_ns, which, self._share)
                for which, stream in enumerate(self._streams)
            )
        )

    def _sender(self, stream: Stream) -> Sender:
        limits, clock = self._limits, self._clock
        tally = StreamBuilder(stream.name, self._start_ns)
        timeout_s = limits.timeout if stream.timeout_s is None else stream.timeout_s
        most = -(-limits.in_flight // self._share.of)
        if stream.name not in self._flows and self._client != "unstall":
            return HttpxSender(
                tally, self._requests[stream.name], self._url,
                library=self._client, timeout_s=timeout_s, in_flight=most, fresh=stream.fresh,
                clock=clock,
            )  # fmt: skip
        connections = Connections(
            self._place, self._addresses,
            fresh=stream.fresh, tls=self._tls, now_ns=clock.monotonic_ns,
        )  # fmt: skip
        if flow := self._flows.get(stream.name):
            return FlowSender(
                tally, flow, self._place, connections,
                headers=stream.headers, seed=stream.seed, timeout_s=timeout_s, in_flight=most,
                clock=clock,
            )  # fmt: skip
        return WireSender(
            tally, self._requests[stream.name], connections,
            timeout_s=timeout_s, in_flight=most, clock=clock,
        )  # fmt: skip


def check_client(name: str) -> None:
    """Raises `UsageError` for one that there is not, `MissingExtra` for one that is not installed."""
    if name not in CLIENTS:
        raise UsageError(f"the client is {name!r}: give {', '.join(CLIENTS)}")
    if name != CLIENTS[0]:
        client_library(name)


def _check_names(streams: Sequence[Stream]) -> None:
    names = [stream.name for stream in streams]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two streams have the name {twice[0]!r}; give each its own")


def requests_of(stream: Stream, place: Place) -> Requests:
    """Of a stream without a flow. Raises UsageError for what makes no request."""
    if not stream.examples:
        return Recipe.of(
            place, name=stream.name, method=stream.method, path=stream.path,
            headers=stream.headers, body=stream.body, seed=stream.seed,
        )  # fmt: skip
    recipes = []
    for each in stream.examples:  # nothing in them is a template; in the stream's headers it may be
        own = {name: escaped(value) for name, value in each.headers.items()}
        recipe = Recipe.of(
            place, name=stream.name, method=stream.method, path=escaped(each.path),
            headers={**own, **stream.headers}, body=each.content, seed=stream.seed,
        )  # fmt: skip
        recipes.append(recipe)
    return InTurn(tuple(recipes))


def _due(offsets: Iterable[int], start_ns: int, which: int, share: Share) -> Iterator[Due]:
    for number, offset in islice(enumerate(offsets), share.which, None, share.of):
        yield start_ns + offset, which, number
