"""The temporary folder of an import: gone afterwards, whatever ends the audit."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from unstall.leftovers import remove_leftovers

_NAME = re.compile(r"unstall_audit_(\d+)_\w+")
_OLD_S = 120.0
"""No import lasts so long. In a container that shares the folder, the same number is another process."""
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def scratch() -> Iterator[str]:
    """A folder of this process alone; what killed ones have left is removed, too."""
    with ended_in_order():
        sweep(tempfile.gettempdir())
        folder = tempfile.mkdtemp(prefix=f"unstall_audit_{os.getpid()}_")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP end the process as Ctrl-C does, through everybody's clean-up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets no other thread decide
        return
    mine = [each for each in _ENDING if signal.getsignal(each) is signal.SIG_DFL]
    try:
        for each in mine:
            signal.signal(each, _end)
        yield
    finally:
        for each in mine:
            signal.signal(each, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # the clean-up is not interrupted
    raise SystemExit(128 + number)


def sweep(folder: str, now: Callable[[], float] = time.time) -> None:
    """Removes what audits that were killed have left: ours, of dead processes."""
    remove_leftovers(folder, _NAME, lambda path, age_s: age_s >= _OLD_S, now)
