"""Which functions and methods in C are looked at when the application calls them, as rows.

Of such a call only the function and the object are shown, no further argument. So a row says whether the
call alone tells that it blocks, or whether the thread must have waited in it to be believed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any, NamedTuple

from unstall.traps.handles import is_on_disk


class Native(NamedTuple):
    call: str
    """As findings name it."""
    blocks: Callable[[Any], bool] | None
    """Asked with the object whose method it is; None: only if the thread waited."""


def _always(owner: Any) -> bool:
    return True


def _is_file(owner: Any) -> bool:
    """Something on a disk or behind a pipe; what is in memory has no descriptor, and a terminal a low one."""
    if owner in (sys.stdout, sys.stderr, sys.stdin):
        return False
    return bool(owner.fileno() > 2)


def _is_synchronous(owner: Any) -> bool:
    """Of psycopg2, a connection or its cursor."""
    return not getattr(owner, "connection", owner).async_


def _table(
    owners: Iterable[str], names: str, blocks: Callable[[Any], bool] | None, call: str = ""
) -> dict[str, Native]:
    return {
        f"{owner}.{name}": Native(f"{call or owner}.{name}", blocks)
        for owner in owners
        for name in names.split()
    }


_EXECUTE = "execute executemany callproc"
_FILES = (
    "_io.FileIO",
    "_io.BufferedReader",
    "_io.BufferedRandom",
    "_io.BufferedWriter",
    "_io.TextIOWrapper",
)

NATIVES: dict[str, Native] = {
    **_table(
        ("sqlite3.Connection", "sqlite3.Cursor"), f"{_EXECUTE} executescript commit", is_on_disk
    ),
    **_table(
        ("psycopg2.extensions.cursor",),
        f"{_EXECUTE} copy_from copy_to copy_expert",
        _is_synchronous,
    ),
    **_table(("psycopg2.extensions.connection",), "commit rollback", _is_synchronous),
    **_table(
        ("MySQLdb._mysql.connection", "_mysql.connection"), "query commit rollback ping", _always
    ),
    **_table(("pyodbc.Cursor",), f"{_EXECUTE} fetchall commit", _always),
    **_table(("pyodbc.Connection",), "execute commit rollback", _always),
    **_table(("pymssql._pymssql.Cursor",), _EXECUTE, _always, "pymssql.Cursor"),
    **_table(("pymssql._pymssql.Connection",), "commit rollback", _always, "pymssql.Connection"),
    **_table(("cx_Oracle.Cursor",), _EXECUTE, _always),
    **_table(("cx_Oracle.Connection",), "commit rollback ping", _always),
    **_table(("cimpl.Producer",), "flush", None, "confluent_kafka.Producer"),
    **_table(("cimpl.Consumer",), "poll consume commit", None, "confluent_kafka.Consumer"),
    **_table(("pycurl.Curl",), "perform", _always),
    **_table(_FILES, "read readline readlines readall readinto read1 flush", _is_file),
    **_table(_FILES, "write writelines", None),
    **_table(("_thread.lock", "_thread.RLock"), "acquire", None, "threading.Lock"),
    **_table(("_queue.SimpleQueue",), "get", None, "queue.SimpleQueue"),
    **_table(("select.epoll", "select.poll"), "poll", None),
    **_table(("time",), "sleep", None),
    **_table(("posix",), "stat lstat access fsync fdatasync listdir scandir", _always, "os"),
    **_table(("posix",), "read write waitpid", None, "os"),
}
_CYTHON = "cython_function_or_method"


def native_of(function: Any) -> Native | None:
    """The row of a function in C, one of its own for that of a foreign library, None for all others."""
    name = _name_of(function)
    if name is None:
        return None
    known = NATIVES.get(name)
    if known is not None:
        return known
    package = name.partition(".")[0].lstrip("_")
    foreign = (
        package not in sys.stdlib_module_names and f"_{package}" not in sys.stdlib_module_names
    )
    return Native(name, None) if foreign and package != "builtins" else None


def _name_of(function: Any) -> str | None:
    """Dotted; None for what is written in Python, or cannot be named without running foreign code."""
    kind = type(function)
    if kind is MethodDescriptorType:
        owner = function.__objclass__
        return f"{owner.__module__}.{owner.__qualname__}.{function.__name__}"
    if issubclass(kind, BuiltinFunctionType):
        owner = function.__self__
        if owner is None or isinstance(owner, type(sys)):
            module = function.__module__
            return f"{module}.{function.__name__}" if isinstance(module, str) else None
        if isinstance(owner, type):
            return None
        return _name_in(type(owner), function.__name__)
    if kind.__name__ == _CYTHON:
        module = getattr(function, "__module__", None)
        return f"{module}.{function.__qualname__}" if isinstance(module, str) else None
    return None


def _name_in(kind: type, method: str) -> str:
    """By the class that has the method, for the application may have a subclass of it."""
    owner = next((each for each in kind.__mro__ if method in vars(each)), kind)
    return f"{owner.__module__}.{owner.__qualname__}.{method}"
