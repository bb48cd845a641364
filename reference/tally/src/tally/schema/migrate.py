"""Run the migrations: in one transaction, and one process at a time, whoever else tries."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, NullPool, create_engine, exc, text

from tally.db import conninfo, parameters
from tally.schema.partitions import AHEAD_DAYS
from tally.settings import Settings

LOCK = 7_411_250_114
"""Of PostgreSQL's advisory locks the one that a migration holds."""


class NoSuchRevision(ValueError):
    """The message lists those there are."""


def to(settings: Settings, revision: str = "") -> str:
    """Bring the database to a revision, the newest if none is named, forward or back, and say where it is.

    `base` takes all migrations back, and the data with them. Whenever there are events, the days that
    they may belong to are opened. Raises `OSError` when the server is away, or `NoSuchRevision`.
    """
    target = _target(revision)
    with _transaction(settings) as connection:
        now = _revision(connection)
        if target and target >= now:
            command.upgrade(config_of(connection), target)
        else:
            command.downgrade(config_of(connection), target or "base")
        if target:
            behind = math.ceil(settings.limits.past_s / 86_400)
            connection.execute(
                text("SELECT tally_open_days(tally_today() - :behind, tally_today() + :ahead)"),
                {"behind": behind, "ahead": AHEAD_DAYS},
            )
    return target or "base"


def revision(settings: Settings) -> str | None:
    """None: no migration was ever run there. Raises `OSError` when the server is away."""
    with _transaction(settings) as connection:
        return _revision(connection) or None


def wait_for(settings: Settings, seconds: float) -> None:
    """Until the server takes connections. Raises `OSError` when it does not in that time."""
    until = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(conninfo(settings)).close()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() >= until:
                raise OSError(_first_line(error)) from None
            time.sleep(0.05)


def config_of(connection: Connection | None = None) -> Config:
    config = Config()
    folder = str(Path(__file__).parent).replace("%", "%%")  # it is read by configparser
    config.set_main_option("script_location", folder)
    config.attributes["connection"] = connection
    return config


def _target(revision: str) -> str:
    """Empty: before the first."""
    if revision == "base":
        return ""
    scripts = ScriptDirectory.from_config(config_of())
    try:
        found = scripts.get_revision(revision or "head")
    except CommandError as error:
        names = ", ".join(sorted(script.revision for script in scripts.walk_revisions()))
        raise NoSuchRevision(
            f"there is no revision {revision!r}: there are base, {names}"
        ) from error
    return str(found.revision)


def _revision(connection: Connection) -> str:
    if connection.scalar(text("SELECT to_regclass('alembic_version') IS NULL")):
        return ""
    return connection.scalar(text("SELECT version_num FROM alembic_version")) or ""


@contextmanager
def _transaction(settings: Settings) -> Iterator[Connection]:
    engine = create_engine(
        "postgresql+psycopg2://",
        connect_args=parameters(settings, statement_s=0),  # a migration takes what it takes
        poolclass=NullPool,
    )
    try:
        opened = engine.connect()
    except exc.OperationalError as error:
        raise OSError(_first_line(error.orig or error)) from None
    with opened as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        yield connection


def _first_line(error: BaseException) -> str:
    return f"PostgreSQL cannot be reached: {str(error).strip().partition(chr(10))[0]}"
