"""Databases and stores: a synchronous call that is fast today, and its asynchronous twin."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiomysql
import aiosqlite
import asyncpg
import duckdb
import elasticsearch
import mysql.connector
import mysql.connector.aio
import oracledb
import peewee
import psycopg2.pool
import psycopg_pool
import pymongo
import pymssql
import pymysql
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from benchmarks.cases.case import AT, Case, Group
from benchmarks.cases.network import address
from unstall.model.finding import Cause

kept = SimpleNamespace()
MYSQL = {"user": "root", "database": "shop"}


# --- before the loop, and at start-up ---------------------------------------------------------------


def make_file() -> None:
    kept.file = Path(tempfile.mkdtemp(prefix="matrix-")) / "orders.db"
    with sqlite3.connect(kept.file) as base:
        base.execute("create table orders (id integer)")


def keep_engine() -> None:
    make_file()
    kept.engine = sqlalchemy.create_engine(f"sqlite:///{kept.file}")
    with kept.engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))


def keep_peewee() -> None:
    make_file()
    kept.peewee = peewee.SqliteDatabase(kept.file)
    kept.peewee.connect()


def keep_duckdb() -> None:
    kept.duckdb = duckdb.connect(str(Path(tempfile.mkdtemp(prefix="matrix-")) / "orders.duckdb"))
    kept.duckdb.execute("create table orders (id integer)")


def keep_pymysql() -> None:
    host, port = address(AT.mysql)
    kept.pymysql = pymysql.connect(host=host, port=port, **MYSQL)


def keep_mysql_connector() -> None:
    host, port = address(AT.mysql)
    kept.mysql = mysql.connector.connect(host=host, port=port, use_pure=True, **MYSQL)


def keep_mongo() -> None:
    kept.mongo = pymongo.MongoClient(f"mongodb://{AT.mongo}")
    kept.mongo.shop.orders.insert_one({"id": 1})


def keep_elastic() -> None:
    kept.elastic = elasticsearch.Elasticsearch(f"http://{AT.web}")
    kept.elastic.info()


def keep_psycopg_pool() -> None:
    kept.pool = psycopg_pool.ConnectionPool(AT.postgres, min_size=1, max_size=1, open=True)
    kept.pool.wait()


def keep_psycopg2_pool() -> None:
    kept.threaded = psycopg2.pool.ThreadedConnectionPool(1, 1, AT.postgres)


async def open_aiosqlite() -> None:
    make_file()
    kept.aiosqlite = await aiosqlite.connect(kept.file)


async def open_async_engine() -> None:
    make_file()
    kept.engine = create_async_engine(f"sqlite+aiosqlite:///{kept.file}")
    async with kept.engine.connect() as connection:
        await connection.execute(sqlalchemy.text("select 1"))


async def open_aiomysql() -> None:
    host, port = address(AT.mysql)
    kept.aiomysql = await aiomysql.connect(host=host, port=port, user="root", db="shop")


async def open_mysql_connector() -> None:
    host, port = address(AT.mysql)
    plain = {**MYSQL, "ssl_disabled": True}
    kept.mysql = await mysql.connector.aio.connect(host=host, port=port, **plain)


async def open_mongo() -> None:
    kept.mongo = pymongo.AsyncMongoClient(f"mongodb://{AT.mongo}")
    await kept.mongo.shop.orders.insert_one({"id": 1})


async def open_elastic() -> None:
    kept.elastic = elasticsearch.AsyncElasticsearch(f"http://{AT.web}")
    await kept.elastic.info()


async def open_psycopg_pool() -> None:
    kept.pool = psycopg_pool.AsyncConnectionPool(AT.postgres, min_size=1, max_size=1, open=False)
    await kept.pool.open(wait=True)


async def open_asyncpg_pool() -> None:
    kept.pool = await asyncpg.create_pool(AT.postgres, min_size=1, max_size=1)


# --- what blocks ------------------------------------------------------------------------------------


async def sqlalchemy_sqlite_session() -> None:
    with Session(kept.engine) as session:
        session.execute(sqlalchemy.text("insert into orders values (1)"))  # stalls
        session.commit()  # stalls


async def peewee_insert() -> None:
    kept.peewee.execute_sql("insert into orders values (1)")  # stalls


async def duckdb_query() -> None:
    kept.duckdb.execute("insert into orders values (1)")  # stalls


async def pymysql_query() -> None:
    with kept.pymysql.cursor() as cursor:
        cursor.execute("select 1")  # stalls
        cursor.fetchall()


async def mysql_connector_query() -> None:
    cursor = kept.mysql.cursor()  # stalls
    cursor.execute("select 1")  # stalls
    cursor.fetchall()  # stalls


async def pymongo_insert() -> None:
    kept.mongo.shop.orders.insert_one({"id": 2})  # stalls


async def pymongo_find() -> None:
    list(kept.mongo.shop.orders.find({"id": 2}))  # stalls


async def elasticsearch_search() -> None:
    headers = {"accept": "application/json"}
    kept.elastic.perform_request("GET", "/orders/_search", headers=headers)  # stalls


async def psycopg_pool_query() -> None:
    with kept.pool.connection() as connection:  # stalls
        connection.execute("select 1")  # stalls


async def psycopg2_pool_query() -> None:
    connection = kept.threaded.getconn()
    cursor = connection.cursor()
    cursor.execute("select 1")  # stalls
    connection.rollback()  # stalls
    kept.threaded.putconn(connection)


async def pymssql_connect_refused() -> None:
    host, port = address(AT.dead)
    with suppress(pymssql.Error):
        pymssql.connect(host, "sa", "x", "shop", port=str(port), login_timeout=2)  # stalls


async def oracledb_connect_refused() -> None:
    with suppress(oracledb.Error):
        oracledb.connect(user="x", password="x", dsn=f"{AT.dead}/shop")  # stalls


# --- and what does not ------------------------------------------------------------------------------


async def sqlalchemy_aiosqlite(item: int) -> None:
    async with kept.engine.begin() as connection:
        await connection.execute(sqlalchemy.text("insert into orders values (1)"))


async def aiosqlite_insert(item: int) -> None:
    await kept.aiosqlite.execute("insert into orders values (1)")
    await kept.aiosqlite.commit()


async def aiosqlite_connect(item: int) -> None:
    async with aiosqlite.connect(kept.file) as base:
        await base.execute_fetchall("select * from orders")


async def duckdb_in_a_thread(item: int) -> None:
    await asyncio.to_thread(kept.duckdb.execute, "insert into orders values (1)")


async def aiomysql_query(item: int) -> None:
    async with kept.aiomysql.cursor() as cursor:
        await cursor.execute("select 1")
        await cursor.fetchall()


async def mysql_connector_async(item: int) -> None:
    async with await kept.mysql.cursor() as cursor:
        await cursor.execute("select 1")
        await cursor.fetchall()


async def pymongo_async(item: int) -> None:
    await kept.mongo.shop.orders.insert_one({"id": 2})
    await kept.mongo.shop.orders.find({"id": 2}).to_list()


async def elasticsearch_async(item: int) -> None:
    await kept.elastic.perform_request(
        "GET", "/orders/_search", headers={"accept": "application/json"}
    )


async def psycopg_pool_async(item: int) -> None:
    async with kept.pool.connection() as connection:
        await connection.execute("select 1")


async def asyncpg_pool(item: int) -> None:
    async with kept.pool.acquire() as connection:
        await connection.fetch("select 1")


async def pymssql_in_a_thread(item: int) -> None:
    def connect() -> Any:
        host, port = address(AT.dead)
        with suppress(pymssql.Error):
            return pymssql.connect(host, "sa", "x", "shop", port=str(port), login_timeout=2)

    await asyncio.to_thread(connect)


async def oracledb_async(item: int) -> None:
    with suppress(oracledb.Error):
        await oracledb.connect_async(user="x", password="x", dsn=f"{AT.dead}/shop")


_LATENT = (Group.LATENT, Cause.WAITING, "US103")
_CLEAN = (Group.CLEAN,)
_PG, _MYSQL, _MONGO, _WEB = ("postgres",), ("mysql",), ("mongo",), ("web",)

CASES = (
    Case(sqlalchemy_sqlite_session, *_LATENT, prepare=keep_engine),
    Case(peewee_insert, *_LATENT, prepare=keep_peewee),
    Case(duckdb_query, *_LATENT, prepare=keep_duckdb, quick=True),
    Case(pymysql_query, *_LATENT, prepare=keep_pymysql, needs=_MYSQL),
    Case(mysql_connector_query, *_LATENT, prepare=keep_mysql_connector, needs=_MYSQL),
    Case(pymongo_insert, *_LATENT, prepare=keep_mongo, needs=_MONGO, quick=True),
    Case(pymongo_find, *_LATENT, prepare=keep_mongo, needs=_MONGO),
    Case(elasticsearch_search, *_LATENT, prepare=keep_elastic, needs=_WEB),
    Case(psycopg_pool_query, *_LATENT, prepare=keep_psycopg_pool, needs=_PG),
    Case(psycopg2_pool_query, *_LATENT, prepare=keep_psycopg2_pool, needs=_PG),
    Case(pymssql_connect_refused, *_LATENT),
    Case(oracledb_connect_refused, *_LATENT),
    Case(sqlalchemy_aiosqlite, *_CLEAN, connect=open_async_engine),
    Case(aiosqlite_insert, *_CLEAN, connect=open_aiosqlite),
    Case(aiosqlite_connect, *_CLEAN, prepare=make_file),
    Case(duckdb_in_a_thread, *_CLEAN, prepare=keep_duckdb),
    Case(aiomysql_query, *_CLEAN, connect=open_aiomysql, needs=_MYSQL),
    Case(mysql_connector_async, *_CLEAN, connect=open_mysql_connector, needs=_MYSQL),
    Case(pymongo_async, *_CLEAN, connect=open_mongo, needs=_MONGO, quick=True),
    Case(elasticsearch_async, *_CLEAN, connect=open_elastic, needs=_WEB),
    Case(psycopg_pool_async, *_CLEAN, connect=open_psycopg_pool, needs=_PG),
    Case(asyncpg_pool, *_CLEAN, connect=open_asyncpg_pool, needs=_PG),
    Case(pymssql_in_a_thread, *_CLEAN),
    Case(oracledb_async, *_CLEAN),
)
