"""A disk that is slow to give source."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from unstall.watch import source

PATIENCE_S = 20.0


class Disk:
    """Gives no text before it `turns`: of any file, or of those that it is slow with."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, slow: Callable[[str], bool] = lambda _: True
    ) -> None:
        self.turns = threading.Event()
        self.asked: list[str] = []
        self.most = 0
        """So many files were asked for and not given at the same time."""
        self._reading = 0
        self._slow = slow
        self._text_of = source.text_of
        monkeypatch.setattr(source, "text_of", self._late)

    def _late(self, file: str) -> Any:
        self.asked.append(file)
        self._reading += 1
        self.most = max(self.most, self._reading)
        if self._slow(file):
            self.turns.wait(PATIENCE_S)
        self._reading -= 1
        return self._text_of(file)
