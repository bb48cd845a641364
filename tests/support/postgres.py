"""A real PostgreSQL for tests: the reference service's own, in a folder that is thrown away afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tally.stack.errors import StackError as PostgresUnavailable
from tally.stack.postgres import Postgres
from tally.stack.processes import Reaper

__all__ = ["Postgres", "PostgresUnavailable", "running_postgres"]


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a fresh cluster on a free port of 127.0.0.1 and remove it in the end.

    It trusts everybody on this machine, and ends with us, however we end. Raises
    `PostgresUnavailable`.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    with Reaper() as reaper:
        reaper.folder(folder)
        server = Postgres(folder, scratch=True, reaper=reaper)
        try:
            server.start()
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder)
