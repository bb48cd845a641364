"""`asyncpg.Pool`. Its slots are the holders in its queue; a holder is connected after it has been given.

The pool takes no weak references, so its gate lives as long as its queue, which exists once it is open.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from unstall.gates.adapter import Adapter, Hook, is_a
from unstall.gates.gate import Kind, Reading
from unstall.gates.patches import Patches
from unstall.gates.registry import Registry, Turnstile
from unstall.gates.wrappers import asking_async, opening_async, slot_before


def _read(queue: Any) -> Reading:
    free = list(queue._queue)
    return Reading(
        limit=queue.maxsize,
        idle=sum(holder.is_connected() for holder in free),
        used=queue.maxsize - len(free),
    )


def _timed_out(error: BaseException, got_slot: bool) -> bool:
    return isinstance(error, TimeoutError) and not got_slot


def _name_of(pool: Any) -> str:
    """From what it is connected to, else from what it was told to connect to."""
    for holder in pool._holders:
        connection = holder._con
        if connection is not None and isinstance(connection._addr, tuple):
            host, port = connection._addr[:2]
            return f"postgresql://{host}:{port}/{connection._params.database}"
    return _told(pool._connect_args, pool._connect_kwargs)


def _told(args: Any, named: dict[str, Any]) -> str:
    dsn = named.get("dsn") or (args[0] if args else None) or ""
    url = urlsplit(dsn) if "://" in str(dsn) else urlsplit("")
    places = url.netloc.rpartition("@")[2]
    host = named.get("host")
    if host is not None and not str(host).startswith("/"):
        places = f"{host}:{named['port']}" if named.get("port") else str(host)
    database = named.get("database") or url.path.strip("/")
    return f"postgresql://{places}/{database}"


KIND = Kind(
    "asyncpg",
    lambda pool: pool._queue,
    _name_of,
    _read,
    _timed_out,
    asynchronous=lambda pool: True,
)


def _pools(module: ModuleType, patches: Patches, registry: Registry) -> None:
    gate, holder = Turnstile(registry, KIND), module.PoolConnectionHolder
    loans = gate.loans
    asks = asking_async(gate, lambda proxy: proxy._holder)
    looks = asking_async(gate, lambda proxy: proxy._holder, gate.look)

    def asking(original: Any) -> Any:
        """Without a time-out no error is counted, and who goes by unseen needs nothing around it."""
        ask, look = asks(original), looks(original)

        def _acquire(self: Any, timeout: Any) -> Any:
            if timeout is not None:
                return ask(self, timeout)
            return original(self, timeout) if gate.passes() else look(self, timeout)

        return _acquire

    patches.wrap(module.Pool, "_acquire", asking)
    patches.wrap(holder, "connect", opening_async(gate, lambda holder: holder._pool))
    patches.wrap(holder, "connect", slot_before(gate))

    def setting_up(original: Any) -> Any:
        def acquire(self: Any) -> Any:
            if self._setup is not None:
                gate.slot()
            return original(self)

        return acquire

    def releasing(original: Any) -> Any:
        def _release(self: Any) -> Any:
            if id(self) in loans:
                gate.released(self)
            return original(self)

        return _release

    patches.wrap(holder, "acquire", setting_up)
    patches.wrap(holder, "_release", releasing)


ADAPTER = Adapter(
    "an asyncpg Pool",
    (KIND,),
    (Hook("asyncpg.pool", _pools),),
    lambda thing: [(thing, KIND)] if is_a(thing, "asyncpg", "Pool") else [],
)
