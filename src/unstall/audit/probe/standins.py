"""What an import may believe it has done: nothing is written, made or served, and each is noted.

A log file, a folder for uploads or `create_all` at module level would else end an import that has much to
say.
"""

from __future__ import annotations

import builtins
import functools
import importlib.abc
import importlib.util
import io
import os
import sys
from collections.abc import Callable
from typing import Any

from .guard import Guard, in_memory

SKIPPED = (
    ("sqlalchemy.sql.schema", "MetaData.create_all", "write"),
    ("sqlalchemy.sql.schema", "MetaData.drop_all", "write"),
    ("alembic.command", "upgrade", "write"),
    ("uvicorn.main", "run", "serve"),
    ("uvicorn.server", "Server.run", "serve"),
    ("hypercorn.run", "run", "serve"),
    ("granian.server", "Server.serve", "serve"),
)
"""Module and function that give None instead, and how that is noted: no table is made, nobody is served."""

PRESET = (
    ("starlette.staticfiles", "StaticFiles.__init__", "check_dir", False),
    ("fastapi.routing", "_resolve_frontend_check_dir", "check_dir", False),
)
"""Module, function and an argument that it always gets: what a build would have made need not be there."""

Replace = Callable[[Any], Any]


def install(guard: Guard) -> None:
    _open(guard)
    _mkdir(guard)
    table: dict[str, list[tuple[str, Replace]]] = {}
    for module, name, kind in SKIPPED:
        table.setdefault(module, []).append((name, _skipping(guard, kind, f"{module}.{name}")))
    for module, name, argument, value in PRESET:
        table.setdefault(module, []).append((name, _preset(argument, value)))
    after = {module: _replacer(rows) for module, rows in table.items()}
    after["sqlite3.dbapi2"] = after["sqlite3"] = lambda module: _sqlite(guard, module)
    sys.meta_path.insert(0, _AfterImport(after))


def _open(guard: Guard) -> None:
    """`open` for writing gives the null device; for changing what is there it stays refused."""
    original = builtins.open

    def open(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
        writes = str(mode)[:1] in ("w", "a", "x")
        if writes and isinstance(file, (str, bytes, os.PathLike)) and not guard.allows(file):
            if mode[:1] == "x" and os.path.exists(file):
                raise FileExistsError(17, "File exists", file)
            guard.note("write", "open", file, pretended=True)
            file, mode = os.devnull, mode.replace("x", "w")
            named.pop("opener", None)
        return original(file, mode, *args, **named)

    builtins.open = io.open = open


def _mkdir(guard: Guard) -> None:
    original = os.mkdir

    def mkdir(path: Any, mode: int = 0o777, *, dir_fd: Any = None) -> None:
        if dir_fd is not None or guard.allows(path):
            original(path, mode, dir_fd=dir_fd)
        elif os.path.lexists(path):
            raise FileExistsError(17, "File exists", path)
        else:
            guard.note("write", "os.mkdir", path, pretended=True)

    os.mkdir = mkdir


def _sqlite(guard: Guard, module: Any) -> None:
    """A database in memory for each in a file."""
    original = module.connect

    def connect(database: Any, *args: Any, **named: Any) -> Any:
        if not (in_memory(database) or guard.allows(database)):
            guard.note("write", "sqlite3.connect", database, pretended=True)
            database = ":memory:"
            named.pop("uri", None)
        return original(database, *args, **named)

    module.connect = connect


def _replacer(rows: list[tuple[str, Replace]]) -> Callable[[Any], None]:
    def replace(module: Any) -> None:
        for name, make in rows:
            holder, _, last = name.rpartition(".")
            target = getattr(module, holder, None) if holder else module
            if hasattr(target, last):
                setattr(target, last, make(getattr(target, last)))

    return replace


def _skipping(guard: Guard, kind: str, event: str) -> Replace:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def skipped(*args: Any, **named: Any) -> None:
            guard.note(kind, event, "", pretended=True)

        return skipped

    return make


def _preset(argument: str, value: Any) -> Replace:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def preset(*args: Any, **named: Any) -> Any:
            return original(*args, **{**named, argument: value})

        return preset

    return make


class _AfterImport(importlib.abc.MetaPathFinder):
    """Runs a function on a module when its import is done."""

    def __init__(self, after: dict[str, Callable[[Any], None]]) -> None:
        self._after = after
        for name in [name for name in after if name in sys.modules]:
            after.pop(name)(sys.modules[name])

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self._after:
            return None
        then = self._after.pop(name)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            then(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
