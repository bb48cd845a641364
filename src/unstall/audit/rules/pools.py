"""US403, US404: how large pools are, and how long one waits for a slot."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from unstall.audit import imported
from unstall.audit.entrances_index import Use
from unstall.audit.functions import is_open
from unstall.audit.ir import Place
from unstall.audit.rules import live
from unstall.audit.rules.arguments import argument, is_none, number
from unstall.audit.rules.clients import for_each_request
from unstall.audit.rules.kept import Fate, fate
from unstall.audit.rules.subject import Subject, Way, found
from unstall.audit.rules.time_outs import ENGINES
from unstall.model.finding import Confidence, Finding, Severity

TOKENS = 40
"""Threads that anyio shares out by default."""
SERVER = 100
"""PostgreSQL's max_connections by default."""
SERVERS: Mapping[str, tuple[str, int]] = {
    "postgresql": ("PostgreSQL", SERVER),
    "mysql": ("MySQL", 151),
    "mariadb": ("MariaDB", 151),
}
"""By dialect: who serves, and how many connections it allows by default."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Parameters that say how many connections a pool may have, with their defaults."""

    size: tuple[str, int]
    overflow: tuple[str, int] = ("", 0)


POOLS: Mapping[str, Sizes] = {
    **{engine: Sizes(("pool_size", 5), ("max_overflow", 10)) for engine in ENGINES},
    "asyncpg.create_pool": Sizes(("max_size", 10)),
    "psycopg_pool.ConnectionPool": Sizes(("max_size", 4)),
    "psycopg_pool.AsyncConnectionPool": Sizes(("max_size", 4)),
    "aiomysql.create_pool": Sizes(("maxsize", 10)),
}
UNPOOLED = ("NullPool", "StaticPool", "SingletonThreadPool", "AssertionPool")


@dataclass(frozen=True, slots=True)
class Pool:
    use: Use
    name: str
    size: int
    overflow: int
    dialect: str
    """Empty: not known."""
    server: str
    """What tells its server from others."""

    @property
    def most(self) -> int:
        return self.size + self.overflow

    @property
    def shown(self) -> str:
        return f"({self.size} + {self.overflow})" if self.overflow else str(self.size)


def check_sums(subject: Subject) -> Iterator[Finding]:
    """US403"""
    pools = list(_pools(subject))
    servers: dict[str, list[Pool]] = {}
    for pool in pools:
        servers.setdefault(pool.server, []).append(pool)
    for group in servers.values():
        yield from _too_many(subject, group)
    for pool in pools:
        spot = subject.spot(pool.use.where, pool.use.call, pool.name)
        users = _threaded_users(subject) if "async" not in pool.name.lower() else ()
        tokens = _tokens(subject)
        if users and tokens and pool.name in ENGINES and pool.most < tokens:
            because = (
                f"{tokens} threads serve plain def routes, and the pool has {pool.shown} slots"
            )
            yield found(
                "US403", spot, because, ways=users[:1], severity=Severity.NOTE,
                confidence=Confidence.LIKELY, runs_on=Place.THREAD_POOL,
            )  # fmt: skip


def _too_many(subject: Subject, pools: Sequence[Pool]) -> Iterator[Finding]:
    """All pools of one server, in all workers, against what it allows."""
    counts = [workers for workers in subject.deployment.workers if workers.count > 1]
    most = max(counts, key=lambda each: each.count, default=None)
    workers = most.count if most else 1
    known = next((pool.dialect for pool in pools if pool.dialect), "postgresql")
    if known not in SERVERS:
        return
    server, limit = SERVERS[known]
    total = workers * sum(pool.most for pool in pools)
    if total <= limit:
        return
    first = max(pools, key=lambda pool: pool.most)
    spots = [subject.spot(pool.use.where, pool.use.call, pool.name) for pool in pools]
    each = " + ".join(pool.shown for pool in pools)
    of = f" of {len(pools)} pools at {', '.join(f'{s.file}:{s.line}' for s in spots)}"
    yield found(
        "US403",
        spots[pools.index(first)],
        f"{workers} workers{f' ({most.file}:{most.line})' if most else ''} x "
        f"{f'({each}{of})' if len(pools) > 1 else each} = {total} connections, "
        f"and {limit} is {server}'s default limit (assumed)",
        confidence=Confidence.LIKELY,
        runs_on=Place.STARTUP,
    )


def _pools(subject: Subject) -> Iterator[Pool]:
    uses = [
        (use, name)
        for use, name in subject.calls(POOLS)
        if not use.in_main and _is_shared(subject, use)
    ]
    for use, name in uses:
        sizes = POOLS[name]
        known = live.pool_of(subject, use, name, [other for other, _ in uses])
        if known is None and (is_open(use.call) or _is_unpooled(use)):
            continue
        if known is not None and (known.driver.startswith("sqlite") or known.most is None):
            continue  # of one file; or without a bound that is known
        if known is not None and known.most is not None:
            size = known.size if known.overflow and known.size is not None else known.most
            over: int | None = known.most - size
        else:
            size_, over = _value(use.call, sizes.size), _value(use.call, sizes.overflow)
            if size_ is None:
                continue
            size = size_
        if size and over is not None and over >= 0:
            dialect, server = _server(subject, use, name, known)
            yield Pool(use, name, size, over, dialect, server)


