"""When the lifespan of an app of Starlette's or FastAPI's begins its start-up, and when that is complete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from types import ModuleType
from typing import Any

from unstall.watch.discover import ImportHooks
from unstall.watch.scope import ASGIScope, Receive, Send

ROUTERS = (("starlette.routing", "Router"),)
"""Module and class whose `lifespan` runs once for each app and server."""


class Lifespans:
    """Wraps `lifespan` of the classes in `ROUTERS` from `start` to `stop`.

    `starting` is told true at the beginning and false when start-up is complete, on the loop's thread. It
    must not raise.
    """

    def __init__(self, imports: ImportHooks, starting: Callable[[bool], None]) -> None:
        self._imports = imports
        self._starting = starting
        self._wrapped: list[tuple[Any, Any, Any]] = []

    def start(self) -> None:
        for module, name in ROUTERS:
            self._imports.when(module, lambda m, name=name: self._wrap(m, name))  # type: ignore[misc]

    def stop(self) -> None:
        for cls, original, ours in self._wrapped:
            if cls.lifespan is ours:
                cls.lifespan = original
        self._wrapped.clear()

    def _wrap(self, module: ModuleType, name: str) -> None:
        cls = getattr(module, name, None)
        original = getattr(cls, "lifespan", None)
        if cls is None or original is None:
            return
        starting = self._starting

        @wraps(original)
        def lifespan(self: Any, scope: ASGIScope, receive: Receive, send: Send) -> Awaitable[None]:
            def told(message: Any) -> Awaitable[None]:
                if message.get("type") == "lifespan.startup.complete":
                    starting(False)
                return send(message)

            starting(True)
            return original(self, scope, receive, told)  # type: ignore[no-any-return]

        cls.lifespan = lifespan
        self._wrapped.append((cls, original, lifespan))
