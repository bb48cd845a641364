"""Where a caller waits for a call that a thread ends: asyncio's futures, trio's events.

A ticket is made by the task that waits on it, is called from any thread, and is told once.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import _get_running_loop as running_loop
from typing import Any, Protocol

from unstall.clock import NS_PER_S


class Ticket(Protocol):
    def tell(self) -> None:
        """That the call has ended; from any thread, and never raises because the loop is gone."""
        ...

    async def told(self, within_ns: int | None) -> bool:
        """Waits for it; False if it has not come in time."""
        ...


class AsyncioTicket:
    """A bare future: half the cost of an event with a cancel scope around it."""

    __slots__ = ("_future", "_loop", "_told")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._told = False
        self._future: asyncio.Future[None] | None = None

    def tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived)
        except RuntimeError:  # the loop is closed, so nobody waits
            pass

    def _arrived(self) -> None:
        self._told = True
        self._wake()

    def _wake(self) -> None:
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)

    async def told(self, within_ns: int | None) -> bool:
        if self._told:
            return True
        self._future = self._loop.create_future()
        timer = None
        if within_ns is not None:
            timer = self._loop.call_later(within_ns / NS_PER_S, self._wake)
        try:
            await self._future
        finally:
            if timer is not None:
                timer.cancel()
        return self._told


class TrioTicket:
    __slots__ = ("_event", "_token", "_trio")

    def __init__(self) -> None:
        self._trio: Any = sys.modules["trio"]
        self._event = self._trio.Event()
        self._token = self._trio.lowlevel.current_trio_token()

    def tell(self) -> None:
        try:
            self._token.run_sync_soon(self._event.set)
        except self._trio.RunFinishedError:
            pass

    async def told(self, within_ns: int | None) -> bool:
        import anyio

        with anyio.move_on_after(None if within_ns is None else within_ns / NS_PER_S):
            await self._event.wait()
        return bool(self._event.is_set())


def ticket() -> Ticket:
    """For the running task, whatever it runs on. Raises RuntimeError where nothing runs."""
    loop: Any = running_loop()
    if loop is not None and ("trio" not in sys.modules or asyncio.current_task(loop) is not None):
        return AsyncioTicket(loop)
    if "trio" not in sys.modules:
        raise RuntimeError("a lane is awaited, so it needs a running event loop")
    return TrioTicket()  # also where trio is a guest on another loop
