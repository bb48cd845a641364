"""sqlite3 is written in C, and its classes cannot be changed: new connections are of subclasses of ours.

Before Python 3.12, where calls cannot be seen otherwise, connections that are there already are made to tell.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from types import ModuleType
from typing import Any

from unstall.traps.drivers import Timed
from unstall.traps.events import is_in_memory

_EXECUTE = ("execute", "executemany", "executescript")
_CACHE = type(functools.lru_cache(lambda: None))
"""Each connection has one, of statements."""
_FACTORY = 5
"""The position of that argument of `sqlite3.connect`."""


class SQLite:
    """The factory for new connections, and a trace on old ones."""

    def __init__(self, timed: Timed, ran: Callable[[], None]) -> None:
        self._timed = timed
        self._traced: type | None = None

        def told(statement: str) -> None:
            ran()

        self._told = told

    def connect(self, module: ModuleType) -> Callable[..., Any]:
        original = module.connect
        noted = self._timed("sqlite3.connect", original)
        factory = self._connection_class(module)

        def connect(*args: Any, **named: Any) -> Any:
            database = args[0] if args else named.get("database")
            if is_in_memory(database):
                return original(*args, **named)
            if len(args) <= _FACTORY:
                named.setdefault("factory", factory)
            return noted(*args, **named)

        return connect

    def _connection_class(self, module: ModuleType) -> type:
        cursor = self._subclass(module.Cursor, (*_EXECUTE, "fetchall"), {})
        plain = module.Connection.cursor

        def make(self: Any, factory: Any = cursor) -> Any:
            return plain(self, factory)

        return self._subclass(
            module.Connection, (*_EXECUTE, "commit", "rollback"), {"cursor": make}
        )

    def _subclass(self, base: type, names: tuple[str, ...], more: dict[str, Any]) -> type:
        methods = {
            name: self._timed(f"sqlite3.{base.__name__}.{name}", getattr(base, name))
            for name in names
        }
        return type(base.__name__, (base,), {**methods, **more, "__module__": base.__module__})

    def trace(self, module: ModuleType) -> None:
        """Of connections that somebody else traces, or that belong to another thread, nothing is changed."""
        for connection in objects_of(module.Connection):
            if not _is_traced(connection) and _is_ours_to_ask(connection):
                _set(connection, self._told)
        self._traced = module.Connection

    def restore(self) -> None:
        """Found again, not kept: they are the application's, and cannot be referred to weakly."""
        for connection in objects_of(self._traced) if self._traced is not None else ():
            if any(each is self._told for each in gc.get_referents(connection)):
                _set(connection, None)
        self._traced = None


def _is_ours_to_ask(connection: Any) -> bool:
    try:
        return is_on_disk(connection)
    except Exception:  # it is closed, or another thread's
        return False


def _set(connection: Any, told: Callable[[str], None] | None) -> None:
    try:
        connection.set_trace_callback(told)
    except Exception:  # it is closed, or another thread's
        return


def objects_of(kind: type) -> list[Any]:
    """All there are, of exactly that class."""
    return [each for each in gc.get_objects() if type(each) is kind]


def is_on_disk(owner: Any) -> bool:
    """Of a connection or its cursor. Asks SQLite, with a cursor that nothing of the host's is set on."""
    import sqlite3

    connection = getattr(owner, "connection", owner)
    cursor = sqlite3.Connection.cursor(connection, sqlite3.Cursor)
    cursor.row_factory = None
    try:
        return any(row[2] for row in sqlite3.Cursor.execute(cursor, "pragma database_list"))
    finally:
        sqlite3.Cursor.close(cursor)


def _is_traced(connection: Any) -> bool:
    """Only the garbage collector is shown the callback."""
    own = (type(connection), connection.row_factory, connection.text_factory)
    held = [each for each in gc.get_referents(connection) if type(each) is not _CACHE]
    return any(callable(each) and each not in own for each in held)
