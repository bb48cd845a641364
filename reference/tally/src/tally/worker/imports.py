"""The job of an import: look at the upload, load it, forget it. It may begin again at any line."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from tally.worker import records
from tally.worker.contents import Refused
from tally.worker.jobs import Payload
from tally.worker.load import Loader
from tally.worker.records import FINAL, Import, Overtaken, State
from tally.worker.scan import examine
from tally.worker.spool import Spool
from unstall import Lane, LaneDeadline

logger = logging.getLogger("tally.imports")

STEP_ASIDE_S = 1.0
ORPHAN_S = 86_400.0
"""Age of an upload that is looked at, because nobody may need it."""


@dataclass(frozen=True, slots=True)
class Imports:
    """`lane` is where uploads are examined; its deadline is how long that may take."""

    pool: AsyncConnectionPool[Any]
    spool: Spool
    lane: Lane
    loader: Loader
    clamd: str = ""
    kept_days: int = 30
    """How long an import that has ended can be asked for."""

    async def run(self, payload: Payload) -> None:
        number = UUID(payload["import"])
        while True:
            record = await self._read(number)
            if record is None or record.state in FINAL:
                break
            try:
                await self._work(record)
            except Overtaken:
                logger.warning("import %s is loaded by somebody else, too", number)
                await asyncio.sleep(STEP_ASIDE_S)
        await self.spool.remove(number)

    async def give_up(self, payload: Payload, reason: str) -> None:
        number = UUID(payload["import"])
        with suppress(Overtaken):
            await self._finish(number, State.FAILED, reason)
        await self.spool.remove(number)

    async def clean(self) -> None:
        """Removes uploads of which the row was never written, or whose worker died at the end, and forgets
        what ended long ago.
        """
        old = await self.spool.older_than(ORPHAN_S)
        async with self.pool.connection() as connection:
            unknown = await records.unknown(connection, old)
            await records.forget(connection, self.kept_days)
        for number in unknown:
            await self.spool.remove(number)

    async def _work(self, record: Import) -> None:
        try:
            if record.state is not State.LOADING:
                await self._enter(record.id, State.SCANNING)
                await self._examine(record)
                await self._enter(record.id, State.LOADING)
            await self.loader.load(record, self.spool.path(record.id))
        except Refused as refused:
            await self._finish(record.id, State.REJECTED, f"{refused.reason}: {refused.detail}")
        else:
            await self._finish(record.id, State.DONE)

    async def _examine(self, record: Import) -> None:
        try:
            path = self.spool.path(record.id)
            await self.lane.run(examine, path, record.kind, self.loader.bounds, self.clamd)
        except LaneDeadline:
            raise Refused("scan", "it took too long to look through") from None

    async def _read(self, number: UUID) -> Import | None:
        async with self.pool.connection() as connection:
            return await records.read(connection, number)

    async def _enter(self, number: UUID, state: State) -> None:
        async with self.pool.connection() as connection:
            await records.enter(connection, number, state)

    async def _finish(self, number: UUID, state: State, reason: str | None = None) -> None:
        async with self.pool.connection() as connection:
            await records.finish(connection, number, state, reason)
        logger.info("import %s is %s%s", number, state, f": {reason}" if reason else "")
