"""What a stalled step carries in its context variables: a span, a request id. Only a late loop is asked."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextvars import Context
from typing import Any

Reader = Callable[[], Any]
"""Reads context variables and returns what it found; run in a copy of the step's context."""

Where = tuple[int, int, int]
"""Number of the loop, when the stretch was due, number of the step."""

_MOST_KEPT = 256


class Carried:
    """Filled and read on the watchdog's thread."""

    def __init__(self, lost: Callable[[str], None]) -> None:
        self._lost = lost
        self._readers: tuple[Reader, ...] = ()
        self._kept: dict[Where, dict[Reader, Any]] = {}

    def add(self, reader: Reader) -> None:
        self._readers = (*self._readers, reader)

    def remove(self, reader: Reader) -> None:
        self._readers = tuple(each for each in self._readers if each != reader)

    def take(self, where: Where, task: asyncio.Task[Any] | None) -> None:
        """Called at each look at a late loop; the last word counts."""
        if not self._readers or task is None:
            return
        context = context_of(task)
        if context is None:
            return
        found: dict[Reader, Any] = {}
        for reader in self._readers:
            try:
                found[reader] = context.copy().run(reader)
            except Exception as error:  # it will not do better next time
                self.remove(reader)
                self._lost(f"reader removed after {type(error).__name__}")
        self._kept.pop(where, None)
        self._kept[where] = found
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def read(self, where: Where, reader: Reader) -> Any:
        return self._kept.get(where, {}).get(reader)

    def drop(self, loop: int, until_ns: int) -> None:
        """Of stretches of a loop that are over, so that no span or session is kept alive by us."""
        for where in [w for w in self._kept if w[0] == loop and w[1] <= until_ns]:
            del self._kept[where]

    def clear(self) -> None:
        self._kept.clear()


def context_of(task: asyncio.Task[Any]) -> Context | None:
    """The context that a task runs in; None where it cannot be read.

    Before 3.12 a task written in C shows it only to the garbage collector, before its coroutine; one that
    stands behind it is the context of a callback.
    """
    get_context = getattr(asyncio.Task, "get_context", None)
    if get_context is not None:
        context = get_context(task) if issubclass(type(task), asyncio.Task) else None
        return context if type(context) is Context else None
    for value in gc.get_referents(task):
        if type(value) is Context:
            return value
        if value is task.get_coro():
            return None
    return None
