"""Calls that the application makes of functions in C, shown by `sys.monitoring` from Python 3.12 on.

Only in its own code, and in that of adapters that call drivers in C for it. A place where nothing of
interest was called the first time is not looked at again. Where a call alone does not tell that it blocks,
the thread must have let go of its processor in it, for longer than other threads and queues explain.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from asyncio import _get_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from threading import get_ident
from types import BuiltinFunctionType, CodeType, FrameType
from typing import Any, NamedTuple

from unstall.model.place import INSTALLED
from unstall.traps.clocks import FLOOR_NS, Clocks, Moment, waited_ns
from unstall.traps.natives import Native, native_of

ADAPTERS = frozenset("databases dataset django peewee pony records sqlalchemy".split())
"""Packages that call drivers in C on behalf of the application."""
_PATIENCE = 64
"""Looks at a place where the thread never waits, before it is let be."""
_OURS = str(Path(__file__).resolve().parents[1])
_STDLIB = {sysconfig.get_path(each) for each in ("stdlib", "platstdlib")}
_NOT_LOOKED_AT = (_OURS + os.sep, *(each + os.sep for each in _STDLIB))
_TOOLS = (3, 4)
"""Numbers that are nobody's by convention."""

See = Callable[[str, str | None, FrameType], Any]


class _Open(NamedTuple):
    """A call under way."""

    code: CodeType
    offset: int
    native: Native
    seen: Any
    before: Moment


class Calls:
    """From `start` to `stop`."""

    def __init__(
        self,
        wanted: Callable[[], bool],
        see: See,
        inside: set[int],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._wanted = wanted
        self._see = see
        self._inside = inside
        self._failed = failed
        self._monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        self._disable = self._monitoring.DISABLE
        self._tool: int | None = None
        self._codes: set[CodeType] = set()
        self._files: dict[str, bool] = {}
        self._idle: dict[tuple[CodeType, int], int] = {}
        self._open: dict[int, list[_Open]] = {}
        self._clocks = Clocks()

    def start(self) -> bool:
        """Whether it works; it does not where every number of a tool is taken."""
        free = [number for number in _TOOLS if self._monitoring.get_tool(number) is None]
        if not free:
            return False
        self._tool = free[0]
        events = self._monitoring.events
        self._monitoring.use_tool_id(self._tool, "unstall")
        for event, callback in self._callbacks().items():
            self._monitoring.register_callback(self._tool, event, callback)
        self._monitoring.set_events(self._tool, events.PY_START | events.PY_RESUME)
        return True

    def stop(self) -> None:
        tool, self._tool = self._tool, None
        if tool is None:
            return
        self._monitoring.set_events(tool, 0)
        for code in self._codes:
            self._monitoring.set_local_events(tool, code, 0)
        for event in self._callbacks():
            self._monitoring.register_callback(tool, event, None)
        self._monitoring.free_tool_id(tool)
        self._codes.clear()
        self._idle.clear()
        self._open.clear()
        self._clocks.close()

    def _callbacks(self) -> dict[int, Callable[..., Any]]:
        events = self._monitoring.events
        return {
            events.PY_START: self._entered,
            events.PY_RESUME: self._entered,
            events.CALL: self._called,
            events.C_RETURN: self._returned,
            events.C_RAISE: self._returned,
        }

    # --- called by the interpreter ------------------------------------------------------------

    def _entered(self, code: CodeType, offset: int) -> Any:
        """Once for each function; its calls are shown from now on if it is one to look at."""
        try:
            file = code.co_filename
            if file not in self._files:
                with self._unseen():
                    self._files[file] = self._is_looked_at(file)
            if self._files[file] and self._tool is not None and code not in self._codes:
                self._codes.add(code)
                events = self._monitoring.events
                self._monitoring.set_local_events(self._tool, code, events.CALL)
        except Exception as error:
            self._failed(error)
        return self._disable

    def _called(self, code: CodeType, offset: int, function: Any, owner: Any) -> Any:
        refusal = None
        try:
            native = native_of(function)
            if native is None:
                return self._disable
            ident = get_ident()
            if not self._wanted() or _get_running_loop() is None or ident in self._inside:
                return None
            bound = function.__self__ if issubclass(type(function), BuiltinFunctionType) else owner
            before = self._asked(native, bound)
            if before is None:
                return None
            seen = None
            if native.blocks is not None:
                seen = self._see(native.call, None, sys._getframe(1))
                refusal = seen.refusal if seen is not None else None
            if refusal is None:
                opened = _Open(code, offset, native, seen, before)
                self._open.setdefault(ident, []).append(opened)
        except Exception as error:
            self._failed(error)
        if refusal is not None:
            raise refusal
        return None

    def _returned(self, code: CodeType, offset: int, function: Any, owner: Any) -> Any:
        try:
            stack = self._open.get(get_ident())
            while stack:
                call = stack.pop()
                if call.code is code and call.offset == offset:
                    return self._ended(call, sys._getframe(1))
        except Exception as error:
            self._failed(error)
        return None

    def _ended(self, call: _Open, frame: FrameType) -> Any:
        with self._unseen():
            now = self._clocks.read()
        if call.native.blocks is not None:
            if call.seen is not None:
                call.seen.took(now.wall - call.before.wall)
            return None
        waited = waited_ns(call.before, now)
        if waited >= FLOOR_NS:
            seen = self._see(call.native.call, None, frame)
            if seen is not None:
                seen.took(waited)
            return None
        place = call.code, call.offset
        self._idle[place] = self._idle.get(place, 0) + 1
        return self._disable if self._idle[place] >= _PATIENCE else None

    # --- what it asks itself ------------------------------------------------------------------

    def _asked(self, native: Native, owner: Any) -> Moment | None:
        """The clocks now, or None if the call does not count."""
        with self._unseen():
            try:
                blocks = native.blocks is None or native.blocks(owner)
            except Exception:  # a file that is closed, an object that is half made
                return None
            return self._clocks.read() if blocks else None

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        """What we do ourselves meanwhile is no call of the application's."""
        ident = get_ident()
        outer = ident in self._inside
        try:
            self._inside.add(ident)
            yield
        finally:
            if not outer:
                self._inside.discard(ident)

    def _is_looked_at(self, file: str) -> bool:
        """By its name alone, for to ask the disk would be I/O on the loop."""
        parts = PurePath(file).parts
        if not INSTALLED.isdisjoint(parts):  # before the standard library, which may lie above
            return not ADAPTERS.isdisjoint(parts)
        return not file.startswith(("<", *_NOT_LOOKED_AT))
