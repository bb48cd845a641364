"""A server of our own: a process that can be started, stopped, killed and started again."""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from tally.stack.processes import Reaper, stop


class Server(ABC):
    """Its port stays the same."""

    def __init__(self, folder: Path, reaper: Reaper | None) -> None:
        self.folder = folder
        self.port = 0
        self._reaper = reaper
        self._process: subprocess.Popen[bytes] | None = None
        self._was_up = False

    @property
    def pid(self) -> int:
        """0: it does not run."""
        return self._process.pid if self._process is not None and self.is_running else 0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    def restart(self) -> None:
        self.stop()
        self.start()

    def _begun(self, process: subprocess.Popen[bytes]) -> None:
        if self._reaper is not None:
            self._reaper.child(process.pid)

    def _end(self, *signals: signal.Signals) -> None:
        if self._process is not None:
            self._ended(self._process, signals)
            self._process = None

    def _ended(self, process: subprocess.Popen[bytes], signals: tuple[signal.Signals, ...]) -> None:
        stop(process, signals)
        if self._reaper is not None:
            self._reaper.gone(process.pid)
