"""The worker's queue: procrastinate's own tables, as the installed version makes them.

A later version of procrastinate that needs other tables says so in its release notes; its steps
then become a migration here.
"""

from __future__ import annotations

from contextlib import closing

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"

DOWN = """
DO $$
DECLARE
    what text;
BEGIN
    FOR what IN
        SELECT 'TABLE ' || oid::regclass FROM pg_class
        WHERE relkind = 'r' AND relname LIKE 'procrastinate\\_%' AND pg_table_is_visible(oid)
    LOOP
        EXECUTE 'DROP ' || what || ' CASCADE';
    END LOOP;
    FOR what IN
        SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc
        WHERE proname LIKE 'procrastinate\\_%' AND pg_function_is_visible(oid)
    LOOP
        EXECUTE 'DROP ' || what || ' CASCADE';
    END LOOP;
    FOR what IN
        SELECT 'TYPE ' || oid::regtype FROM pg_type
        WHERE typtype IN ('e', 'c') AND typname LIKE 'procrastinate\\_%' AND pg_type_is_visible(oid)
    LOOP
        EXECUTE 'DROP ' || what || ' CASCADE';
    END LOOP;
END
$$
"""


def upgrade() -> None:
    _run(SchemaManager.get_schema())


def downgrade() -> None:
    _run(DOWN)


def _run(script: str) -> None:
    """As it stands: SQLAlchemy would take `:=` for a parameter, and the driver `%` for one of its own."""
    with closing(op.get_bind().connection.cursor()) as cursor:
        cursor.execute(script)
