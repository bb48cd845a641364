"""A database of its own for every test of the reference service."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tally.schema.migrate import to
from tally.settings import Settings
from tests.support.postgres import Postgres, running_postgres
from unstall.integrations.asgi import instruments

TEMPLATE = "tally_template"
numbers = count(1)


@pytest.fixture(autouse=True)
def signals_are_as_before() -> Iterator[None]:
    """Afterwards: a command that runs in this process takes SIGTERM for good."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True, scope="module")
def nothing_watches_later() -> Iterator[None]:
    """An app that was made is watched until its process ends, and other tests share this one."""
    yield
    on = instruments()
    if on is not None:
        on.stop()


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The name of a database with all migrations, to be copied."""
    run(postgres, f"CREATE DATABASE {TEMPLATE}")
    to(Settings(url_of(postgres, TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def settings(postgres: Postgres, migrated: str, tmp_path: Path) -> Iterator[Settings]:
    """Those of a service whose database has all its tables, and nothing in them."""
    yield from fresh(postgres, migrated, tmp_path)


@pytest.fixture
def empty(postgres: Postgres, tmp_path: Path) -> Iterator[Settings]:
    """Those of a service whose database was never migrated."""
    yield from fresh(postgres, "template0", tmp_path)


@pytest.fixture(scope="session")
def own() -> Iterator[Postgres]:
    """A server that nobody minds being stopped, as long as it runs again afterwards."""
    with running_postgres() as server:
        yield server


def fresh(postgres: Postgres, template: str, spool: Path) -> Iterator[Settings]:
    name = f"tally_{next(numbers)}"
    run(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield replace(Settings(url_of(postgres, name)), spool=spool)
    finally:
        run(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def url_of(postgres: Postgres, name: str) -> str:
    return f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/{name}"


def run(postgres: Postgres, statement: str) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(statement.encode())
