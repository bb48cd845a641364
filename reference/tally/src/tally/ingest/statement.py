"""One statement stores events, counts the new ones in both rollups and notes what to bill: all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tally.ingest.rows import Row

INGEST: Final = """
WITH input AS (
    SELECT * FROM unnest(
        %(customer)b::bigint[], %(event_id)b::text[], %(name)b::text[], %(at)b::timestamptz[],
        %(value)b::float8[], %(dimensions)b::text[], %(properties)b::text[], %(series)b::text[]
    ) WITH ORDINALITY
      AS each (customer_id, event_id, name, at, value, dimensions, properties, series, place)
), stored AS (
    INSERT INTO events (customer_id, event_id, name, at, value, dimensions, properties)
    SELECT customer_id, event_id, name, at, value, dimensions::jsonb, properties FROM input ORDER BY place
    ON CONFLICT DO NOTHING
    RETURNING customer_id, event_id, at
), fresh AS (
    SELECT input.* FROM stored JOIN input USING (customer_id, event_id, at)
), minutes AS (
    INSERT INTO rollup_minute AS held
        (customer_id, name, bucket, dims, dimensions, count, sum, min, max)
    SELECT customer_id, name, date_trunc('minute', at, 'UTC'), series, series::jsonb,
        count(*), sum(value), min(value), max(value)
    FROM fresh GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (customer_id, name, bucket, dims) DO UPDATE SET
        count = held.count + excluded.count, sum = held.sum + excluded.sum,
        min = least(held.min, excluded.min), max = greatest(held.max, excluded.max)
), hours AS (
    INSERT INTO rollup_hour AS held
        (customer_id, name, bucket, dims, dimensions, count, sum, min, max)
    SELECT customer_id, name, date_trunc('hour', at, 'UTC'), series, series::jsonb,
        count(*), sum(value), min(value), max(value)
    FROM fresh GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (customer_id, name, bucket, dims) DO UPDATE SET
        count = held.count + excluded.count, sum = held.sum + excluded.sum,
        min = least(held.min, excluded.min), max = greatest(held.max, excluded.max)
), usage AS (
    INSERT INTO usage_outbox (customer_id, events)
    SELECT customer_id, count(*) FROM fresh GROUP BY 1 ORDER BY 1
)
SELECT place FROM fresh
"""
"""Gives the places, from 1, of rows that are new. No two rows may have one identity.
Parameters are binary: as text, psycopg would look at each quote in them, and JSON is full of quotes.

Rows come in one order in every transaction, and so do the rollups', so that two writers wait for each other
and never both for good.
"""


def in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.customer, row.event_id, row.at))


def parameters(rows: Sequence[Row], series: Sequence[str]) -> Mapping[str, Any]:
    """Of rows `in_order`; `series` are what each counts for, see `Series`."""
    return {
        "customer": [row.customer for row in rows],
        "event_id": [row.event_id for row in rows],
        "name": [row.name for row in rows],
        "at": [row.at for row in rows],
        "value": [row.value for row in rows],
        "dimensions": [row.dimensions for row in rows],
        "properties": [row.properties for row in rows],
        "series": list(series),
    }
