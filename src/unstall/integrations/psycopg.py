"""psycopg_pool's `ConnectionPool` and `AsyncConnectionPool`.

These pools connect in workers of their own: who waits while the pool grows waits for a slot like any other.
A slot that is given and fails the pool's check is waited for again.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

from unstall.gates.adapter import Adapter, Hook, is_a
from unstall.gates.gate import Kind, Reading
from unstall.gates.patches import Patches
from unstall.gates.registry import Registry, Turnstile
from unstall.gates.wrappers import (
    asking,
    asking_async,
    opening,
    opening_async,
    returning,
    returning_async,
    slot_after,
    slot_after_async,
)

_NUMBERED = re.compile(r"pool-\d+")


def _read(pool: Any) -> Reading:
    return Reading(limit=pool.max_size or None, idle=len(pool._pool))


def _timed_out(error: BaseException, got_slot: bool) -> bool:
    return is_a(error, "psycopg_pool", "PoolTimeout")


def _refused(error: BaseException) -> bool:
    return is_a(error, "psycopg_pool", "TooManyRequests")


def _name_of(pool: Any) -> str:
    """The name it was given, else what it connects to."""
    if not _NUMBERED.fullmatch(pool.name):
        return str(pool.name)
    from psycopg.conninfo import conninfo_to_dict

    conninfo = pool.conninfo if isinstance(pool.conninfo, str) else ""
    named = pool.kwargs if isinstance(pool.kwargs, dict) else {}
    told = {**conninfo_to_dict(conninfo), **named}
    host = str(told.get("host") or "")
    port = f":{told['port']}" if told.get("port") else ""
    return f"postgresql://{'' if host.startswith('/') else host}{port}/{told.get('dbname') or ''}"


def _is_async(pool: Any) -> bool:
    return is_a(pool, "psycopg_pool", "AsyncConnectionPool")


KIND = Kind("psycopg", lambda pool: pool, _name_of, _read, _timed_out, _refused, _is_async)


def _checks(pool: Any) -> bool:
    return pool._check is not None


def _sync(module: ModuleType, patches: Patches, registry: Registry) -> None:
    gate, pool = Turnstile(registry, KIND), module.ConnectionPool
    patches.wrap(pool, "getconn", asking(gate))
    patches.wrap(pool, "_getconn_unchecked", slot_after(gate, _checks))
    patches.wrap(pool, "_connect", opening(gate, lambda pool: pool))
    patches.wrap(pool, "putconn", returning(gate))


def _async(module: ModuleType, patches: Patches, registry: Registry) -> None:
    gate, pool = Turnstile(registry, KIND), module.AsyncConnectionPool
    patches.wrap(pool, "getconn", asking_async(gate))
    patches.wrap(pool, "_getconn_unchecked", slot_after_async(gate, _checks))
    patches.wrap(pool, "_connect", opening_async(gate, lambda pool: pool))
    patches.wrap(pool, "putconn", returning_async(gate))


def _is_ours(thing: Any) -> bool:
    return is_a(thing, "psycopg_pool", "ConnectionPool") or _is_async(thing)


ADAPTER = Adapter(
    "a psycopg_pool ConnectionPool or AsyncConnectionPool",
    (KIND,),
    (Hook("psycopg_pool.pool", _sync), Hook("psycopg_pool.pool_async", _async)),
    lambda thing: [(thing, KIND)] if _is_ours(thing) else [],
)
