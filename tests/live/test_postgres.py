"""The PostgreSQL that tests get: real, on loopback, and gone afterwards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tally.stack.processes import free_port
from tests.support.postgres import Postgres, running_postgres

pytestmark = pytest.mark.live


def ask(dsn: str, question: str) -> Any:
    connection = psycopg2.connect(dsn)
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()
    finally:
        connection.close()


def test_it_answers_on_loopback(postgres: Postgres) -> None:
    assert postgres.host == "127.0.0.1"
    assert ask(postgres.dsn, "select 1") == (1,)
    assert ask(postgres.dsn, "show port") == (str(postgres.port),)


def test_it_keeps_text_of_any_language(postgres: Postgres) -> None:
    assert ask(postgres.dsn, "select length('ключ')") == (4,)


def test_afterwards_no_process_and_no_file_is_left() -> None:
    with running_postgres() as server:
        (folder,) = ask(server.dsn, "select current_setting('data_directory')")
        open_session = psycopg2.connect(server.dsn)
        (workers,) = ask(server.dsn, "select array_agg(pid) from pg_stat_activity")
        pids = (server.pid, *workers)
    open_session.close()
    assert len(workers) > 2
    assert [pid for pid in pids if _is_alive(pid)] == []
    assert not Path(folder).parent.exists()


def test_two_clusters_do_not_meet(postgres: Postgres) -> None:
    with running_postgres() as other:
        assert other.port != postgres.port
        assert ask(other.dsn, "select 1") == ask(postgres.dsn, "select 1") == (1,)


def test_a_port_that_somebody_else_took_is_tried_once_only(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = free_port()
    ports = iter([postgres.port, free])
    monkeypatch.setattr("tally.stack.postgres.free_port", lambda: next(ports))
    with running_postgres() as server:
        assert server.port == free


def test_variables_about_another_server_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGHOST": "nowhere"}.items():
        monkeypatch.setenv(name, value)
    with running_postgres() as server:
        assert ask(server.dsn, "select 1") == (1,)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
