"""The last moment of a process that ends without `atexit`.

uvicorn shuts down in good order on SIGTERM, then raises the signal once more so that its parent sees the
right status, and dies of it inside its own loop. What `multiprocessing` forked ends in `os._exit`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

WAIT_S = 0.2
"""A process that wants to die waits no longer than this for its last words."""

_DEADLY = frozenset(
    number
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
    if (number := getattr(signal, name, None)) is not None
)


class Farewell:
    """From `start` to `stop`: calls `flush` once before the process dies, on a thread of its own.

    It dies of `os._exit`, or of `signal.raise_signal` where nobody handles the signal.
    """

    def __init__(self, flush: Callable[[], None], wait_s: float = WAIT_S) -> None:
        self._flush = flush
        self._wait_s = wait_s
        self._on = False
        self._patched: list[tuple[Any, str, Any, Any]] = []

    def start(self) -> None:
        self._on = True
        raise_it, exit_now = signal.raise_signal, os._exit

        @wraps(raise_it)
        def raise_signal(signalnum: int, /) -> None:
            if signalnum in _DEADLY and signal.getsignal(signalnum) is signal.SIG_DFL:
                self._say()
            raise_it(signalnum)

        @wraps(exit_now)
        def _exit(status: int) -> NoReturn:
            try:
                self._say()
            finally:
                exit_now(status)

        self._patch(signal, "raise_signal", raise_signal)
        self._patch(os, "_exit", _exit)

    def stop(self) -> None:
        """Puts both functions back; what somebody has wrapped since stays inside, and does nothing."""
        self._on = False
        for module, name, original, ours in self._patched:
            if getattr(module, name) is ours:
                setattr(module, name, original)
        self._patched.clear()

    def _patch(self, module: Any, name: str, ours: Any) -> None:
        self._patched.append((module, name, getattr(module, name), ours))
        setattr(module, name, ours)

    def _say(self) -> None:
        if not self._on:
            return
        self.stop()
        try:
            thread = threading.Thread(target=self._flush, name="unstall-farewell", daemon=True)
            thread.start()
            thread.join(self._wait_s)
        except Exception:  # no thread can be started any more: then there are no last words
            return
