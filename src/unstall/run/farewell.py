"""The last moment of a process that ends without `atexit`.

uvicorn shuts down in good order on SIGTERM, then raises the signal once more so that its parent sees the
right status, and dies of it inside its own loop. What `multiprocessing` forked ends in `os._exit`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import NoReturn

_DEADLY = frozenset(
    number
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
    if (number := getattr(signal, name, None)) is not None
)


def flush_before_death(flush: Callable[[], None]) -> None:
    """Calls `flush` before `os._exit`, and before `signal.raise_signal` where that means death."""
    raise_it, exit_now = signal.raise_signal, os._exit

    @wraps(raise_it)
    def raise_signal(signalnum: int, /) -> None:
        if signalnum in _DEADLY and signal.getsignal(signalnum) is signal.SIG_DFL:
            flush()
        raise_it(signalnum)

    @wraps(exit_now)
    def _exit(status: int) -> NoReturn:
        try:
            flush()
        finally:
            exit_now(status)

    signal.raise_signal = raise_signal
    os._exit = _exit
