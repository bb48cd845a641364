"""Whom a driver's call asked, by what its arguments hold: a host and its port, and nothing else of them.

Read after the call, on the loop's thread. What cannot be read is not known; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from unstall.hosts import in_brackets

Arguments = tuple[Any, ...]
Reader = Callable[[Arguments, Mapping[str, Any], Any], str | None]
"""From the arguments of a call, its object first, and its result."""

_PORTS = {"http": 80, "https": 443}


def asked_by(call: str, args: Arguments, named: Mapping[str, Any], result: Any) -> str | None:
    """`10.0.0.5:5432`, as the client has it; None: not known."""
    reader = READERS.get(call)
    if reader is None:
        return None
    try:
        return reader(args, named, result)
    except Exception:  # another version of the driver, or a connection that is closed
        return None


def _address(host: str, port: int) -> str:
    return f"{in_brackets(host)}:{port}"


def _of_request(args: Arguments, named: Mapping[str, Any], result: Any) -> str | None:
    request = args[1] if len(args) > 1 else named["request"]
    parts = urlsplit(str(request.url))
    port = parts.port or _PORTS.get(parts.scheme)
    return _address(parts.hostname, port) if parts.hostname and port else None


def _of_http(args: Arguments, named: Mapping[str, Any], result: Any) -> str | None:
    connection = args[0]
    if connection._tunnel_host:  # a proxy stands before it
        return _address(connection._tunnel_host, connection._tunnel_port)
    return _address(connection.host, connection.port)


def _of_redis(args: Arguments, named: Mapping[str, Any], result: Any) -> str | None:
    told = args[0].connection_pool.connection_kwargs
    path = told.get("path")
    return str(path) if path else _address(told.get("host", "localhost"), told.get("port", 6379))


def _of_libpq(host: str, port: int | str) -> str:
    """Of several in a DSN, it is the one that is connected; a path is a Unix socket's folder."""
    return host if host.startswith("/") else _address(host, int(port))


def _of_psycopg2(args: Arguments, named: Mapping[str, Any], result: Any) -> str:
    info = (args[0].connection if result is None else result).info
    return _of_libpq(info.host, info.port)


def _of_psycopg(args: Arguments, named: Mapping[str, Any], result: Any) -> str:
    own = args[0].pgconn
    return _of_libpq(own.host.decode(), own.port.decode())


def _of_mysql(args: Arguments, named: Mapping[str, Any], result: Any) -> str:
    own = args[0]
    return own.unix_socket or _address(own.host, own.port)


READERS: Mapping[str, Reader] = {
    "psycopg.Connection.wait": _of_psycopg,
    "psycopg2.connect": _of_psycopg2,
    "psycopg2.extensions.cursor.execute": _of_psycopg2,
    "psycopg2.extensions.cursor.executemany": _of_psycopg2,
    "psycopg2.extensions.cursor.callproc": _of_psycopg2,
    "pymysql.connections.Connection.query": _of_mysql,
    "redis.Redis.execute_command": _of_redis,
    "redis.client.Pipeline.execute": _of_redis,
    "requests.Session.send": _of_request,
    "httpx.Client.send": _of_request,
    "httpx2.Client.send": _of_request,
    "botocore.httpsession.URLLib3Session.send": _of_request,
    "http.client.HTTPConnection.getresponse": _of_http,
}
"""By the name that the call has in findings."""
