"""Source text, without waiting for a disk.

Python runs modules without reading their source, so it may be on the disk only, and a disk may take tenths
of a second for each file. Each is therefore read by a thread of its own, which may wait for it.
"""

from __future__ import annotations

import io
import linecache
import os
import tokenize
from _thread import allocate_lock, start_new_thread

_SOON_S = 0.005
"""So long is waited for a file, once: what is in memory takes far less."""
_LARGEST = 16 << 20
"""Of source, in bytes: more is no module that somebody wrote."""

_PROMISED = 1
"""An entry of `linecache` so short says who will read the lines."""


class Sources:
    """What is at hand; for one thread."""

    def __init__(self) -> None:
        self._coming: dict[str, _Coming] = {}

    def at_hand(self, file: str) -> bool:
        """Whether `linecache` has its lines, or there are none; if not, they are on their way."""
        if file.startswith("<") or len(linecache.cache.get(file, ())) > _PROMISED:
            return True
        coming = self._coming.get(file)
        if coming is None:
            coming = self._coming[file] = _Coming(file)
            coming.wait(_SOON_S)
        if not coming.over:
            return False
        text, coming.text = coming.text, None
        if text is not None and _kept(file, *text):
            del self._coming[file]
        return True


class _Coming:
    """One file, and the thread that reads it."""

    def __init__(self, file: str) -> None:
        self.over = False
        self.text: tuple[os.stat_result, bytes] | None = None
        """None where there is none."""
        self._lock = allocate_lock()
        self._lock.acquire()
        try:
            # Bare: a `threading.Thread` is waited for until it runs, and is in the host's list of them.
            start_new_thread(self._read, (file,))
        except RuntimeError:  # no more threads, or the interpreter ends
            self.over = True

    def wait(self, seconds: float) -> None:
        if not self.over:
            self._lock.acquire(timeout=seconds)

    def _read(self, file: str) -> None:
        try:
            self.text = text_of(file)
        except Exception:
            pass
        self.over = True
        self._lock.release()


def text_of(file: str) -> tuple[os.stat_result, bytes] | None:
    """None for what is too large. Raises OSError for what is no file."""
    with open(file, "rb", buffering=0) as opened:
        status = os.fstat(opened.fileno())
        return (status, opened.read(status.st_size)) if status.st_size <= _LARGEST else None


def _kept(file: str, status: os.stat_result, text: bytes) -> bool:
    """Whether `linecache` now has it as if it had read it, which lets go of the interpreter lock often."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text).readline)
        lines = io.TextIOWrapper(io.BytesIO(text), encoding).readlines()
    except (SyntaxError, ValueError, LookupError):
        return False
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    linecache.cache[file] = (status.st_size, status.st_mtime, lines, file)
    return True
