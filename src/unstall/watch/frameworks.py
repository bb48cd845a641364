"""Counts the requests of every app of a known server or framework, without a change to the app."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import wraps
from types import ModuleType
from typing import Any

from unstall.watch.discover import ImportHooks
from unstall.watch.scope import ASGIScope, Call, Receive, Send, counted
from unstall.watch.servers import BEGINS, SERVERS, look_asynchronous

APPS = (("starlette.middleware.errors", "ServerErrorMiddleware"),)
"""Module and class whose `__call__` every request passes, and which no server looks at.

The outermost middleware of each Starlette and FastAPI app. `Starlette.__call__` itself will not do: servers
ask whether it is a coroutine function, and a coroutine more would cost twice what the counter does.
"""

_COUNTS = "_unstall_counts"


def passed_on(call: Call) -> Call:
    def __call__(self: Any, scope: ASGIScope, receive: Receive, send: Send) -> Awaitable[None]:
        return call(self, scope, receive, send)

    return __call__


class Frameworks:
    """Counts from `start` to `stop`: where a server begins a request, or else in `__call__` of `APPS`.

    Requests are chosen to be measured in the latter, so who `measures` counts there always. For others one
    that no server brings, as from a test client, counts until a known server begins its first.
    """

    def __init__(self, imports: ImportHooks, *, measures: bool = True) -> None:
        self._imports = imports
        self._measures = measures
        self._served = False
        self._wrapped: list[tuple[Any, Any, Any]] = []

    def start(self) -> None:
        if not self._measures:
            for module, name, method in BEGINS:
                self._imports.when(
                    module,
                    lambda m, name=name, method=method: SERVERS.wrap(  # type: ignore[misc]
                        m, name, method, self, self._leave_it_to_servers
                    ),
                )
        for module, name in APPS:
            self._imports.when(module, lambda m, name=name: self._wrap(m, name))  # type: ignore[misc]

    def stop(self) -> None:
        self._unwrap()
        self._wrapped.clear()
        SERVERS.leave(self)
        self._served = False

    def _leave_it_to_servers(self) -> None:
        self._served = True
        self._unwrap()

    def _unwrap(self) -> None:
        """Where another monitor has wrapped ours, it has to go first, and then ours is there again."""
        kept = []
        for cls, original, ours in self._wrapped:
            if cls.__call__ is ours:
                cls.__call__ = original
            else:
                kept.append((cls, original, ours))
        self._wrapped = kept

    def _wrap(self, module: ModuleType, name: str) -> None:
        cls = getattr(module, name, None)
        if cls is None or self._served:
            return
        original = cls.__call__
        # Another monitor of this process counts already: ours only keeps its wrapper inside.
        ours = wraps(original)((passed_on if hasattr(original, _COUNTS) else counted)(original))
        setattr(ours, _COUNTS, True)
        look_asynchronous(ours)
        cls.__call__ = ours
        self._wrapped.append((cls, original, ours))
