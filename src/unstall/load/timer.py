"""Called back when it is time, to some tens of microseconds where the kernel helps.

Timers of event loops are rounded to a millisecond (asyncio's up, uvloop's to the nearest), which would be in
every latency that is measured. Linux has timers that are files, and every loop can wait for a file.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from unstall.clock import NS_PER_S

_CLOCK_MONOTONIC = 1
_TFD_CLOEXEC, _TFD_NONBLOCK = 0o2000000, 0o4000


class Timer(Protocol):
    def after(self, ns: int) -> None:
        """Calls back once in `ns`; what was set before is forgotten."""

    def close(self) -> None: ...


class LoopTimer:
    """The loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback = loop, callback
        self._handle: asyncio.TimerHandle | None = None

    def after(self, ns: int) -> None:
        self.close()
        self._handle = self._loop.call_later(max(0, ns) / NS_PER_S, self._callback)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class KernelTimer:
    """Raises OSError, AttributeError or NotImplementedError where there is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        libc: Any = ctypes.PyDLL(None)  # keeps the interpreter lock: its calls return at once
        self._set = libc.timerfd_settime
        self._time = (ctypes.c_long * 4)()  # struct itimerspec: no interval, then seconds and ns
        self._loop, self._callback = loop, callback
        self._file = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_CLOEXEC | _TFD_NONBLOCK)
        if self._file < 0:
            raise OSError("no timer to be had")
        try:
            loop.add_reader(self._file, self._ring)
        except BaseException:
            os.close(self._file)
            raise

    def after(self, ns: int) -> None:
        self._time[2], self._time[3] = divmod(max(1, ns), NS_PER_S)  # zero would stop it
        self._set(self._file, 0, self._time, None)

    def close(self) -> None:
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _ring(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:  # it has been set anew since
            return
        self._callback()


def timer(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Timer:
    if sys.platform == "linux":
        try:
            return KernelTimer(loop, callback)
        except (OSError, AttributeError, NotImplementedError):
            pass
    return LoopTimer(loop, callback)
