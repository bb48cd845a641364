"""Which revision the code needs and which one a database has; without Alembic, which is slow to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, errors

VERSIONS = Path(__file__).parent / "versions"

HEAD = max(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))
"""A revision is named by the number that its file begins with."""


class SchemaError(RuntimeError):
    """The database is not at the revision that this code needs; the message says what to run."""


class NewerSchema(SchemaError):
    """Somebody has deployed a later release, or is about to."""


def judge(revision: str | None) -> None:
    """Raise `SchemaError` unless the revision is the one that this code was written for."""
    if revision is None:
        raise SchemaError(f"the database has no tables yet (needs {HEAD}): run `tally migrate`")
    if revision < HEAD:
        raise SchemaError(
            f"the database is at revision {revision} and {HEAD} is needed: run `tally migrate`"
        )
    if revision > HEAD:
        raise NewerSchema(
            f"the database is at revision {revision}, newer than this code's {HEAD}: deploy a newer tally"
        )


async def revision_of(connection: AsyncConnection[Any]) -> str | None:
    """None: no migration was ever run there."""
    try:
        cursor = await connection.execute("SELECT version_num FROM alembic_version")
    except errors.UndefinedTable:
        return None
    row = await cursor.fetchone()
    return str(row[0]) if row else None
