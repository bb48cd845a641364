"""Steps of asyncio's loops in which the thread waited and no hook saw for what.

Only that it happened is known, and in whose task; the step is over before anybody could look. So it is told
as a gap, and nobody is accused. uvloop runs its callbacks in C, out of sight.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio.events import Handle
from collections.abc import Callable
from threading import get_ident
from typing import Any, NamedTuple

from unstall.traps.clocks import Clocks, Moment, let_go, waited_ns
from unstall.traps.patches import Patches
from unstall.watch.scope import describe, scope_of_task

FLOOR_NS = 2_000_000
"""Less may be a page fault, or a wait for the interpreter lock whose holder had no processor."""


class Wait(NamedTuple):
    """A step that waited for something nobody saw."""

    whose: str
    """The route, else the task."""
    ns: int


class Steps:
    """From `start` to `stop`. `heard` says how many calls the hooks of a thread have seen so far."""

    def __init__(
        self,
        wanted: Callable[[], bool],
        heard: Callable[[int], int],
        told: Callable[[Wait], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._wanted = wanted
        self._heard = heard
        self._told = told
        self._failed = failed
        self._clocks = Clocks()
        self._last = threading.local()
        """`moment`: when each thread last let go of its processor."""

    def start(self, patches: Patches) -> None:
        original = Handle._run

        def _run(handle: Any) -> None:
            if not self._wanted():
                original(handle)
                handle = None
                return
            ident = get_ident()
            before = self._before()
            heard = self._heard(ident)  # only now, for to read the clocks is heard as well
            original(handle)  # it catches what the callback raises, and lets only an exit pass
            silent = self._heard(ident) == heard
            if before is not None and let_go() != before.switches:
                self._look(before, handle, silent=silent)
            handle = None  # like the original: the traceback of an exception in it keeps this frame

        patches.put(Handle, "_run", _run)

    def stop(self) -> None:
        self._last = threading.local()
        self._clocks.close()

    def _before(self) -> Moment | None:
        """The clocks when the thread last let go of its processor: what it did since was no wait."""
        last: Moment | None = getattr(self._last, "moment", None)
        try:
            if last is None or let_go() != last.switches:
                last = self._last.moment = self._clocks.read()
        except Exception as error:
            self._failed(error)
            return None
        return last

    def _look(self, before: Moment, handle: Any, *, silent: bool) -> None:
        try:
            now = self._last.moment = self._clocks.read()
            waited = waited_ns(before, now)
            whose = _whose(handle) if silent and waited >= FLOOR_NS else None
            if whose is not None:
                self._told(Wait(whose, waited))
        except Exception as error:
            self._failed(error)


def _whose(handle: Any) -> str | None:
    """Of a task; other callbacks are mostly the loop's own, which wake threads and wait their turn."""
    task: Any = getattr(handle._callback, "__self__", None)
    if not issubclass(type(task), asyncio.Task):
        return None
    scope = scope_of_task(task)
    if scope is None:
        return f"task {getattr(task.get_coro(), '__qualname__', '?')}"
    request = describe(scope)
    return f"{request.method} {request.route}"
