"""Pools and clients that exist after the import, with their sizes and time-outs. Passwords are never read.

Found among the collector's objects, so those in closures and in other objects count, too.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

Told = dict[str, Any]

_MOST = 500


def found(owners: dict[int, str]) -> list[Told]:
    pools = []
    for value in gc.get_objects():
        reader = _reader(type(value))
        if reader is None:
            continue
        kind, read = reader
        try:
            told = read(value)
        except Exception as error:  # another version keeps it elsewhere
            told = {"unread": type(error).__name__}
        if told is None:
            continue
        told.update(kind=kind, name=owners.get(id(value), ""), type=_name(type(value)))
        pools.append(told)
        if len(pools) >= _MOST:
            break
    return _named_engines(pools, owners)


def _reader(cls: type) -> tuple[str, Callable[[Any], Told | None]] | None:
    if cls.__module__ == "builtins":
        return None
    known = _known.get(cls, 0)
    if known == 0:
        known = next((READERS[n] for n in map(_name, type.mro(cls)) if n in READERS), None)
        _known[cls] = known
    return known  # type: ignore[no-any-return]


_known: dict[type, Any] = {}


def _name(cls: type) -> str:
    return "%s.%s" % (cls.__module__, cls.__qualname__)


def _named_engines(pools: list[Told], owners: dict[int, str]) -> list[Told]:
    """An AsyncEngine lends its name to the engine inside it."""
    inner = {told.pop("of"): told for told in pools if "of" in told}
    for told in pools:
        lender = inner.get(told.pop("self", None))
        if lender is not None and not told["name"]:
            told["name"] = lender["name"]
    return [told for told in pools if told["kind"] != "async engine"]


def _number(value: Any) -> Any:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _waits(options: Any) -> dict[str, Any]:
    """Of driver arguments, those that bound a wait."""
    kept: dict[str, Any] = {}
    for name, value in dict(options or {}).items():
        if "timeout" in str(name) and isinstance(value, (int, float, type(None))):
            kept[str(name)] = value
        elif name == "options" and isinstance(value, str) and "timeout" in value:
            kept["options"] = value[:200]
    return kept


# --- databases ------------------------------------------------------------------------------


def _engine(engine: Any) -> Told:
    pool = engine.pool
    size = getattr(pool, "size", None)
    return {
        "self": id(engine),
        "is_async": bool(getattr(engine.dialect, "is_async", False)),
        "driver": str(engine.url.drivername),
        "host": engine.url.host,
        "port": engine.url.port,
        "database": engine.url.database,
        "pool_class": _name(type(pool)),
        "size": _number(size() if callable(size) else None),
        "overflow": _number(getattr(pool, "_max_overflow", None)),
        "acquire_timeout": _number(getattr(pool, "_timeout", None)),
        "timeouts": {**_waits(engine.url.query), **_waits(_connect_arguments(pool))},
    }


def _connect_arguments(pool: Any) -> Any:
    """What `create_engine` closed its connecting function over, `connect_args` among it."""
    creator = getattr(pool, "_creator", None)
    cells = getattr(creator, "__closure__", None) or ()
    names = getattr(getattr(creator, "__code__", None), "co_freevars", ())
    for index, name in enumerate(names):
        if name in ("cparams", "creator_kwargs"):
            return cells[index].cell_contents
    return {}


def _async_engine(engine: Any) -> Told:
    return {"of": id(engine.sync_engine)}


def _psycopg_pool(pool: Any) -> Told:
    return {
        "is_async": "Async" in type(pool).__name__,
        "size": _number(pool.min_size),
        "most": _number(pool.max_size),
        "acquire_timeout": _number(pool.timeout),
        "timeouts": _waits(pool.kwargs if isinstance(pool.kwargs, dict) else {}),
    }


def _asyncpg_pool(pool: Any) -> Told:
    options = getattr(pool, "_connect_kwargs", {})
    told: Told = {"is_async": True, "size": _number(pool._minsize), "most": _number(pool._maxsize)}
    told["timeouts"] = _waits(options)
    return told


def _mongo(client: Any) -> Told:
    options = client.options
    return {
        "is_async": "Async" in type(client).__name__,
        "most": _number(options.pool_options.max_pool_size),
        "acquire_timeout": _number(options.pool_options.wait_queue_timeout),
        "timeouts": {
            "connect_timeout": options.pool_options.connect_timeout,
            "socket_timeout": options.pool_options.socket_timeout,
        },
    }


# --- caches and HTTP ------------------------------------------------------------------------


def _redis(pool: Any) -> Told:
    options = pool.connection_kwargs
    timeouts = {
        name: _number(options.get(name)) for name in ("socket_timeout", "socket_connect_timeout")
    }
    return {
        "is_async": ".asyncio." in type(pool).__module__,
        "host": options.get("host"),
        "port": options.get("port"),
        "most": _number(pool.max_connections),
        "acquire_timeout": _number(getattr(pool, "timeout", None)),
        "timeouts": timeouts,
    }


def _httpx(client: Any) -> Told:
    limit = client.timeout
    inner = getattr(client._transport, "_pool", None)
    return {
        "is_async": "Async" in type(client).__name__,
        "host": client.base_url.host or None,
        "most": _number(getattr(inner, "_max_connections", None)),
        "acquire_timeout": limit.pool,
        "timeouts": {"connect": limit.connect, "read": limit.read, "write": limit.write},
    }


def _requests(session: Any) -> Told:
    adapter = session.adapters.get("https://")
    return {
        "is_async": False,
        "most": _number(getattr(adapter, "_pool_maxsize", None)),
        "timeouts": {"default": None},
    }


def _boto(client: Any) -> Told:
    options = client.meta.config
    return {
        "is_async": False,
        "service": client.meta.service_model.service_name,
        "most": _number(options.max_pool_connections),
        "timeouts": {"connect": options.connect_timeout, "read": options.read_timeout},
    }


READERS: dict[str, tuple[str, Callable[[Any], Told | None]]] = {
    "sqlalchemy.engine.base.Engine": ("engine", _engine),
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": ("async engine", _async_engine),
    "psycopg_pool.base.BasePool": ("pool", _psycopg_pool),
    "asyncpg.pool.Pool": ("pool", _asyncpg_pool),
    "pymongo.synchronous.mongo_client.MongoClient": ("client", _mongo),
    "pymongo.asynchronous.mongo_client.AsyncMongoClient": ("client", _mongo),
    "pymongo.mongo_client.MongoClient": ("client", _mongo),
    "redis.connection.ConnectionPool": ("pool", _redis),
    "redis.asyncio.connection.ConnectionPool": ("pool", _redis),
    "httpx.Client": ("client", _httpx),
    "httpx._client.Client": ("client", _httpx),
    "httpx.AsyncClient": ("client", _httpx),
    "httpx._client.AsyncClient": ("client", _httpx),
    "httpx2.Client": ("client", _httpx),
    "httpx2._client.Client": ("client", _httpx),
    "httpx2.AsyncClient": ("client", _httpx),
    "httpx2._client.AsyncClient": ("client", _httpx),
    "requests.sessions.Session": ("client", _requests),
    "botocore.client.BaseClient": ("client", _boto),
}
"""Class, by where it is defined, to what it is and how its numbers are read."""
