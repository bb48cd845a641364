"""redis-py's pools, synchronous and asyncio. `BlockingConnectionPool` waits; the default refuses at once.

The slot comes before `connect`, which a pool calls each time and which opens a connection only if it must.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from unstall.gates.adapter import Adapter, Hook, is_a
from unstall.gates.gate import Kind, Reading
from unstall.gates.patches import Make, Patches
from unstall.gates.registry import Registry, Turnstile
from unstall.gates.wrappers import (
    asking,
    asking_async,
    opening,
    opening_async,
    returning,
    returning_async,
)

_ENDLESS = 2**31


def _read(pool: Any) -> Reading:
    limit = None if pool.max_connections >= _ENDLESS else pool.max_connections
    waits = is_a(pool, "redis", "BlockingConnectionPool")
    queue = getattr(pool, "pool", None)  # only the synchronous one that waits has it
    if queue is None:
        lent = len(pool._in_use_connections)
        return Reading(limit, len(pool._available_connections), lent, waits)
    free = list(queue.queue)
    idle = sum(connection is not None for connection in free)
    return Reading(limit, idle, pool.max_connections - len(free), waits)


def _timed_out(error: BaseException, got_slot: bool) -> bool:
    return not got_slot and is_a(error, "redis", "ConnectionError") and not _refused(error)


def _refused(error: BaseException) -> bool:
    return is_a(error, "redis", "MaxConnectionsError")


def _name_of(pool: Any) -> str:
    told = pool.connection_kwargs
    number = told.get("db") or 0
    if told.get("path"):
        return f"redis+unix:///{number}"
    return f"redis://{told.get('host') or 'localhost'}:{told.get('port') or 6379}/{number}"


def _is_async(pool: Any) -> bool:
    return is_a(pool, "redis.asyncio", "ConnectionPool")


KIND = Kind("redis", lambda pool: pool, _name_of, _read, _timed_out, _refused, _is_async)


def _installing(
    asking: Callable[..., Make], returning: Callable[..., Make], opening: Callable[..., Make]
) -> Callable[[ModuleType, Patches, Registry], None]:
    """The two modules have the same classes with the same methods, coroutine functions in one of them."""

    def install(module: ModuleType, patches: Patches, registry: Registry) -> None:
        gate = Turnstile(registry, KIND)
        for pool in (module.ConnectionPool, module.BlockingConnectionPool):
            patches.wrap(pool, "get_connection", asking(gate))
            patches.wrap(pool, "release", returning(gate))

        def connecting(original: Any) -> Any:
            opened = opening(gate, _who_asked)(original)

            def connect(self: Any, *args: Any, **named: Any) -> Any:
                if _is_open(self):
                    return original(self, *args, **named)
                gate.slot()
                return opened(self, *args, **named)

            return connect

        patches.wrap(module.AbstractConnection, "connect", connecting)

    return install


_sync = _installing(asking, returning, opening)
_async = _installing(asking_async, returning_async, opening_async)


def _is_open(connection: Any) -> bool:
    connected = getattr(connection, "is_connected", None)
    return (
        connected if isinstance(connected, bool) else getattr(connection, "_sock", None) is not None
    )


def _who_asked(connection: Any) -> None:
    """A connection does not know its pool."""


def _pools_of(thing: Any) -> list[tuple[Any, Kind]]:
    pool = thing.connection_pool if is_a(thing, "redis", "Redis") else thing
    return [(pool, KIND)] if is_a(pool, "redis", "ConnectionPool") else []


ADAPTER = Adapter(
    "a redis-py client or pool, synchronous or asyncio",
    (KIND,),
    (Hook("redis.connection", _sync), Hook("redis.asyncio.connection", _async)),
    _pools_of,
)
