"""Synchronous database drivers and their pools."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psycopg
import psycopg2
import psycopg_pool
import pymongo
import pymongo.errors
import pymysql
import redis
import sqlalchemy

from benchmarks.cases.case import AT, SLOW_S, Case, Group, Place
from unstall.model.finding import Cause

kept = SimpleNamespace()
SLEEP = f"select pg_sleep({SLOW_S})"


def keep_psycopg2() -> None:
    kept.psycopg2 = psycopg2.connect(AT.postgres)


def keep_psycopg() -> None:
    kept.psycopg = psycopg.connect(AT.postgres)


def keep_engine() -> None:
    url = AT.postgres.replace("postgresql://", "postgresql+psycopg2://")
    kept.engine = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=SLOW_S)
    with kept.engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))


def take_the_only_connection() -> None:
    keep_engine()
    kept.taken = kept.engine.connect()


def take_the_only_slot() -> None:
    kept.pool = psycopg_pool.ConnectionPool(AT.postgres, min_size=1, max_size=1, open=True)
    kept.pool.wait()
    kept.taken = kept.pool.getconn()


def keep_sqlite() -> None:
    file = Path(tempfile.mkdtemp(prefix="matrix-")) / "orders.db"
    kept.sqlite = sqlite3.connect(file, timeout=SLOW_S, isolation_level=None)
    kept.sqlite.execute("create table orders (id integer)")
    kept.other = sqlite3.connect(file, isolation_level=None)


def lock_sqlite() -> None:
    keep_sqlite()
    kept.other.execute("begin exclusive")


def keep_mongo() -> None:
    kept.mongo = pymongo.MongoClient(
        f"mongodb://{AT.dead}", serverSelectionTimeoutMS=SLOW_S * 1e3, connect=True
    )


def keep_redis() -> None:
    host, _, port = AT.valkey.partition(":")
    kept.redis = redis.Redis(host=host, port=int(port))
    kept.redis.ping()


async def psycopg2_query() -> None:
    cursor = kept.psycopg2.cursor()
    cursor.execute(SLEEP)  # stalls


async def psycopg_query() -> None:
    kept.psycopg.execute(SLEEP)  # stalls


async def sqlalchemy_query() -> None:
    with kept.engine.connect() as connection:
        connection.execute(sqlalchemy.text(SLEEP))  # stalls


async def sqlalchemy_pool() -> None:
    with suppress(sqlalchemy.exc.TimeoutError):
        kept.engine.connect()  # stalls


async def psycopg_pool_exhausted() -> None:
    with suppress(psycopg_pool.PoolTimeout):
        kept.pool.getconn(timeout=SLOW_S)  # stalls


async def sqlite_locked() -> None:
    with suppress(sqlite3.OperationalError):
        kept.sqlite.execute("insert into orders values (1)")  # stalls


async def pymysql_connect() -> None:
    host, _, port = AT.late.partition(":")
    with suppress(pymysql.MySQLError):
        pymysql.connect(host=host, port=int(port), connect_timeout=5)  # stalls


async def pymongo_ping() -> None:
    with suppress(pymongo.errors.ServerSelectionTimeoutError):
        kept.mongo.admin.command("ping")  # stalls


async def redis_blpop() -> None:
    kept.redis.blpop("nothing", timeout=SLOW_S)  # stalls


async def psycopg2_connect_fast() -> None:
    psycopg2.connect(AT.postgres).close()  # stalls


async def psycopg2_query_fast() -> None:
    cursor = kept.psycopg2.cursor()
    cursor.execute("select 1")  # stalls


async def psycopg_connect_fast() -> None:
    psycopg.connect(AT.postgres).close()  # stalls


async def psycopg_query_fast() -> None:
    kept.psycopg.execute("select 1")  # stalls


async def sqlalchemy_query_fast() -> None:
    with kept.engine.connect() as connection:  # stalls
        connection.execute(sqlalchemy.text("select 1"))  # stalls


async def redis_ping_fast() -> None:
    kept.redis.ping()  # stalls


async def sqlite_fast() -> None:
    kept.sqlite.execute("insert into orders values (1)")  # stalls


_WAITING = (Group.SLOW, Cause.WAITING, "US103")
_LOCK = (Group.SLOW, Cause.LOCK, "US103")
_LATENT = (Group.LATENT, Cause.WAITING, "US103")
_PG = ("postgres",)

CASES = (
    Case(psycopg2_query, *_WAITING, prepare=keep_psycopg2, needs=_PG, quick=True),
    Case(psycopg_query, *_WAITING, place=Place.DEPENDENCY, prepare=keep_psycopg, needs=_PG),
    Case(sqlalchemy_query, *_WAITING, prepare=keep_engine, needs=_PG),
    Case(sqlalchemy_pool, *_LOCK, prepare=take_the_only_connection, needs=_PG),
    Case(psycopg_pool_exhausted, *_LOCK, prepare=take_the_only_slot, needs=_PG),
    Case(sqlite_locked, *_WAITING, prepare=lock_sqlite),
    Case(pymysql_connect, *_WAITING, needs=("late",)),
    Case(pymongo_ping, *_LOCK, prepare=keep_mongo),
    Case(redis_blpop, Group.SLOW, Cause.WAITING, "US104", prepare=keep_redis, needs=("valkey",)),
    Case(psycopg2_connect_fast, *_LATENT, needs=_PG),
    Case(psycopg2_query_fast, *_LATENT, prepare=keep_psycopg2, needs=_PG),
    Case(psycopg_connect_fast, *_LATENT, needs=_PG),
    Case(psycopg_query_fast, *_LATENT, prepare=keep_psycopg, needs=_PG),
    Case(sqlalchemy_query_fast, *_LATENT, prepare=keep_engine, needs=_PG),
    Case(redis_ping_fast, Group.LATENT, Cause.WAITING, "US104", prepare=keep_redis, needs=("valkey",)),
    Case(sqlite_fast, *_LATENT, prepare=keep_sqlite),
)  # fmt: skip
