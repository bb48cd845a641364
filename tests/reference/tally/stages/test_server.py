"""A database whose disk is full, and one whose place another takes: survived without a restart of the API."""

from __future__ import annotations

import http.client
import json
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tally.schema import seed
from tally.schema.migrate import to
from tally.settings import Settings
from tally.stack.postgres import Postgres
from tally.stack.processes import Reaper, children
from tests.reference.tally.crowd import Crowd, counted
from tests.reference.tally.events import event
from tests.reference.tally.serving import served

pytestmark = [pytest.mark.live, pytest.mark.slow]

CUSTOMER, KEY = 42_001, "key-of-the-unlucky"
WAL_BYTES = 16 << 20
"""One file of the log: more than that must fit, or the server ends itself."""
SYNCED = {"synchronous_commit": "on"}
"""What is acknowledged is with the system, and outlives a killed server."""


@contextmanager
def server(folder: Path) -> Iterator[Postgres]:
    with Reaper() as reaper:
        postgres = Postgres(folder, scratch=True, reaper=reaper, tuning=SYNCED)
        try:
            postgres.start()
            yield postgres
        finally:
            postgres.stop()


def posted(port: int) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and problem of one event."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            "POST", "/v1/events", json.dumps(event(name="killed")), headers={"X-API-Key": KEY}
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), json.loads(answer.read())
    finally:
        connection.close()


def until_taken(port: int) -> None:
    until = time.monotonic() + 30
    while posted(port)[0] != 201:
        assert time.monotonic() < until, "events are not taken again"
        time.sleep(0.05)


def check(settings: Settings, crowd: Crowd) -> None:
    found = counted(settings, CUSTOMER)
    assert crowd.ids <= found.stored
    assert found.rows == len(found.stored) == found.minutes == found.hours == found.usage
    assert sum(each.without_advice for each in crowd.senders) == 0


# --- a full disk -----------------------------------------------------------------------------------


def fill(settings: Settings) -> int:
    """Lets today's events outgrow a file of the log, with pages that have no room; their size in bytes."""
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO events (customer_id, event_id, name, at, value, properties)"
            " SELECT 1, n::text, 'filler', tally_today() AT TIME ZONE 'UTC', 1, repeat(md5(n::text), 60)"
            " FROM generate_series(1, 12000) n"
        )
        row = connection.execute(
            "SELECT pg_relation_size('events_' || to_char(tally_today(), 'YYYYMMDD'))"
        ).fetchone()
    assert row is not None
    assert row[0] > WAL_BYTES
    return int(row[0])


def room(postgres: Postgres, most: int) -> None:
    """No file of the server may become larger: to it, that is a disk without room."""
    for pid in (postgres.pid, *children(postgres.pid)):
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, hard))
        except ProcessLookupError:
            continue  # a session that has just ended
        except PermissionError:
            pytest.skip("the server runs as another user, whose limits we may not set")


def test_when_the_disk_is_full_nothing_is_acknowledged_and_with_room_it_goes_on(
    tmp_path: Path,
) -> None:
    with server(tmp_path / "pg") as postgres:
        settings = Settings(postgres.url, spool=tmp_path)
        to(settings)
        seed.customer(settings, CUSTOMER, "unlucky", KEY)
        size = fill(settings)
        with served(settings) as (_, port):
            crowd = Crowd(port, KEY)
            crowd.until_enough()
            room(postgres, size)
            status, headers, problem = until_full(port)
            assert (status, headers["retry-after"], problem["reason"]) == (503, "1", "store")
            assert "Nothing was acknowledged" in str(problem["detail"])
            refused = counted(settings, CUSTOMER).rows
            assert [posted(port)[0] for _ in range(5)] == [503] * 5
            assert counted(settings, CUSTOMER).rows == refused
            room(postgres, resource.RLIM_INFINITY)
            until_taken(port)
            crowd.end()
            check(settings, crowd)


def until_full(port: int) -> tuple[int, dict[str, str], dict[str, object]]:
    """The pages that there are have room for some more."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = posted(port)
        if "extend file" in str(found[2].get("detail")):
            return found
    raise AssertionError("the disk does not become full")


# --- another address -------------------------------------------------------------------------------


def copied(source: Postgres, folder: Path) -> None:
    """The data of a server that does not run, with their owners."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    subprocess.run(["cp", "-a", str(source.folder / "data"), str(folder / "data")], check=True)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Postgres, Postgres, Settings]]:
    """One that runs, one that may take its place, and settings that know both."""
    with server(tmp_path / "one") as one, Reaper() as reaper:
        two = Postgres(tmp_path / "two", scratch=True, reaper=reaper, tuning=SYNCED)
        two.prepare()
        both = f"127.0.0.1:{one.port},127.0.0.1:{two.port}"
        settings = Settings(f"postgresql://{one.user}@{both}/{one.dbname}", spool=tmp_path)
        to(settings)
        seed.customer(settings, CUSTOMER, "unlucky", KEY)
        try:
            yield one, two, settings
        finally:
            two.stop()


def test_when_another_server_takes_over_the_api_goes_on_with_it(
    pair: tuple[Postgres, Postgres, Settings],
) -> None:
    one, two, settings = pair
    with served(settings) as (_, port):
        crowd = Crowd(port, KEY)
        crowd.until_enough()
        one.kill()
        crowd.until_refused()
        copied(one, two.folder)
        two.start()
        until_taken(port)
        crowd.end()
        check(settings, crowd)


def test_a_server_that_was_made_a_standby_is_left_for_the_one_that_takes_writes(
    pair: tuple[Postgres, Postgres, Settings],
) -> None:
    """Its connections are as good as ever, and nothing can be written over them."""
    one, two, settings = pair
    one.stop()
    copied(one, two.folder)
    one.start()
    with served(settings) as (_, port):
        crowd = Crowd(port, KEY)
        crowd.until_enough()
        with psycopg.connect(one.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            connection.execute("SELECT pg_reload_conf()")
        crowd.until_refused()
        two.start()
        until_taken(port)
        crowd.end()
        kept = counted(Settings(two.url), CUSTOMER)
        assert kept.rows == len(kept.stored) > 0
        old = counted(Settings(one.url), CUSTOMER)
        assert crowd.ids <= kept.stored | old.stored
