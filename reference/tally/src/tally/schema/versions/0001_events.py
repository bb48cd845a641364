"""Customers, events by day, what is summed of them, usage for billing, imports.

An event's identity is its customer, its id and the UTC day of its time. Each day is a partition
with a unique index of its own over (customer_id, event_id); there is none over the whole table, so
an insert says `ON CONFLICT DO NOTHING` without naming columns.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

UP = """
CREATE TABLE customers (
    id bigint PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE api_keys (
    key_hash bytea PRIMARY KEY,  -- SHA-256 of the key
    customer_id bigint NOT NULL REFERENCES customers,
    revoked_at timestamptz
);

CREATE TABLE events (
    customer_id bigint NOT NULL,
    event_id text NOT NULL,
    name text NOT NULL,
    at timestamptz NOT NULL,
    value double precision NOT NULL,
    dimensions jsonb NOT NULL DEFAULT '{}',
    properties text NOT NULL DEFAULT '{}',  -- JSON that is kept and not searched
    received_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (at);

-- Rows are updated again and again: room is left on each page, so that no index has to follow.
CREATE TABLE rollup_minute (
    customer_id bigint NOT NULL,
    name text NOT NULL,
    bucket timestamptz NOT NULL,
    dims text NOT NULL,  -- the dimensions as canonical JSON: sorted keys, no spaces
    dimensions jsonb NOT NULL,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision,
    max double precision,
    PRIMARY KEY (customer_id, name, bucket, dims)
) PARTITION BY RANGE (bucket);

CREATE TABLE rollup_hour (
    customer_id bigint NOT NULL,
    name text NOT NULL,
    bucket timestamptz NOT NULL,
    dims text NOT NULL,
    dimensions jsonb NOT NULL,
    count bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision,
    max double precision,
    PRIMARY KEY (customer_id, name, bucket, dims)
) WITH (fillfactor = 70);

CREATE TABLE usage_outbox (
    id bigserial PRIMARY KEY,
    customer_id bigint NOT NULL,
    events integer NOT NULL CHECK (events > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz
);
CREATE INDEX usage_outbox_waiting ON usage_outbox (id) WHERE sent_at IS NULL;

CREATE TABLE imports (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id bigint NOT NULL,
    state text NOT NULL DEFAULT 'queued',
    filename text NOT NULL,
    bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    reason text,
    accepted bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX imports_of_customer ON imports (customer_id, created_at DESC);

CREATE TABLE import_lines (  -- the lines that were not accepted
    import_id uuid NOT NULL REFERENCES imports ON DELETE CASCADE,
    line bigint NOT NULL,
    status text NOT NULL,
    reason text,
    PRIMARY KEY (import_id, line)
);

CREATE FUNCTION tally_today() RETURNS date LANGUAGE sql STABLE AS $$
    SELECT (now() AT TIME ZONE 'UTC')::date
$$;

-- Makes the partitions of days that have none, and names them. A table is filled in beside and attached:
-- attaching lets inserts go on, which making it in its place does not.
CREATE FUNCTION tally_open_days(first date, last date) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
    day date;
BEGIN
    PERFORM pg_advisory_xact_lock(7411250115);
    FOREACH parent IN ARRAY ARRAY['events', 'rollup_minute'] LOOP
        FOR day IN SELECT first + n FROM generate_series(0, last - first) AS n LOOP
            child := parent || to_char(day, '_YYYYMMDD');
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
            IF parent = 'events' THEN
                EXECUTE format('CREATE UNIQUE INDEX %I ON %I (customer_id, event_id)', child || '_id', child);
            ELSE
                EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', child);
            END IF;
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, child, day || ' 00:00:00+00', day + 1 || ' 00:00:00+00'
            );
            RETURN NEXT child;
        END LOOP;
    END LOOP;
END
$$;
"""

DOWN = """
DROP FUNCTION tally_open_days(date, date);
DROP FUNCTION tally_today();
DROP TABLE import_lines, imports, usage_outbox, rollup_hour, rollup_minute, events, api_keys, customers;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
