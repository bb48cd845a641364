"""Wakes the watchdog when a loop is late, and lets it sleep while none is.

A thread that wakes up beside a busy loop is dear for that loop, far beyond its own work. CPython's `take_gil`
asks the holder to let go only after 5 ms without a sign, and a busy loop gives a sign at every system call
without waiting for anybody: the waiter is woken, finds the lock taken again, and waits anew. Measured beside
a loop that turned every 38 us: a wake got the lock after 0.2 s as the median, and cost the loop 6 us a
turn meanwhile. So the beat of a punctual loop moves a kernel timer further off, at about a microsecond, and
the watchdog is woken only by a beat that failed to come.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_TFD_CLOEXEC, _TFD_NONBLOCK = 0o2000000, 0o4000
_POLLFD = struct.Struct("=ihh")
_POLLIN = 1
_LONGEST_POLL_MS = 3_600_000
_NS = 1_000_000_000
_NEVER_NS = 1 << 62


class Alarm:
    """One thread waits; any thread may ring or postpone. Times are monotonic ns.

    Where the kernel has no timer for it, `follows` is false: then nothing can be postponed, and who waits
    must look by itself.
    """

    def __init__(self, *, kernel: bool = sys.platform == "linux") -> None:
        self._at_ns, self._until_ns = _NEVER_NS, 0
        self._rung = False
        self._file = -1
        self._set: Callable[..., int] | None = None
        self._get: Callable[..., int] | None = None
        self._poll: Callable[..., int] | None = None
        self._time = (ctypes.c_long * 4)()  # struct itimerspec: no interval, then seconds and ns
        # A bare lock, because what threading builds on it may be patched by the host.
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        if kernel:
            self._open()

    @property
    def follows(self) -> bool:
        return self._file >= 0

    def wait(self, at_ns: int, until_ns: int) -> int:
        """Waits until `at_ns`, or what that is postponed to, but not beyond `until_ns`, nor when rung.

        Returns when it should have ended: that moment, or when somebody rang, if he was first.
        """
        self._at_ns, self._until_ns = _NEVER_NS, until_ns
        if self._rung:  # before: it ends at once
            self._at_ns = time.monotonic_ns()
        if self._file >= 0:
            self.postpone(at_ns)
        if self._file >= 0 and self._poll is not None:
            polled = ctypes.create_string_buffer(_POLLFD.pack(self._file, _POLLIN, 0))
            self._poll(polled, 1, _LONGEST_POLL_MS)
        else:
            if not self._rung:
                self._at_ns = min(at_ns, until_ns)
            pause = (min(at_ns, until_ns) - time.monotonic_ns()) / _NS
            self._bell.acquire(timeout=min(max(0.0, pause), _LONGEST_POLL_MS / 1e3))
        self._rung = False
        return min(self._at_ns, time.monotonic_ns())

    def postpone(self, at_ns: int, spare_ns: int = 0) -> None:
        """To `at_ns`, unless it is set to within `spare_ns` of that. Does not let go of the interpreter lock.

        What has gone off stays so: who waited may be late in hearing it, and must know since when.
        """
        if spare_ns and at_ns - spare_ns <= self._at_ns < _NEVER_NS and not self._rung:
            return
        if not self._rung and self._at_ns > time.monotonic_ns():
            self._at_ns = at_ns = min(at_ns, self._until_ns)
            self._arm(at_ns)
        if self._rung:  # meanwhile
            self._arm(1)

    def ring(self) -> None:
        """Ends the wait under way, or the next one.

        What had gone off before stays so: else a watchdog that could not run would be on time for who rang.
        """
        now = time.monotonic_ns()
        if self._at_ns > now:
            self._at_ns = now
        self._rung = True
        self._arm(1)
        if self._bell.locked():
            try:
                self._bell.release()
            except RuntimeError:  # two rang at once
                return

    def _arm(self, at_ns: int) -> None:
        """Polling takes nothing and setting fails on any other file.

        So a host that closed all descriptors, and got our number again, loses nothing by us.
        """
        set_time = self._set  # it may be closed from another thread
        if set_time is not None:
            self._time[2], self._time[3] = divmod(at_ns, _NS)
            if set_time(self._file, _TFD_TIMER_ABSTIME, self._time, None) != 0:
                self._give_up()

    def close(self) -> None:
        """After this nothing follows, and a wait still ends in time."""
        file, left = self._file, (ctypes.c_long * 4)()
        self._give_up()
        if file >= 0 and self._get is not None and self._get(file, left) == 0:
            os.close(file)

    def _give_up(self) -> None:
        self._file, self._set = -1, None

    def _open(self) -> None:
        try:
            kept: Any = ctypes.PyDLL(
                None
            )  # keeps the interpreter lock: for calls that return at once
            file = kept.timerfd_create(_CLOCK_MONOTONIC, _TFD_CLOEXEC | _TFD_NONBLOCK)
            self._poll = ctypes.CDLL(None).poll
        except (OSError, AttributeError):
            return
        if file >= 0:
            self._file, self._set, self._get = file, kept.timerfd_settime, kept.timerfd_gettime
