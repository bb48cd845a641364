"""Migrations forward and back, and who may serve on which."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.script import ScriptDirectory

from tally.schema.migrate import NoSuchRevision, config_of, revision, to, wait_for
from tally.schema.revisions import HEAD, SchemaError, judge, revision_of
from tally.settings import Settings

pytestmark = pytest.mark.live

NOBODY = Settings("postgresql://nobody@127.0.0.1:1/none")

OBJECTS = """
SELECT kind || ' ' || name FROM (
    SELECT 'table', relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    UNION SELECT 'type', typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
    UNION SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS each (kind, name)
"""


def objects(settings: Settings) -> set[str]:
    with psycopg.connect(settings.database_url) as connection:
        return {name for (name,) in connection.execute(OBJECTS)}


def test_the_newest_revision_is_alembics_head() -> None:
    assert ScriptDirectory.from_config(config_of()).get_current_head() == HEAD


def test_all_of_it_comes_and_all_of_it_goes(empty: Settings) -> None:
    before = objects(empty)
    assert revision(empty) is None
    assert to(empty) == HEAD
    assert revision(empty) == HEAD
    there = objects(empty)
    assert {
        "table event_names",
        "table events",
        "table rollup_hour",
        "table usage_outbox",
        "table import_lines",
    } <= there
    assert {"table procrastinate_jobs", "function tally_open_days"} <= there
    assert to(empty, "base") == "base"
    assert objects(empty) == before | {"table alembic_version"}
    assert to(empty) == HEAD
    assert objects(empty) == there | {"table alembic_version"}


def test_each_revision_can_be_taken_back_alone(empty: Settings) -> None:
    assert to(empty, "0001") == "0001"
    first = objects(empty)
    assert to(empty, "0002") == "0002"
    assert to(empty, "0001") == "0001"
    assert objects(empty) == first


def test_names_in_use_count_when_the_limit_comes(empty: Settings) -> None:
    to(empty, "0003")
    with psycopg.connect(empty.database_url) as connection:
        connection.execute(
            "INSERT INTO rollup_hour (customer_id, name, bucket, dims, dimensions, count, sum)"
            " SELECT 7, name, date_trunc('day', now(), 'UTC') + n * interval '1 h', '{}', '{}', 1, 1"
            " FROM unnest(ARRAY['a', 'b']) name, generate_series(0, 2) n"
        )
    to(empty)
    with psycopg.connect(empty.database_url) as connection:
        names = connection.execute(
            "SELECT customer_id, day = tally_today(), name FROM event_names ORDER BY name"
        ).fetchall()
        counted = connection.execute("SELECT customer_id, names FROM event_name_counts").fetchall()
    assert names == [(7, True, "a"), (7, True, "b")]
    assert counted == [(7, 2)]


def test_to_be_there_already_is_no_error(settings: Settings) -> None:
    assert to(settings) == HEAD


def test_several_at_once_wait_for_each_other(empty: Settings) -> None:
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(to, [empty] * 3)) == [HEAD] * 3


def test_a_revision_that_is_not_there_is_told_with_those_that_are(settings: Settings) -> None:
    with pytest.raises(NoSuchRevision, match="no revision '9999': there are base, 0001, 0002, "):
        to(settings, "9999")


def test_a_server_that_is_away_is_told_in_one_line() -> None:
    for attempt in (lambda: to(NOBODY), lambda: wait_for(NOBODY, 0.0)):
        with pytest.raises(OSError, match=r"PostgreSQL cannot be reached: .*refused") as caught:
            attempt()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (None, f"no tables yet .needs {HEAD}.: run `tally migrate`"),
        ("0000", f"at revision 0000 and {HEAD} is needed: run `tally migrate`"),
        ("9999", "newer than this code's .*: deploy a newer tally"),
    ],
)
def test_code_and_database_must_fit(there: str | None, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        judge(there)
    judge(HEAD)


def test_the_revision_is_read_without_alembic(settings: Settings, empty: Settings) -> None:
    async def read(of: Settings) -> str | None:
        async with await psycopg.AsyncConnection.connect(of.database_url) as connection:
            return await revision_of(connection)

    assert asyncio.run(read(settings)) == HEAD
    assert asyncio.run(read(empty)) is None


def test_asking_for_the_revision_does_not_import_alembic() -> None:
    code = "import sys, tally.schema.revisions; sys.exit('alembic' in sys.modules)"
    environ = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environ, check=False).returncode == 0
