"""Where drivers and clients enter a wait: rows of methods, wrapped where their library is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from unstall.traps.primitives import IF_IT_WAITS, Blocks, always
from unstall.watch.audit import SKIP, file_of
from unstall.watch.intent import ENTRY_POINTS


class Driver(NamedTuple):
    module: str
    owner: str
    """A class of the module; empty for functions of it."""
    names: tuple[str, ...]
    call: str
    """The owner as findings name it; a method's name follows."""
    blocks: Blocks = always
    opens: bool = False
    """It reads a file in C, where no event tells of it: it is seen as `open`."""


def _sync_dialect(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """SQLAlchemy drives asynchronous drivers through the same methods, on greenlets."""
    return SKIP if args[0].is_async else None


def _file(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """A path; what is open or in memory already has been seen, or does not block."""
    source = args[0] if args else next(iter(named.values()), None)
    return file_of((source,)) if isinstance(source, str | PurePath) else SKIP


def _no_wait(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """ZeroMQ's flag for it is 1."""
    flags = args[1] if len(args) > 1 else named.get("flags", 0)
    return SKIP if flags & 1 else None


def _up_to(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """A time-out of 0 only looks."""
    timeout = args[1] if len(args) > 1 else named.get("timeout")
    return SKIP if timeout == 0 else None


def _has_messages(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """Reports of errors and of what is delivered already count as messages, and nobody waits for them."""
    return IF_IT_WAITS if len(args[0]) else SKIP


_EXECUTE = ("execute", "executemany", "callproc")
_SQLALCHEMY = (
    "connect", "do_execute", "do_executemany", "do_execute_no_params", "do_commit", "do_rollback", "do_ping",
)  # fmt: skip
_GRPC = ("__call__", "with_call")
_MYSQL = ("cmd_query", "cmd_stmt_execute", "_open_connection")
_PIPE = ("recv", "recv_bytes")
_DUCKDB = (
    "execute",
    "executemany",
    "sql",
    "query",
    "fetchall",
    "fetchone",
    "fetchmany",
    "df",
    "commit",
)
_ZMQ = ("recv", "recv_multipart", "recv_string", "recv_json", "recv_pyobj")
_READERS = (
    ("lxml.etree", "parse"),
    ("pyarrow.parquet", "read_table", "read_metadata", "read_schema"),
    ("pyarrow.csv", "read_csv"),
    ("pyarrow.json", "read_json"),
    ("pyarrow.feather", "read_table", "read_feather"),
    ("polars", "read_csv", "read_parquet", "read_ipc", "read_json", "read_ndjson"),
    ("cv2", "imread", "imwrite"),
)
"""Module and functions in C or Rust that are given the name of a file first."""
_PSYCOPG2_DIALECT = "sqlalchemy.dialects.postgresql.psycopg2"
_CONNECTION = ("commit", "rollback", "ping")

DRIVERS: tuple[Driver, ...] = (
    *(Driver(module, owner, (name,), call.rpartition(".")[0]) for module, owner, name, call in ENTRY_POINTS),
    Driver("psycopg.connection", "Connection", ("connect",), "psycopg.Connection"),
    Driver("pymysql.connections", "Connection", ("connect",), "pymysql.connections.Connection"),
    Driver("MySQLdb.connections", "Connection", ("__init__", "query", *_CONNECTION), "MySQLdb.Connection"),
    Driver("mysql.connector.connection", "MySQLConnection", _MYSQL, "mysql.connector.Connection"),
    Driver("mysql.connector.connection_cext", "CMySQLConnection", _MYSQL, "mysql.connector.Connection"),
    Driver("oracledb.connection", "Connection", ("__init__", *_CONNECTION), "oracledb.Connection"),
    Driver("oracledb.cursor", "Cursor", _EXECUTE, "oracledb.Cursor"),
    Driver("pymssql", "", ("connect",), "pymssql"),
    Driver("pyodbc", "", ("connect",), "pyodbc"),
    Driver("duckdb", "", ("connect", "execute", "sql", "query"), "duckdb"),
    Driver("duckdb", "DuckDBPyConnection", _DUCKDB, "duckdb.DuckDBPyConnection"),
    Driver("sqlalchemy.engine.default", "DefaultDialect", _SQLALCHEMY, "sqlalchemy.Engine", _sync_dialect),
    Driver(_PSYCOPG2_DIALECT, "PGDialect_psycopg2", ("do_executemany",), "sqlalchemy.Engine"),
    Driver("django.db.backends.utils", "CursorWrapper", ("execute", "executemany"), "django.db.Cursor"),
    Driver("peewee", "Database", ("execute_sql", "connect"), "peewee.Database"),
    Driver("grpc._channel", "_UnaryUnaryMultiCallable", _GRPC, "grpc.UnaryUnaryMultiCallable"),
    Driver("grpc._channel", "_StreamUnaryMultiCallable", _GRPC, "grpc.StreamUnaryMultiCallable"),
    Driver("grpc._channel", "_MultiThreadedRendezvous", ("_next",), "grpc.Call"),
    Driver("zmq.sugar.socket", "Socket", _ZMQ, "zmq.Socket", _no_wait),
    Driver("zmq.sugar.socket", "Socket", ("poll",), "zmq.Socket", _up_to),
    Driver("zmq.sugar.poll", "Poller", ("poll",), "zmq.Poller", _up_to),
    Driver("dns.query", "", ("udp", "tcp", "tls", "https"), "dns.query"),
    Driver("watchfiles.main", "RustNotify", ("watch",), "watchfiles.watch"),
    Driver("pycurl", "Curl", ("perform",), "pycurl.Curl"),
    Driver("confluent_kafka", "Consumer", ("poll",), "confluent_kafka.Consumer", _up_to),
    Driver("confluent_kafka", "Producer", ("flush",), "confluent_kafka.Producer", _has_messages),
    *(Driver(module, "", tuple(names), "", _file, opens=True) for module, *names in _READERS),
    Driver("ldap.ldapobject", "SimpleLDAPObject", ("_ldap_call",), "ldap.LDAPObject"),
    Driver("multiprocessing.connection", "_ConnectionBase", _PIPE, "multiprocessing.Connection"),
)  # fmt: skip

Timed = Callable[[str, Callable[..., Any]], Callable[..., Any]]
"""A function around another that is seen under a name."""
