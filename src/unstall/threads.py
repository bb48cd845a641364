"""The stacks of all threads, without the danger that CPython puts into asking for them."""

from __future__ import annotations

import gc
import sys
from types import FrameType


def frames() -> dict[int, FrameType]:
    """As `sys._current_frames`, by the threads' numbers.

    CPython holds the lock of its list of threads meanwhile. A garbage collection that begins then may let
    go of the interpreter lock, and a thread that is just being started waits for that list for ever, with
    the interpreter lock in its hands: the process stands still (python/cpython#106883).
    """
    if not gc.isenabled():
        return sys._current_frames()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        gc.enable()
