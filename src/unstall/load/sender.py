"""Requests of one stream, from the moment each was meant to leave to its place in the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from unstall.clock import NS_PER_S, Clock
from unstall.load.answer import Reader
from unstall.load.connection import Connections, Exchange
from unstall.load.outcome import SecondBuilder, StreamBuilder
from unstall.load.recipe import Requests

_SOONEST_S = 0.01


class Sender(Protocol):
    """What a schedule drives."""

    tally: StreamBuilder

    @property
    def in_flight(self) -> int: ...

    def leave(self, intended_ns: int, number: int) -> None:
        """Sends now what was meant to leave at `intended_ns`; returns at once and never raises."""

    def abandon(self) -> None:
        """What is still open counts as unanswered."""

    async def close(self) -> None: ...


class Sent(Exchange):
    """One request that is under way."""

    __slots__ = ("_sender", "intended_ns", "over", "second", "sent_ns")

    def __init__(
        self,
        sender: WireSender,
        data: bytes,
        intended_ns: int,
        sent_ns: int,
        second: SecondBuilder,
        over: Callable[[], None] | None,
    ) -> None:
        requests = sender.requests
        super().__init__(data, bodiless=requests.bodiless, repeatable=requests.repeatable)
        self._sender = sender
        self.intended_ns = intended_ns
        self.sent_ns = sent_ns
        self.second = second
        self.over = over

    def answered(self, reader: Reader) -> None:
        assert reader.head is not None
        self._sender.answered(self, reader.head.status)

    def failed(self, kind: str) -> None:
        self._sender.failed(self, kind)

    def repeated(self) -> None:
        self._sender.tally.resend()


class WireSender:
    """Over connections of our own. `in_flight`: with so many open, what is due is dropped."""

    def __init__(
        self,
        tally: StreamBuilder,
        requests: Requests,
        connections: Connections,
        *,
        timeout_s: float,
        in_flight: int,
        clock: Clock,
    ) -> None:
        self.tally = tally
        self.requests = requests
        self._connections = connections
        self._timeout_ns = round(timeout_s * NS_PER_S)
        self._most = in_flight
        self._now_ns = clock.monotonic_ns
        self._open: set[Sent] = set()
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        return len(self._open)

    def leave(self, intended_ns: int, number: int, over: Callable[[], None] | None = None) -> None:
        """`over` is called when the request has ended, whichever way."""
        tally = self.tally
        second = tally.expect(intended_ns)
        if len(self._open) >= self._most:
            tally.drop()
            return
        data = self.requests(number)
        sent_ns = self._now_ns()
        tally.leave(sent_ns - intended_ns)
        sent = Sent(self, data, intended_ns, sent_ns, second, over)
        self._open.add(sent)
        if self._deadline is None:
            self._wait(self._timeout_ns)
        self._connections.begin(sent)

    def answered(self, sent: Sent, status: int) -> None:
        now_ns = self._now_ns()
        self._open.discard(sent)
        self.tally.answer(sent.second, status, now_ns - sent.intended_ns, now_ns - sent.sent_ns)
        if sent.over is not None:
            sent.over()

    def failed(self, sent: Sent, kind: str) -> None:
        waited_ns = self._now_ns() - sent.intended_ns
        self._open.discard(sent)
        self.tally.fail(sent.second, kind, max(waited_ns, self._timeout_ns))
        if sent.over is not None:
            sent.over()

    def abandon(self) -> None:
        now_ns = self._now_ns()
        for sent in list(self._open):
            self._give_up(sent)
            self.tally.abandon(sent.second, now_ns - sent.intended_ns)

    async def close(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        await self._connections.close()

    def _give_up(self, sent: Sent) -> None:
        self._open.discard(sent)
        sent.drop()
        if sent.over is not None:
            sent.over()

    def _wait(self, ns: int) -> None:
        """One timer for all: the oldest is the first whose time is over."""
        self._deadline = self._loop.call_later(max(_SOONEST_S, ns / NS_PER_S), self._expire)

    def _expire(self) -> None:
        self._deadline = None
        now_ns = self._now_ns()
        for sent in [each for each in self._open if now_ns - each.sent_ns >= self._timeout_ns]:
            self._give_up(sent)
            self.tally.time_out(sent.second, now_ns - sent.intended_ns)
        if self._open:
            oldest_ns = min(each.sent_ns for each in self._open)
            self._wait(oldest_ns + self._timeout_ns - now_ns)
