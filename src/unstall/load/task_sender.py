"""A task for each request that is under way: what every sender does that does not send over our own wire."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from unstall.clock import Clock
from unstall.load.outcome import SecondBuilder, StreamBuilder


class TaskSender(ABC):
    """`in_flight`: with so many open, what is due is dropped."""

    def __init__(
        self, tally: StreamBuilder, *, timeout_s: float, in_flight: int, clock: Clock
    ) -> None:
        self.tally = tally
        self._timeout_s = timeout_s
        self._most = in_flight
        self._clock = clock
        self._open: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        return len(self._open)

    def leave(self, intended_ns: int, number: int, over: Callable[[], None] | None = None) -> None:
        """`over` is called when the request has ended, whichever way."""
        second = self.tally.expect(intended_ns)
        if len(self._open) >= self._most:
            self.tally.drop()
            return
        sent_ns = self._clock.monotonic_ns()
        self.tally.leave(sent_ns - intended_ns)

        def ended(task: asyncio.Task[None]) -> None:
            self._open.discard(task)
            if task.cancelled():  # perhaps before it began
                self.tally.abandon(second, self._clock.monotonic_ns() - intended_ns)
            if over is not None:
                over()

        task = asyncio.create_task(self._send(intended_ns, sent_ns, number, second))
        self._open.add(task)
        task.add_done_callback(ended)

    def abandon(self) -> None:
        for task in self._open:
            task.cancel()

    async def close(self) -> None:
        self.abandon()
        await asyncio.gather(*self._open, return_exceptions=True)
        await asyncio.sleep(0)  # for what the tasks call when they are done
        await self._disconnect()

    @abstractmethod
    async def _send(
        self, intended_ns: int, sent_ns: int, number: int, second: SecondBuilder
    ) -> None:
        """One request, counted in the tally however it ends, unless it is cancelled."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """When no request is under way any more."""
