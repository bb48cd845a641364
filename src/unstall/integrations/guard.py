"""`unstall.Guard` and `unstall.Deadline`: with the monitor and the lanes of this process behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import FrameType
from typing import Any

from unstall.guard import deadline, guard
from unstall.guard.asgi import Receive, Scope, Send
from unstall.guard.budget import Budget
from unstall.guard.guard import Route
from unstall.integrations.culprits import CULPRITS
from unstall.integrations.outlived import outlived, stuck
from unstall.watch.scope import awaited_by

__all__ = ["Deadline", "Guard", "Route"]


class Guard(guard.Guard):
    __doc__ = guard.Guard.__doc__

    def looked(self) -> None:
        CULPRITS.listen()

    def stuck(self, lanes: tuple[str, ...]) -> tuple[str, ...]:
        return stuck(lanes)

    def culprit(self) -> str | None:
        return CULPRITS.last()


class Deadline(deadline.Deadline):
    __doc__ = deadline.Deadline.__doc__
    _listens = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._listens:
            self._listens = True
            CULPRITS.listen()
        await super().__call__(scope, receive, send)

    def left(self, budget: Budget) -> tuple[str, ...]:
        return outlived(budget)

    def frames(self, task: asyncio.Task[Any]) -> Iterator[FrameType]:
        """Also through what measures."""
        for coroutine in awaited_by(task):
            if coroutine.cr_frame is not None:
                yield coroutine.cr_frame

    def held_by(self, from_ns: int, until_ns: int) -> str | None:
        return CULPRITS.between(from_ns, until_ns)
