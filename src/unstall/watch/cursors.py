"""psycopg2 seen from inside: it is written in C, so nothing of it can be wrapped."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any


class Cursors:
    """psycopg2 is written in C: its calls are seen by a cursor class of ours, on connections without one."""

    def __init__(self, timed: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> None:
        self._timed = timed
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._cursor: type | None = None

    def connect(self, module: ModuleType) -> Callable[..., Any]:
        original = module.connect
        self._cursor = self._cursor_class(module.extensions.cursor)
        noted = self._timed("psycopg2.connect", original)

        @functools.wraps(original)
        def connect(*args: Any, **named: Any) -> Any:
            connection = noted(*args, **named)
            self.adopt(connection)
            return connection

        return connect

    def adopt(self, connection: Any) -> None:
        """A connection that was made before, if it has no cursor class of its own."""
        if connection.cursor_factory is None and not connection.async_:
            connection.cursor_factory = self._cursor
            self._connections.add(connection)

    def restore(self) -> None:
        for connection in list(self._connections):
            if connection.cursor_factory is self._cursor:
                connection.cursor_factory = None
        self._connections.clear()

    def _cursor_class(self, base: Any) -> type:
        methods = {
            name: self._timed(f"psycopg2.extensions.cursor.{name}", getattr(base, name))
            for name in ("execute", "executemany", "callproc")
        }
        return type("cursor", (base,), {**methods, "__module__": base.__module__})
