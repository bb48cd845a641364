"""Source text, without waiting for a disk.

Python runs modules without reading their source, so it may be on the disk only, and a disk may take tenths
of a second for each file. Each is therefore read by a thread of its own, which may wait for it.
"""

from __future__ import annotations

import io
import linecache
import os
import time
import tokenize
from _thread import allocate_lock, start_new_thread

_SOON_S = 0.005
"""So long is waited for a file: what is in memory takes far less."""
_AGAIN_S = 0.05
"""So long nothing is waited for after a file that took longer."""
_MOST = 8
"""Of files that are read at the same time."""
_LOST_S = 5.0
"""Who takes longer is not counted among these, but there are never more than `_MOST_LOST`."""
_MOST_LOST = 32
_LARGEST = 16 << 20
"""Of source, in bytes: more is no module that somebody wrote."""
_PROMISED = 1
"""An entry of `linecache` so short says who will read the lines."""


class Sources:
    """What is at hand; for one thread."""

    def __init__(self) -> None:
        self._coming: dict[str, _Coming] = {}
        self._without: set[str] = set()
        self._patient_from = 0.0

    def at_hand(self, file: str) -> bool:
        """Whether `linecache` has its lines, or there are none; if not, they are on their way."""
        if file.startswith("<") or file in self._without:
            return True
        if len(linecache.cache.get(file, ())) > _PROMISED:
            return True
        coming = self._coming.get(file)
        if coming is None:
            self._take_in()
            if self._is_busy():
                return False
            coming = self._coming[file] = _Coming(file)
            self._wait(coming)
        if not coming.over:
            return False
        self._take_in()
        return True

    def _take_in(self) -> None:
        """Also what nobody asks for any more."""
        for file in [each for each, coming in self._coming.items() if coming.over]:
            coming = self._coming.pop(file)
            if coming.text is None or not _kept(file, *coming.text):
                if len(self._without) > 10_000:  # a server with endless generated code
                    self._without.clear()
                self._without.add(file)

    def _is_busy(self) -> bool:
        """Who never comes back, as from a disk that is gone, keeps few others from being read."""
        lost = time.monotonic() - _LOST_S
        alive = sum(each.since > lost for each in self._coming.values())
        return alive >= _MOST or len(self._coming) >= _MOST_LOST

    def _wait(self, coming: _Coming) -> None:
        if time.monotonic() >= self._patient_from and not coming.wait(_SOON_S):
            self._patient_from = time.monotonic() + _AGAIN_S


class _Coming:
    """One file, and the thread that reads it."""

    def __init__(self, file: str) -> None:
        self.over = False
        self.since = time.monotonic()
        self.text: tuple[os.stat_result, bytes] | None = None
        """None where there is none."""
        self._lock = allocate_lock()
        self._lock.acquire()
        try:
            # Bare: a `threading.Thread` is waited for until it runs, and is in the host's list of them.
            start_new_thread(self._read, (file,))
        except Exception:  # no more threads, the interpreter ends, or somebody forbids it
            self.over = True

    def wait(self, seconds: float) -> bool:
        """Whether it is over by then."""
        return self.over or self._lock.acquire(timeout=seconds)

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
