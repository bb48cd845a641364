"""SQLAlchemy's pools, of `Engine` and `AsyncEngine` alike: both end in `sqlalchemy.pool`.

`_do_get` waits for a slot and opens a connection if there is none; the second is told apart by
`_ConnectionRecord.__connect`. A pool is named after its engine's address, which is read from the frame of
`Engine.raw_connection` once for each pool. `Engine.dispose` makes a new pool, that keeps the name.
"""

from __future__ import annotations

import sys
from pathlib import PurePath
from types import FrameType, ModuleType
from typing import Any

from unstall.gates.adapter import Adapter, Hook, is_a
from unstall.gates.gate import Kind, Reading
from unstall.gates.patches import Patches
from unstall.gates.registry import Registry, Turnstile
from unstall.gates.wrappers import asking, opening, returning, slot_before

_CONNECT = "_ConnectionRecord__connect"
_POOL = "_ConnectionRecord__pool"
_CLOSE_BY = 12


def _read(pool: Any) -> Reading:
    if not is_a(pool, "sqlalchemy", "QueuePool"):
        return Reading(limit=None, idle=0)
    overflow = pool._max_overflow
    return Reading(
        limit=None if overflow < 0 else pool.size() + overflow,
        idle=pool.checkedin(),
        used=pool.checkedout(),
    )


def _timed_out(error: BaseException, got_slot: bool) -> bool:
    return is_a(error, "sqlalchemy", "TimeoutError")


def _name_of(pool: Any) -> str:
    """`postgresql://db:5432/shop`; of a pool without an engine, its dialect."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_CLOSE_BY):
        if frame is None:
            break
        if frame.f_code.co_name == "raw_connection":
            engine = frame.f_locals.get("self")
            if getattr(engine, "pool", None) is pool:
                return address(engine.url)  # type: ignore[union-attr]
        frame = frame.f_back
    return str(getattr(pool._dialect, "name", None) or "sqlalchemy")


def address(url: Any) -> str:
    """Of a `sqlalchemy.URL`: backend, host, port and database, and nothing of who connects."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return f"sqlite:///{PurePath(url.database or ':memory:').name}"
    port = f":{url.port}" if url.port else ""
    return f"{backend}://{url.host or ''}{port}/{url.database or ''}"


KIND = Kind("sqlalchemy", lambda pool: pool, _name_of, _read, _timed_out)


def _pools_of(thing: Any) -> tuple[Any, ...]:
    if is_a(thing, "sqlalchemy", "AsyncEngine"):
        thing = thing.sync_engine
    if is_a(thing, "sqlalchemy", "Engine"):
        return (thing.pool,)
    return (thing,) if is_a(thing, "sqlalchemy", "Pool") else ()


def _pools(module: ModuleType, patches: Patches, registry: Registry) -> None:
    gate = Turnstile(registry, KIND)

    def recreating(original: Any) -> Any:
        def recreate(self: Any) -> Any:
            pool = original(self)
            registry.follow(self, pool, KIND)
            return pool

        return recreate

    for pool in (module.QueuePool, module.NullPool):
        patches.wrap(pool, "_do_get", asking(gate))
        patches.wrap(pool, "_do_return_conn", returning(gate))
        patches.wrap(pool, "recreate", recreating)


def _records(module: ModuleType, patches: Patches, registry: Registry) -> None:
    gate, record = Turnstile(registry, KIND), module._ConnectionRecord
    patches.wrap(record, _CONNECT, opening(gate, lambda record: getattr(record, _POOL, None)))
    patches.wrap(record, _CONNECT, slot_before(gate))


ADAPTER = Adapter(
    "a SQLAlchemy Engine, AsyncEngine or Pool",
    (KIND,),
    (Hook("sqlalchemy.pool.base", _records), Hook("sqlalchemy.pool.impl", _pools)),
    lambda thing: [(pool, KIND) for pool in _pools_of(thing)],
)
