"""Which names a customer has used on a day, so that there is a limit to them.

What was stored before counts, so that names that are in use go on.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

UP = """
CREATE TABLE event_names (
    customer_id bigint NOT NULL,
    day date NOT NULL,  -- of the event, UTC
    name text NOT NULL,
    PRIMARY KEY (customer_id, day, name)
);

CREATE TABLE event_name_counts (
    customer_id bigint NOT NULL,
    day date NOT NULL,
    names integer NOT NULL DEFAULT 0,
    PRIMARY KEY (customer_id, day)
);

INSERT INTO event_names (customer_id, day, name)
SELECT DISTINCT customer_id, (bucket AT TIME ZONE 'UTC')::date, name
FROM rollup_hour WHERE bucket >= (tally_today() - 31) AT TIME ZONE 'UTC';

INSERT INTO event_name_counts (customer_id, day, names)
SELECT customer_id, day, count(*) FROM event_names GROUP BY 1, 2;

-- Those of the names that are not noted yet, each once, in their order. A look into the index for each of
-- them: a join would read all names of the day.
CREATE FUNCTION tally_new_names(customer bigint, of_day date, asked text[])
RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT one.name FROM unnest(asked) WITH ORDINALITY AS one (name, place)
        WHERE (
            SELECT true FROM event_names AS noted
            WHERE noted.customer_id = customer AND noted.day = of_day AND noted.name = one.name
        ) IS NULL
        GROUP BY one.name ORDER BY min(one.place)
    )
$$;

-- Notes names that are new, in the order in which they are asked for, up to `most` of a customer and day.
-- `known` are those of them that may be used. Who adds one holds the row of the count; rows are taken in one
-- order, so that nobody waits for another for good. On a full day nobody holds it: the count is looked at
-- first, so what is not noted by then never will be.
CREATE FUNCTION tally_use_names(customers bigint[], days date[], names text[], most integer)
RETURNS TABLE (of_customer bigint, of_day date, known text[]) LANGUAGE plpgsql AS $$
DECLARE
    fresh text[];
    used integer;
    room integer;
BEGIN
    FOR of_customer, of_day, known IN
        SELECT one.customer, one.day, array_agg(one.name ORDER BY one.place)
        FROM unnest(customers, days, names) WITH ORDINALITY AS one (customer, day, name, place)
        GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        SELECT counted.names INTO used FROM event_name_counts AS counted
        WHERE counted.customer_id = of_customer AND counted.day = of_day;
        fresh := tally_new_names(of_customer, of_day, known);
        IF cardinality(fresh) > 0 AND coalesce(used, 0) < most THEN
            INSERT INTO event_name_counts (customer_id, day) VALUES (of_customer, of_day)
            ON CONFLICT DO NOTHING;
            SELECT counted.names INTO used FROM event_name_counts AS counted
            WHERE counted.customer_id = of_customer AND counted.day = of_day FOR UPDATE;
            fresh := tally_new_names(of_customer, of_day, known);  -- of what was noted while we waited, less
            room := greatest(0, most - used);
            IF room > 0 AND cardinality(fresh) > 0 THEN
                INSERT INTO event_names (customer_id, day, name)
                SELECT of_customer, of_day, one FROM unnest(fresh[1:room]) AS one;
                UPDATE event_name_counts AS counted SET names = used + least(room, cardinality(fresh))
                WHERE counted.customer_id = of_customer AND counted.day = of_day;
            END IF;
            fresh := fresh[room + 1:];
        END IF;
        IF cardinality(fresh) > 0 THEN
            known := ARRAY(SELECT unnest(known) EXCEPT SELECT unnest(fresh));
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
"""

DOWN = """
DROP FUNCTION tally_use_names(bigint[], date[], text[], integer);
DROP FUNCTION tally_new_names(bigint, date, text[]);
DROP TABLE event_name_counts, event_names;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
