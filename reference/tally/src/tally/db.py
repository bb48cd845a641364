"""Connections to PostgreSQL: one pool for each process, with a bound on every wait.

    100   the server's max_connections
    -  3  kept for administrators
    - 10  the worker and upstreams: jobs, imports, upkeep, keys
    = 87  for API processes, of which each has `pool_size`, 8, and one that looks whether the server is there

So nine API processes fit, or four while a rolling update runs four more beside them.
"""

from __future__ import annotations

import asyncio
import logging
import select
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from tally.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[TupleRow]]

CONNECT_S = 3
DEAD_PEER_MS = 10_000
"""How long sent data may stay without an acknowledgement: a machine that vanished says nothing."""
RECONNECT_S = 4.0
"""How long one connection is tried for. The pauses double, so a longer series of tries would still sleep when
the server is back; the next request begins a new one."""


ONE_PLAN: Final = "-c plan_cache_mode=force_generic_plan"
"""Few statements, the same over and over. Once autovacuum has looked at a table PostgreSQL may take it for
cheaper to plan each anew, which for an insert with an eye on all partitions costs more than to run it.
"""


def parameters(settings: Settings, statement_s: float | None = None) -> dict[str, Any]:
    """libpq's parameters for a connection; 0 s takes the bound on statements away.

    Where the URL names several hosts, the first that takes writes is used; what the URL sets stays.
    """
    given = conninfo_to_dict(settings.database_url)
    statement_ms = round((settings.statement_s if statement_s is None else statement_s) * 1000)
    bounds = f"-c statement_timeout={statement_ms} -c idle_in_transaction_session_timeout=30000"
    return {
        "connect_timeout": CONNECT_S,
        "application_name": "tally",
        "target_session_attrs": "read-write",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": DEAD_PEER_MS,
        **given,
        "options": f"{bounds} {given.get('options', '')}".strip(),
    }


def conninfo(settings: Settings, statement_s: float | None = None) -> str:
    """The same as one string, for psycopg and procrastinate."""
    return make_conninfo("", **parameters(settings, statement_s))


def async_pool(settings: Settings, name: str = "tally") -> Pool:
    """A pool that is not open yet: `await pool.open()` returns at once, also while the server is away.

    Its connections commit by themselves; several statements belong into
    `async with connection.transaction()`. A full pool raises `psycopg_pool.TooManyRequests`, a wait
    that is too long `psycopg_pool.PoolTimeout`; both are a 503.
    """
    eviction: asyncio.Task[None] | None = None

    async def look(connection: AsyncConnection[TupleRow]) -> None:
        nonlocal eviction
        try:
            await check(connection)
        except psycopg.OperationalError:
            # The others died with it, and are not to be found out one by one. It is a task of its own,
            # because a caller that is cancelled in the middle would take connections with it.
            if eviction is None or eviction.done():
                eviction = asyncio.create_task(pool.check(), name=f"{name} eviction")
            await asyncio.shield(eviction)
            raise

    # It tells of every try; `Readiness` says once that the server is away.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    given = parameters(settings)
    pool: Pool = AsyncConnectionPool(
        kwargs=given | {"autocommit": True, "options": f"{given['options']} {ONE_PLAN}"},
        min_size=2,
        max_size=settings.pool_size,
        max_waiting=settings.pool_waiting,
        timeout=settings.acquire_s,
        reconnect_timeout=RECONNECT_S,
        check=look,
        open=False,
        name=name,
    )
    return pool


async def check(connection: AsyncConnection[Any]) -> None:
    """Raise `psycopg.OperationalError` if the server has closed the connection.

    A server that ends says so, or its system does, and then something is there to be read: that
    costs a look at the socket and no round trip.
    """
    wire = connection.pgconn
    while select.select([wire.socket], [], [], 0)[0]:
        wire.consume_input()  # raises at the end of the stream
        if wire.status != psycopg.pq.ConnStatus.OK:
            raise psycopg.OperationalError("the server has closed the connection")


def engine(settings: Settings) -> Engine:
    """The synchronous way: psycopg2 under SQLAlchemy, with as many connections as the pool has."""
    from sqlalchemy import create_engine  # a tenth of a start that need not know of it

    return create_engine(
        "postgresql+psycopg2://",
        connect_args=parameters(settings),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.acquire_s,
        pool_pre_ping=True,
        pool_recycle=1800,
    )
