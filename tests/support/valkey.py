"""A real Valkey for tests: the reference service's own, in memory, thrown away afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tally.stack.errors import StackError as ValkeyUnavailable
from tally.stack.processes import Reaper
from tally.stack.valkey import Valkey

__all__ = ["Valkey", "ValkeyUnavailable", "running_valkey"]


@contextmanager
def running_valkey() -> Iterator[Valkey]:
    """A server without a password, on a free port of 127.0.0.1. Raises `ValkeyUnavailable`."""
    folder = Path(tempfile.mkdtemp(prefix="valkey-"))
    with Reaper() as reaper:
        reaper.folder(folder)
        server = Valkey(folder, scratch=True, reaper=reaper)
        try:
            server.start()
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder)
