"""Walks a schedule: one timer, no task, and whatever is due leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from unstall.clock import Clock
from unstall.load.sender import Sender
from unstall.load.timer import timer

# When many are due at once, answers are read in between: the generator's own queue is nobody's latency.
_AT_ONCE = 32

Due = tuple[int, int, int]
"""When a request is meant to leave, in ns; which sender's it is; and its number there."""


class Pump:
    """Hands each request of a plan to its sender when it is due."""

    def __init__(self, plan: Iterator[Due], senders: Sequence[Sender], clock: Clock) -> None:
        """`plan` ascends in time."""
        loop = asyncio.get_running_loop()
        self._plan = plan
        self._leave = [sender.leave for sender in senders]
        self._now_ns = clock.monotonic_ns
        self._loop = loop
        self._timer = timer(loop, self._turn)
        self._over: asyncio.Future[None] = loop.create_future()
        self._next = next(plan, None)

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Until the last request has left, or `stop` is set."""
        stopped = asyncio.ensure_future(stop.wait()) if stop else None
        ends: list[asyncio.Future[Any]] = [self._over] if stopped is None else [self._over, stopped]
        try:
            self._turn()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._over.done():
                self._over.result()
        finally:
            self._next = None
            self._timer.close()
            self._over.cancel()
            if stopped is not None:
                stopped.cancel()

    def _turn(self) -> None:
        try:
            self._send_due()
        except Exception as error:  # a schedule or a template of the user's own
            if not self._over.done():
                self._over.set_exception(error)

    def _send_due(self) -> None:
        due = self._next
        left = _AT_ONCE
        while due is not None:
            at_ns, which, number = due
            wait_ns = at_ns - self._now_ns()
            if wait_ns > 0:
                self._next = due
                self._timer.after(wait_ns)
                return
            if not left:
                self._next = due
                self._loop.call_soon(self._turn)
                return
            left -= 1
            self._leave[which](at_ns, number)
            due = next(self._plan, None)
        self._next = None
        if not self._over.done():
            self._over.set_result(None)
