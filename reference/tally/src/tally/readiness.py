"""Whether this process can do its work: asked of the database in the background, never by a request.

It asks on a connection of its own. A pool that is full of work would else look like a server that
is away, and sending everybody to the other processes is no help against load.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection

from tally.db import Pool, parameters
from tally.schema.revisions import NewerSchema, SchemaError, judge, revision_of
from tally.settings import Settings

log = logging.getLogger("tally")

READY_S = 2.0
"""Between two looks while all is well."""
WAITING_S = 0.1
ANSWER_S = 2.0


@dataclass(frozen=True, slots=True)
class State:
    ready: bool
    reason: str = ""
    """Why not."""


def _waiting(why: str) -> State:
    return State(False, f"waiting for PostgreSQL: {why}")


class Readiness:
    """Looks at the database from `start` to `stop`; `state` is what the last look said."""

    def __init__(self, settings: Settings, pool: Pool | None = None) -> None:
        self._settings = settings
        self._pool = pool
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._patient_until = 0.0
        self._was_ready = False
        self._overtaken = ""
        """What was said of a later release's migrations."""
        self.state = State(False, "the database was not asked yet")

    async def start(self) -> None:
        """Take a first look, and go on looking.

        A server that is away is waited for in the background. Raises `SchemaError` if it is there
        and lacks migrations, unless the settings say to wait for these, too; the pool is then closed.
        """
        self._patient_until = time.monotonic() + self._settings.schema_wait_s
        while (missing := await self._look()) is not None:
            if not self._is_patient:
                await self._hang_up()
                if self._pool is not None:
                    await (
                        self._pool.close()
                    )  # it still connects, which can outlast a cancelled task
                log.error("%s", missing)
                raise missing
            await asyncio.sleep(WAITING_S)
        self._task = asyncio.create_task(self._go_on(), name="tally readiness")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._hang_up()

    @property
    def _is_patient(self) -> bool:
        """While somebody else still starts the server and runs the migrations."""
        return time.monotonic() < self._patient_until

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(READY_S if self.state.ready else WAITING_S)
            await self._look()

    async def _look(self) -> SchemaError | None:
        """What is wrong with the schema, if the server is there."""
        try:
            judge(await self._answer())
        except NewerSchema as error:
            # A roll-out migrates first, and those that run go on until the new ones have taken over.
            if not self._was_ready:
                self._becomes(State(False, str(error)))
                return error
            if self._overtaken != str(error):
                self._overtaken = str(error)
                log.warning("%s; this process goes on until it is replaced", error)
        except SchemaError as error:
            self._becomes(State(False, str(error)))
            return error
        except (psycopg.Error, TimeoutError) as error:
            await self._hang_up()
            first = str(error).strip().partition("\n")[0] or type(error).__name__
            self._becomes(_waiting(first))
            return None
        self._was_ready = True
        if self._becomes(State(True)) and self._pool is not None and not self._pool.closed:
            await self._pool.check()  # whoever waits need not find the dead connections one by one
        return None

    async def _answer(self) -> str | None:
        """Says at once that there is none in time: to break off its question takes psycopg many seconds."""
        asking = asyncio.create_task(self._ask())
        late = f"no answer within {ANSWER_S:g} s"
        try:
            await asyncio.wait({asking}, timeout=ANSWER_S)
            if not asking.done():
                self._becomes(_waiting(late))
        finally:
            asking.cancel()
            await asyncio.wait({asking})
        if asking.cancelled():
            raise TimeoutError(late)
        return asking.result()

    async def _ask(self) -> str | None:
        if self._connection is None:
            self._connection = await AsyncConnection.connect(
                **parameters(self._settings, statement_s=ANSWER_S), autocommit=True
            )
        return await revision_of(self._connection)

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _becomes(self, state: State) -> bool:
        """Whether that is news; said once."""
        before, self.state = self.state, state
        if before == state:
            return False
        if state.ready:
            log.info("PostgreSQL is there")
        else:
            log.log(logging.INFO if self._is_patient else logging.WARNING, "%s", state.reason)
        return True
