"""What is wrapped while a trap is open: the rows of primitives and drivers, in modules and classes.

A library that is not imported yet is wrapped when it is. What is written in C and cannot be changed is seen
by subclasses of ours that new objects are made of.
"""

from __future__ import annotations

import functools
import sys
from asyncio import _get_running_loop
from importlib import import_module
from types import ModuleType
from typing import Any

from unstall.traps.drivers import DRIVERS, Driver
from unstall.traps.handles import SQLite, objects_of
from unstall.traps.patches import Function, Patches
from unstall.traps.primitives import PRIMITIVES, Primitive
from unstall.traps.sight import Sight
from unstall.watch.cursors import Cursors
from unstall.watch.discover import ImportHooks

SEES_CALLS = sys.version_info >= (3, 12)
"""`sys.monitoring` shows the calls of C code that the application makes, so less need be wrapped."""


class Wrapped:
    """From `put_in` to `take_out`."""

    def __init__(self, sight: Sight, missing: list[str]) -> None:
        """`missing` takes the rows whose library is imported and is not as the row says."""
        self._sight = sight
        self._missing = missing
        self._patches = Patches()
        self._imports = ImportHooks(sight.failed)
        self._functions: dict[int, Any] = {}
        """By the `id` of the original."""
        self._sqlite: SQLite | None = None
        self._cursors: Cursors | None = None

    def put_in(self) -> None:
        for primitive in PRIMITIVES:
            self._primitive(primitive)
        if not SEES_CALLS:
            self._rebind()
        for driver in DRIVERS:
            self._imports.when(driver.module, functools.partial(self._driver, driver))
        self._imports.when("psycopg2", self._psycopg2)
        self._imports.when("sqlite3.dbapi2", self._sqlite3)
        self._imports.start()

    def take_out(self) -> None:
        self._imports.stop()
        self._patches.restore()
        self._functions.clear()
        if self._cursors is not None:
            self._cursors.restore()
        if self._sqlite is not None:
            self._sqlite.restore()

    # --- rows ---------------------------------------------------------------------------------

    def _primitive(self, row: Primitive) -> None:
        module = import_module(row.module)
        owner = getattr(module, row.owner, None) if row.owner else module
        if owner is None:
            return  # not on this system
        for name in row.names:
            original = getattr(owner, name, None)
            if original is None:
                continue
            ours: Any = self._sight.guarded(f"{row.call}.{name}", original, row.blocks)
            if not row.owner:
                ours = self._functions[id(original)] = Function(ours, row.module)
            self._patches.put(owner, name, ours)

    def _rebind(self) -> None:
        """Names that modules have imported one by one: `from time import sleep`."""
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in sys.stdlib_module_names or type(module) is not ModuleType:
                continue
            for attribute, value in list(vars(module).items()):
                if id(value) in self._functions:
                    self._patches.put(module, attribute, self._functions[id(value)])

    def _driver(self, row: Driver, module: ModuleType) -> None:
        owner = getattr(module, row.owner, None) if row.owner else module
        for name in row.names:
            own = vars(owner).get(name) if owner is not None else None
            original = getattr(owner, name, None)
            if original is None:
                self._missing.append(f"{row.module}.{row.owner or name}")
                continue
            call = "open" if row.opens else f"{row.call}.{name}"
            call = call.removesuffix(".__init__").removesuffix(".__call__")
            if isinstance(own, classmethod):
                ours: Any = classmethod(self._sight.guarded(call, own.__func__, row.blocks))
            elif isinstance(own, staticmethod):
                ours = staticmethod(self._sight.guarded(call, own.__func__, row.blocks))
            else:
                ours = self._sight.guarded(call, original, row.blocks)
            try:
                self._patches.put(owner, name, ours)
            except (AttributeError, TypeError):
                self._unchangeable(row, module, name, ours)

    def _unchangeable(self, row: Driver, module: ModuleType, name: str, ours: Any) -> None:
        """A class in C that does not let itself be changed: new objects are of a subclass of ours, unless
        its calls are seen anyway."""
        owner: Any = getattr(module, row.owner, None)
        try:
            if not SEES_CALLS:
                parts = {name: ours, "__module__": row.module}
                self._patches.put(module, row.owner, type(row.owner, (owner,), parts))
        except TypeError:
            self._missing.append(f"{row.call}.{name} cannot be wrapped")

    # --- handles of drivers in C ---------------------------------------------------------------

    def _psycopg2(self, module: ModuleType) -> None:
        self._cursors = Cursors(self._sight.guarded)
        self._patches.put(module, "connect", self._cursors.connect(module))
        if not SEES_CALLS:
            for connection in objects_of(module.extensions.connection):
                self._cursors.adopt(connection)

    def _sqlite3(self, module: ModuleType) -> None:
        self._sqlite = SQLite(self._sight.guarded, self._statement_ran)
        connect = Function(functools.wraps(module.connect)(self._sqlite.connect(module)), "sqlite3")
        for each in (module, sys.modules.get("sqlite3")):
            if each is not None and hasattr(each, "connect"):
                self._patches.put(each, "connect", connect)
        if not SEES_CALLS:
            self._sqlite.trace(module)

    def _statement_ran(self) -> None:
        """Called by SQLite in the midst of a statement; two frames of ours lie above the caller."""
        if self._sight.openings and _get_running_loop() is not None:
            self._sight.see("sqlite3.Connection.execute", None, sys._getframe(2))
