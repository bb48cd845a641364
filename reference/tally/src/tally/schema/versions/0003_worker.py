"""What the worker needs to go on where a killed one stopped."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

UP = """
ALTER TABLE imports
    ADD COLUMN kind text NOT NULL DEFAULT 'ndjson',  -- what the upload says it is
    ADD COLUMN lines bigint NOT NULL DEFAULT 0;  -- that are loaded, in one transaction with their events

ALTER TABLE usage_outbox
    ADD COLUMN claimed_until timestamptz,  -- a worker is sending it, or died while it did
    ADD COLUMN receipt text;

-- For whoever reads the events of some minutes. A BRIN index is smaller, but knows nothing of the last
-- minute: each question about an earlier one reads all of that.
CREATE INDEX events_at ON events (at);
"""

DOWN = """
DROP INDEX events_at;
ALTER TABLE usage_outbox DROP COLUMN receipt, DROP COLUMN claimed_until;
ALTER TABLE imports DROP COLUMN lines, DROP COLUMN kind;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
