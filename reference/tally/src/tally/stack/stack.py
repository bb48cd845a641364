"""PostgreSQL and Valkey together, with what is needed to leave nothing behind."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tally.stack.errors import StackError
from tally.stack.postgres import Postgres
from tally.stack.processes import Reaper
from tally.stack.valkey import Valkey


class Stack:
    """What the service stands on, from `with` to its end.

    folder        where the data are kept; without one they are thrown away
    scratch       for tests: faster, and nothing survives a loss of power
    database_url  a PostgreSQL that is there already: none is started
    redis_url     the same for Valkey or Redis
    start         False: `with` settles the URLs, and `start()` is called later
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        scratch: bool = False,
        database_url: str = "",
        redis_url: str = "",
        start: bool = True,
    ) -> None:
        self._starts = start
        self._folder = folder
        self._scratch = scratch
        self._given = (database_url, redis_url)
        self._open = ExitStack()
        self.postgres: Postgres | None = None
        """None: it was there already."""
        self.valkey: Valkey | None = None
        self.without = ""
        """Why there is no cache; empty when there is one."""

    @property
    def database_url(self) -> str:
        return self.postgres.url if self.postgres is not None else self._given[0]

    @property
    def redis_url(self) -> str:
        return self.valkey.url if self.valkey is not None else self._given[1]

    def __enter__(self) -> Stack:
        """Raises `StackError` when PostgreSQL cannot run; without Valkey the service can do."""
        with ExitStack() as opening:
            reaper = opening.enter_context(Reaper())
            database_url, redis_url = self._given
            if not database_url:
                place = self._place(opening, reaper, "postgres")
                self.postgres = Postgres(
                    place, scratch=self._scratch, temporary=self._folder is None, reaper=reaper
                )
                opening.callback(self.postgres.stop)
                self.postgres.prepare()
            if not redis_url:
                place = self._place(opening, reaper, "valkey")
                valkey = Valkey(place, scratch=self._scratch, reaper=reaper)
                opening.callback(valkey.stop)
                try:
                    valkey.prepare()
                    self.valkey = valkey
                except StackError as error:
                    self.without = str(error)
            if self._starts:
                self.start()
            self._open = opening.pop_all()
        return self

    def start(self) -> None:
        """Return when all of it answers. Raises `StackError`."""
        if self.valkey is not None:
            self.valkey.start()
        if self.postgres is not None:
            self.postgres.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def _place(self, opening: ExitStack, reaper: Reaper, name: str) -> Path:
        if self._folder is not None:
            return self._folder.resolve() / name
        # Each directly in the temporary folder: one of them may have to belong to somebody else.
        place = Path(tempfile.mkdtemp(prefix=f"tally-{name}-"))
        reaper.folder(place)
        opening.callback(shutil.rmtree, place, ignore_errors=True)
        return place
