"""Counts the requests of every app of a known framework, without a change to the app."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable
from functools import wraps
from types import ModuleType
from typing import Any

from unstall.watch.discover import ImportHooks
from unstall.watch.scope import ASGIScope, Call, Receive, Send, counted

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


def _look_asynchronous(function: Any) -> None:
    """It returns a coroutine without being a coroutine function: who asks must hear that it is one."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:  # what `asyncio.iscoroutinefunction` looks for
        function._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)


class Frameworks:
    """Wraps `__call__` of the classes in `APPS` from `start` to `stop`."""

    def __init__(self, imports: ImportHooks) -> None:
        self._imports = imports
        self._wrapped: list[tuple[Any, Any, Any]] = []

    def start(self) -> None:
        for module, name in APPS:
            self._imports.when(module, lambda m, name=name: self._wrap(m, name))  # type: ignore[misc]

    def stop(self) -> None:
        for cls, original, ours in self._wrapped:
            if cls.__call__ is ours:
                cls.__call__ = original
        self._wrapped.clear()

    def _wrap(self, module: ModuleType, name: str) -> None:
        cls = getattr(module, name, None)
        if cls is None:
            return
        original = cls.__call__
        # Another monitor of this process counts already: ours only keeps its wrapper inside.
        ours = wraps(original)((passed_on if hasattr(original, _COUNTS) else counted)(original))
        setattr(ours, _COUNTS, True)
        _look_asynchronous(ours)
        cls.__call__ = ours
        self._wrapped.append((cls, original, ours))
