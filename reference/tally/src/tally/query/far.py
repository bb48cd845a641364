"""Redis, which may be away: then everything works without it, slower, and that is said once."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis import asyncio as aioredis
from redis.exceptions import RedisError

from tally.settings import Settings

_LOG = logging.getLogger("tally.redis")
_TIME_OUT_S: Final = 0.25
_CONNECT_S: Final = 0.5
_CONNECTIONS: Final = 32
_AWAY: Final = (RedisError, OSError, RuntimeError)
"""The last is uvloop's, for a connection that it has just closed."""
_REST_S: Final = 1.0
"""After an error Redis is not asked for so long."""


def client_of(settings: Settings) -> aioredis.Redis:
    """Does not connect yet. A full pool is waited for as long as an answer is, not refused."""
    pool = aioredis.BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=_CONNECTIONS,
        timeout=_TIME_OUT_S,
        socket_timeout=_TIME_OUT_S,
        socket_connect_timeout=_CONNECT_S,
    )
    return aioredis.Redis(connection_pool=pool)


class Far:
    """Without a client, and while it fails, everything is None."""

    def __init__(
        self, client: aioredis.Redis | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._clock = clock
        self._until = 0.0
        self.away = False

    async def get(self, key: str) -> bytes | None:
        found: bytes | None = await self._asked(lambda client: client.get(key))
        return found

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        ttl_ms = max(1, int(ttl_s * 1_000))
        await self._asked(lambda client: client.set(key, value, px=ttl_ms))

    async def count(self, key: str, by: int, ttl_s: int) -> int | None:
        """Adds to a counter that is forgotten after `ttl_s`; what it says then."""

        async def added(client: aioredis.Redis) -> int:
            async with client.pipeline(transaction=False) as pipe:
                pipe.incrby(key, by)
                pipe.expire(key, ttl_s)
                total, _ = await pipe.execute()
            return int(total)

        found: int | None = await self._asked(added)
        return found

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            await self._client.connection_pool.disconnect()

    async def _asked(self, ask: Callable[[aioredis.Redis], Awaitable[Any]]) -> Any:
        if self._client is None or self._clock() < self._until:
            return None
        try:
            found = await ask(self._client)
        except _AWAY as error:
            self._until = self._clock() + _REST_S
            if not self.away:
                _LOG.warning("Redis cannot be used, everything goes on without it: %s", error)
            self.away = True
            return None
        if self.away:
            _LOG.warning("Redis can be used again")
        self.away = False
        return found
