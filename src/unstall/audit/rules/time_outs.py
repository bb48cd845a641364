"""US501 to US503: waits for others that no time-out ends."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from unstall.audit.calls import confidence_of
from unstall.audit.entrances_index import Use
from unstall.audit.entrances_syntax import last_name
from unstall.audit.functions import is_open
from unstall.audit.ir import Place
from unstall.audit.rules import live
from unstall.audit.rules.arguments import argument, is_none
from unstall.audit.rules.subject import Subject, found
from unstall.model.finding import Confidence, Finding, Severity

CERTAIN = Confidence.CERTAIN
REQUESTS = "get post put patch delete head options request".split()

WITHOUT = {
    **{f"requests.{verb}": "timeout" for verb in REQUESTS},
    **{f"requests.Session.{verb}": "timeout" for verb in REQUESTS},
    "urllib.request.urlopen": "timeout",
}
"""Calls that wait for ever unless this parameter is given."""

POSITIONS = {"urllib.request.urlopen": 2}

ONLY_NONE = {
    **{
        f"{library}.{what}": "timeout"
        for library in ("httpx", "httpx2")
        for what in ("AsyncClient", "Client", "Timeout", "stream", *REQUESTS)
    },
    **{
        f"{library}.{client}.{verb}": "timeout"
        for library in ("httpx", "httpx2")
        for client in ("AsyncClient", "Client")
        for verb in ("stream", *REQUESTS)
    },
    "aiohttp.ClientSession": "timeout",
    "aiohttp.ClientTimeout": "total",
    "openai.OpenAI": "timeout",
    "openai.AsyncOpenAI": "timeout",
}
"""Calls with a default that `None` takes away."""


def check_http(subject: Subject) -> Iterator[Finding]:
    for use, name in subject.calls(WITHOUT):
        parameter = WITHOUT[name]
        given = argument(use.call, parameter, POSITIONS.get(name))
        if is_open(use.call) or not (given is None or is_none(given)):
            continue
        if _has_its_own(subject, use):
            continue
        yield from _unbounded(
            subject, use, name, f"no {parameter} is given, and the default is none"
        )
    for use, name in subject.calls(ONLY_NONE):
        given = argument(use.call, ONLY_NONE[name], 0 if name.endswith(".Timeout") else None)
        if is_none(given) and not (name.endswith("ClientTimeout") and len(use.call.keywords) > 1):
            yield from _unbounded(
                subject, use, name, f"{ONLY_NONE[name]}=None takes the default away"
            )


def _unbounded(subject: Subject, use: Use, name: str, because: str) -> Iterator[Finding]:
    ways = subject.requests_to(use)
    shared = not use.where.scope and name.rpartition(".")[2].lstrip("_")[:1].isupper()
    if not ways and not shared:
        return
    yield found(
        "US501",
        subject.spot(use.where, use.call, name),
        because,
        ways=ways,
        runs_on=None if ways else Place.STARTUP,
    )


def _found(
    subject: Subject, code: str, use: Use, name: str, because: str, confidence: Confidence,
    severity: Severity | None = None,
) -> Finding:  # fmt: skip
    """As sure as it is that something comes to the call; requests that only may are left out beside it."""
    ways = subject.calling(use)
    least = min((way.guess for way in ways), default=0)
    return found(
        code,
        subject.spot(use.where, use.call, name),
        because,
        confidence=max(confidence, confidence_of(least), key=list(Confidence).index),
        severity=severity,
        ways=tuple(way for way in subject.requests_to(use) if way.guess < 2 or least == 2),
    )


def _has_its_own(subject: Subject, use: Use) -> bool:
    """A session of a class of theirs, or with an adapter: that may set a time-out."""
    func = use.call.func
    if not isinstance(func, ast.Attribute):
        return False
    classes = subject.names.types_of(use.where.module, use.where.scope, func.value)
    if any(cls in subject.program.bases for cls in classes):
        return True
    return any(
        subject.module(each.where).name == use.where.module for each in subject.index.uses("mount")
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds connecting to a database and waiting for its answers."""

    connect: tuple[str, ...]
    answer: tuple[str, ...]
    """Words of which one stands in an argument, where the answer is bounded."""
    what: str


_LIBPQ = Limits(
    ("connect_timeout",),
    ("statement_timeout", "tcp_user_timeout"),
    "connect_timeout or statement_timeout",
)
_MYSQL = Limits(
    ("connect_timeout", "connection_timeout"), ("read_timeout",), "connect_timeout or read_timeout"
)
_ASYNCPG = Limits((), ("command_timeout", "statement_timeout"), "command_timeout")

CONNECTIONS = {
    "psycopg2.connect": _LIBPQ,
    "psycopg.connect": _LIBPQ,
    "psycopg.Connection.connect": _LIBPQ,
    "psycopg.AsyncConnection.connect": _LIBPQ,
    "psycopg2.pool.SimpleConnectionPool": _LIBPQ,
    "psycopg2.pool.ThreadedConnectionPool": _LIBPQ,
    "psycopg_pool.ConnectionPool": _LIBPQ,
    "psycopg_pool.AsyncConnectionPool": _LIBPQ,
    "pymysql.connect": _MYSQL,
    "MySQLdb.connect": _MYSQL,
    "asyncpg.connect": _ASYNCPG,
    "asyncpg.create_pool": _ASYNCPG,
}

