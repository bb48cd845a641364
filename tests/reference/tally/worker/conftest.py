"""A worker's connections to the database of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import pytest
from psycopg_pool import AsyncConnectionPool

from tally.settings import Settings
from tally.worker import service

Pool: TypeAlias = AsyncConnectionPool[Any]
OpenPool: TypeAlias = Callable[[], AbstractAsyncContextManager[Pool]]


@pytest.fixture
def open_pool(settings: Settings) -> OpenPool:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Pool]:
        async with service.pool_of(settings) as pool:
            yield pool

    return opened
