"""httpx and httpx2, clients and asynchronous clients: the wait is in the pool of httpcore or httpcore2.

The wait is taken from the pool itself, so the `trace` extension stays the application's own. A slot is a
request that has its connection, until its response is closed. Over HTTP/2 requests share connections, so
there a request that holds one and asks for another is not reported.
"""

from __future__ import annotations

import sys
from types import FrameType, ModuleType
from typing import Any

from unstall.gates.adapter import Adapter, Hook, is_a
from unstall.gates.gate import Kind, Reading
from unstall.gates.patches import Patches
from unstall.gates.registry import Registry, Turnstile
from unstall.gates.wrappers import opening, opening_async

_CLOSE_BY = 16
_PORTS = {"http": 80, "https": 443}


def _read(pool: Any) -> Reading:
    connections = pool.connections
    idle = sum(connection.is_idle() for connection in connections)
    most = pool._max_connections
    return Reading(
        limit=None if most == sys.maxsize else most,
        idle=idle,
        used=len(connections) - idle,
        waits=not pool._http2,
    )


def _timed_out(error: BaseException, got_slot: bool) -> bool:
    return any(is_a(error, library, "PoolTimeout") for library in _KINDS)


def _named(library: str) -> Any:
    def name_of(pool: Any) -> str:
        """The base address of its client, else the library: such a client calls whom it likes."""
        frame: FrameType | None = sys._getframe(1)
        for _ in range(_CLOSE_BY):
            if frame is None:
                break
            if frame.f_code.co_name == "_send_single_request":
                return address(frame.f_locals.get("self")) or library
            frame = frame.f_back
        return library

    return name_of


def address(client: Any) -> str:
    """`https://billing:443` of a client with a base address, else empty."""
    url = getattr(client, "base_url", None)
    if url is None or not url.host:
        return ""
    return f"{url.scheme}://{url.host}:{url.port or _PORTS.get(url.scheme, 0)}"


def _is_async(pool: Any) -> bool:
    return any(is_a(pool, library, "AsyncConnectionPool") for library in _KINDS)


def _kind(library: str) -> Kind:
    return Kind(
        library, lambda pool: pool, _named(library), _read, _timed_out, asynchronous=_is_async
    )


_KINDS = {"httpcore": _kind("httpx"), "httpcore2": _kind("httpx2")}


def _sync(module: ModuleType, patches: Patches, registry: Registry) -> None:
    gate = _gate(module, registry)

    def handling(original: Any) -> Any:
        def handle_request(self: Any, request: Any) -> Any:
            loan = gate.ask(self)
            try:
                return original(self, request)
            except BaseException as error:
                gate.refused(loan, error, self)
                raise

        return handle_request

    def waiting(original: Any) -> Any:
        def wait_for_connection(self: Any, *args: Any, **named: Any) -> Any:
            connection = original(self, *args, **named)
            gate.given_here(self)
            return connection

        return wait_for_connection

    def closing(original: Any) -> Any:
        def close(self: Any) -> None:
            gate.released(self._pool_request)
            original(self)

        return close

    patches.wrap(module.ConnectionPool, "handle_request", handling)
    patches.wrap(module.PoolRequest, "wait_for_connection", waiting)
    patches.wrap(module.PoolByteStream, "close", closing)


def _async(module: ModuleType, patches: Patches, registry: Registry) -> None:
    gate = _gate(module, registry)

    def handling(original: Any) -> Any:
        async def handle_async_request(self: Any, request: Any) -> Any:
            loan = gate.ask(self)
            try:
                return await original(self, request)
            except BaseException as error:
                gate.refused(loan, error, self)
                raise

        return handle_async_request

    def waiting(original: Any) -> Any:
        async def wait_for_connection(self: Any, *args: Any, **named: Any) -> Any:
            connection = await original(self, *args, **named)
            gate.given_here(self)
            return connection

        return wait_for_connection

    def closing(original: Any) -> Any:
        async def aclose(self: Any) -> None:
            gate.released(self._pool_request)
            await original(self)

        return aclose

    patches.wrap(module.AsyncConnectionPool, "handle_async_request", handling)
    patches.wrap(module.AsyncPoolRequest, "wait_for_connection", waiting)
    patches.wrap(module.PoolByteStream, "aclose", closing)


def _sync_connection(module: ModuleType, patches: Patches, registry: Registry) -> None:
    patches.wrap(module.HTTPConnection, "_connect", opening(_gate(module, registry), _who_asked))


def _async_connection(module: ModuleType, patches: Patches, registry: Registry) -> None:
    make = opening_async(_gate(module, registry), _who_asked)
    patches.wrap(module.AsyncHTTPConnection, "_connect", make)


def _who_asked(connection: Any) -> None:
    """A connection does not know its pool."""


def _gate(module: ModuleType, registry: Registry) -> Turnstile:
    return Turnstile(registry, _KINDS[module.__name__.partition(".")[0]])


def _pools_of(thing: Any) -> list[tuple[Any, Kind]]:
    if any(is_a(thing, library, "BaseClient") for library in ("httpx", "httpx2")):
        transports = [thing._transport, *thing._mounts.values()]
        pools = [getattr(transport, "_pool", None) for transport in transports]
    else:
        pools = [thing]
    return [(pool, kind) for pool in pools if (kind := _kind_of(pool)) is not None]


def _kind_of(pool: Any) -> Kind | None:
    for library, kind in _KINDS.items():
        if is_a(pool, library, "ConnectionPool") or is_a(pool, library, "AsyncConnectionPool"):
            return kind
    return None


ADAPTER = Adapter(
    "an httpx or httpx2 Client or AsyncClient",
    tuple(_KINDS.values()),
    tuple(
        Hook(f"{library}.{module}", install)
        for library in _KINDS
        for module, install in (
            ("_sync.connection_pool", _sync),
            ("_async.connection_pool", _async),
            ("_sync.connection", _sync_connection),
            ("_async.connection", _async_connection),
        )
    ),
    _pools_of,
)