ENGINES = frozenset(
    (
        "sqlalchemy.create_engine",
        "sqlalchemy.ext.asyncio.create_async_engine",
        "sqlmodel.create_engine",
    )
)

SCHEMES = {
    "postgresql+asyncpg": _ASYNCPG,
    "postgresql": _LIBPQ,
    "postgres": _LIBPQ,
    "mysql": _MYSQL,
}


def check_database(subject: Subject) -> Iterator[Finding]:
    engines = [use for use, _ in subject.calls(ENGINES)]
    for use, name in subject.calls((*CONNECTIONS, *ENGINES)):
        known = live.pool_of(subject, use, name, engines) if name in ENGINES else None
        limits = CONNECTIONS.get(name) or (_by_driver(known.driver) if known else _by_url(use))
        if limits is None or not _serves(subject, use):
            continue
        said = live.bounds(known) if known else ast.unparse(use.call)
        bounded = [
            any(word in said for word in words)
            for words in (limits.connect, limits.answer)
            if words
        ]
        if all(bounded) or (known is None and (is_open(use.call) or _is_configured(subject, use))):
            continue
        because = f"{limits.what} is not set here; a setting of the server or the role is not seen"
        confidence = Confidence.LIKELY if known or name in CONNECTIONS else Confidence.POSSIBLE
        yield _found(subject, "US502", use, name, because, confidence)


def _by_url(use: Use) -> Limits | None:
    url = argument(use.call, "url", 0)
    return _by_driver(
        url.value if isinstance(url, ast.Constant) and isinstance(url.value, str) else ""
    )


def _by_driver(text: str) -> Limits | None:
    return next((limits for scheme, limits in SCHEMES.items() if text.startswith(scheme)), None)


def _is_configured(subject: Subject, use: Use) -> bool:
    """Options that are made elsewhere: what they say is not known."""
    options = (
        argument(use.call, "connect_args")
        or argument(use.call, "kwargs")
        or argument(use.call, "options")
    )
    if options is not None:
        return not isinstance(options, ast.Dict | ast.Constant)
    address = argument(use.call, "conninfo", 0) or argument(use.call, "dsn", 0)
    return isinstance(address, ast.Call) and last_name(address.func) not in _READS


_READS = frozenset({"get", "getenv", "str"})
"""Calls that only bring an address from elsewhere; others may well add options to it."""


def _serves(subject: Subject, use: Use) -> bool:
    """It is no script's own: something enters there, or it is made when a module is loaded."""
    if not use.where.scope:
        return not use.in_main
    return subject.is_entered(use.where.scope)


CACHES = frozenset(
    f"{library}.{what}"
    for library in ("redis", "redis.asyncio", "valkey", "valkey.asyncio")
    for what in ("Redis", "StrictRedis", "Valkey", "from_url", "Redis.from_url", "ConnectionPool.from_url",
                 "ConnectionPool", "BlockingConnectionPool", "RedisCluster")
)  # fmt: skip
BOUNDED_FROM = (8,)
"""redis-py 8.0 waits 5 s by default; before, for ever."""


def check_cache(subject: Subject) -> Iterator[Finding]:
    caches = list(subject.calls(CACHES))
    for use, name in caches:
        if not _serves(subject, use):
            continue
        call = use.call
        live_pool = live.pool_of(subject, use, name, [other for other, _ in caches])
        if live_pool is not None:
            if live_pool.timeouts.get("socket_timeout") is None:
                because = "as imported it has no socket_timeout: it waits for ever"
                yield _found(subject, "US503", use, name, because, CERTAIN, Severity.NOTE)
            continue
        given = argument(call, "socket_timeout")
        pooled = any(
            argument(call, word) is not None
            for word in ("connection_pool", "single_connection_client")
        )
        url = ast.unparse(call.args[0]) if call.args else ""
        if (
            pooled
            or is_open(call)
            or "socket_timeout" in url
            or (given is not None and not is_none(given))
        ):
            continue
        if is_none(given):
            because = "socket_timeout=None: it waits for ever"
            yield _found(subject, "US503", use, name, because, CERTAIN)
            continue
        version = subject.version(name.partition(".")[0])
        if version is not None and version >= BOUNDED_FROM and name.startswith("redis"):
            continue
        known = version is not None and name.startswith("redis")
        shown = ".".join(map(str, version)) if version else ""
        because = (
            f"no socket_timeout is given, and redis-py {shown} has none"
            if known
            else "no socket_timeout is given; redis-py has none before 8.0"
        )
        confidence = CERTAIN if known else Confidence.POSSIBLE
        yield _found(subject, "US503", use, name, because, confidence, Severity.NOTE)
