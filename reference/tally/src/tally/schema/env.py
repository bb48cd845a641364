"""Alembic's way in. The connection is handed over by `tally.schema.migrate`, with its transaction begun."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
