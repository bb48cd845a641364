"""The database's tables: Alembic's migrations, whether they were run, and the days they are cut into."""

from __future__ import annotations

from tally.schema.revisions import HEAD, SchemaError, judge, revision_of

__all__ = ["HEAD", "SchemaError", "judge", "revision_of"]