def _is_unpooled(use: Use) -> bool:
    said = ast.unparse(use.call)
    return "sqlite" in said or any(word in said for word in UNPOOLED)


def _server(subject: Subject, use: Use, name: str, known: imported.Pool | None) -> tuple[str, str]:
    """The dialect, and what pools of the same server have in common; else the place of the call itself."""
    own = f"{use.where.module}:{use.call.lineno}:{use.call.col_offset}"
    written = (
        argument(use.call, "url", 0) or argument(use.call, "dsn") or argument(use.call, "conninfo")
    )
    url = written.value if isinstance(written, ast.Constant) else ""
    scheme = known.driver if known and known.driver else str(url).partition("://")[0]
    dialect = _DIALECTS.get(name.partition(".")[0], scheme.partition("+")[0])
    dialect = "postgresql" if dialect == "postgres" else dialect
    if known is not None and known.host:
        return dialect, f"{dialect} {known.host}:{known.port}"
    if known is None and url:
        return dialect, str(url)
    if known is None and written is not None:
        named = subject.names.name_of(use.where.module, use.where.scope, written)
        return dialect, named[0] if len(named) == 1 else own
    return dialect, own


_DIALECTS = {"asyncpg": "postgresql", "psycopg_pool": "postgresql", "aiomysql": "mysql"}


def _is_shared(subject: Subject, use: Use) -> bool:
    """Requests can come to share it: it outlives what makes it, and some do not make one each."""
    if fate(subject, use) is Fate.LET_GO:
        return False
    if subject.is_run_at_import(use.where):
        return True
    own = for_each_request(subject, use)
    serving = [way for way in subject.calling(use) if way.place is not Place.OFFLINE]
    return any(way.guess > 1 or way not in own for way in serving)


def _value(call: ast.Call, parameter: tuple[str, int]) -> int | None:
    """What is given as a literal, else the default; None: something else is given."""
    name, default = parameter
    given = argument(call, name) if name else None
    if given is None:
        return default
    value = number(given)
    return int(value) if value is not None else None


SESSIONS = (
    "sqlalchemy.orm.Session",
    "sqlmodel.Session",
    "sqlalchemy.engine.Connection",
    "sqlalchemy.Connection",
)


def _threaded_users(subject: Subject) -> tuple[Way, ...]:
    """Requests whose plain def steps use a synchronous session."""
    for node, hit in subject.hits(Place.THREAD_POOL):
        if hit.name.startswith(SESSIONS):
            ways = subject.requests(node.function)
            if ways:
                return ways
    return ()


def _tokens(subject: Subject) -> int | None:
    """Of the shared limiter; None: the code sets it to what is not known."""
    tokens: int | None = TOKENS
    for expression in subject.shapes.tokens:
        value = number(expression)
        tokens = int(value) if value is not None else None
    return tokens


WAITS = {
    "asyncpg.Pool.acquire": "timeout",
    "asyncpg.pool.Pool.acquire": "timeout",
}
"""Waits that have no end unless this is given."""
NEVER_NONE = {
    "redis.BlockingConnectionPool": "timeout",
    "redis.asyncio.BlockingConnectionPool": "timeout",
    "httpx.Timeout": "pool",
    "httpx2.Timeout": "pool",
    "sqlalchemy.create_engine": "pool_timeout",
    "sqlalchemy.ext.asyncio.create_async_engine": "pool_timeout",
    "psycopg_pool.ConnectionPool": "timeout",
    "psycopg_pool.AsyncConnectionPool": "timeout",
}
"""Defaults that `None` takes away."""


def check_acquire(subject: Subject) -> Iterator[Finding]:
    """US404"""
    for use, name in subject.calls(WAITS):
        ways = subject.requests_to(use)
        given = argument(use.call, WAITS[name])
        if (
            ways
            and not is_open(use.call)
            and (given is None or is_none(given))
            and not _in_time_out(subject, use)
        ):
            because = "no timeout is given, and the default is none: a full pool makes a queue without end"
            yield found("US404", subject.spot(use.where, use.call, name), because, ways=ways)
    makers = list(subject.calls(NEVER_NONE))
    for use, name in makers:
        known = live.pool_of(subject, use, name, [u for u, n in makers if n == name])
        endless = known is not None and live.waits_for_ever(known)
        if (endless or is_none(argument(use.call, NEVER_NONE[name]))) and not use.in_main:
            because = f"{NEVER_NONE[name]}=None: a full pool makes a queue without end"
            ways = subject.requests_to(use)
            yield found("US404", subject.spot(use.where, use.call, name), because, ways=ways)


def _in_time_out(subject: Subject, use: Use) -> bool:
    """Something in the function bounds it from outside."""
    nodes = subject.index.nodes_of(use.where.scope)
    names = {"timeout", "wait_for", "move_on_after", "fail_after", "timeout_at"}
    return any(
        isinstance(node, ast.Call)
        and (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        in names
        for node in nodes
    )
