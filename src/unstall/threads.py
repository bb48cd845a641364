"""Threads as they are: the stacks of all, without the dangers that CPython puts into asking for them."""

from __future__ import annotations

import gc
import sys
import threading
from functools import partial
from importlib import import_module
from itertools import compress, starmap
from operator import eq
from types import FrameType
from typing import Any

BESIDE_INTERPRETERS = (
    "stacks: this process has subinterpreters, "
    "and asking CPython for stacks beside them can end the process"
)

GREEN = "loops: gevent or eventlet has made threads into greenlets, which all stand still while one blocks"
_STARTS = ("_start_new_thread", "_start_joinable_thread")
"""What `threading` begins a thread with, by the version of Python."""


def are_green() -> bool:
    """Whether what `threading` starts is no thread of the system's."""
    starts = (getattr(threading, name, None) for name in _STARTS)
    modules = (str(getattr(start, "__module__", "")) for start in starts)
    return any(module.partition(".")[0] in ("gevent", "eventlet") for module in modules)


def frames() -> dict[int, FrameType]:
    """As `sys._current_frames`, by the threads' numbers; none at all beside another interpreter.

    CPython holds the lock of its list of threads meanwhile. A garbage collection that begins then may let
    go of the interpreter lock, and a thread that is just being started waits for that list for ever, with
    the interpreter lock in its hands: the process stands still (python/cpython#106883).
    """
    if not gc.isenabled():
        return _shown()
    gc.disable()
    try:
        return _shown()
    finally:
        gc.enable()


def beside_interpreters() -> bool:
    """Whether `frames` shows nothing for now."""
    try:
        return _INTERPRETERS is not None and bool(_INTERPRETERS.list_all() != _ALONE)
    except RuntimeError:  # on 3.12 for one that went while they were listed
        return True


def _interpreters() -> Any:
    """CPython's own module, where interpreters with locks of their own can be made; else None."""
    if sys.version_info >= (3, 12):  # before, all interpreters share one lock
        new = sys.version_info >= (3, 13)
        try:
            return import_module("_interpreters" if new else "_xxsubinterpreters")
        except ImportError:
            pass
    return None


_INTERPRETERS = _interpreters()
_ALONE = [] if _INTERPRETERS is None else [_INTERPRETERS.get_main()]


def _shown() -> dict[int, FrameType]:
    """Asks only where there is one interpreter.

    `sys._current_frames` walks the threads of all interpreters, and makes a frame of ours for each. That of
    another interpreter is then let go of under that one's lock, into a heap it does not come from, and the
    C library aborts the process. All is one chain of C code, so that no thread begins to make an
    interpreter between the question and its answer.
    """
    if _INTERPRETERS is None:
        return sys._current_frames()
    alone = map(partial(eq, _ALONE), iter(_INTERPRETERS.list_all, None))
    try:
        return next(starmap(sys._current_frames, compress(((),), alone)), {})
    except RuntimeError:  # as above
        return {}
