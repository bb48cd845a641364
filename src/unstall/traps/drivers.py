"""Where drivers and clients enter a wait: rows of methods, wrapped where their library is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from unstall.traps.primitives import Blocks, always
from unstall.watch.audit import SKIP
from unstall.watch.intent import ENTRY_POINTS


class Driver(NamedTuple):
    module: str
    owner: str
    """A class of the module; empty for functions of it."""
    names: tuple[str, ...]
    call: str
    """The owner as findings name it; a method's name follows."""
    blocks: Blocks = always


def _sync_dialect(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """SQLAlchemy drives asynchronous drivers through the same methods, on greenlets."""
    return SKIP if args[0].is_async else None


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
    Driver("ldap.ldapobject", "SimpleLDAPObject", ("_ldap_call",), "ldap.LDAPObject"),
    Driver("multiprocessing.connection", "_ConnectionBase", _PIPE, "multiprocessing.Connection"),
)  # fmt: skip

Timed = Callable[[str, Callable[..., Any]], Callable[..., Any]]
"""A function around another that is seen under a name."""
