"""One statement for each query; PostgreSQL writes the rows as JSON, so the loop does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from tally.ingest.series import OVERFLOW
from tally.problems import Problem
from tally.query.ask import Aggregate, Granularity, MetricsQuery

_TABLES: Final = {
    Granularity.MINUTE: "rollup_minute",
    Granularity.HOUR: "rollup_hour",
    Granularity.DAY: "rollup_hour",
}
_AGGREGATES: Final = {
    Aggregate.COUNT: "sum(count)::bigint",
    Aggregate.SUM: "sum(sum)",
    Aggregate.AVG: "sum(sum) / sum(count)",
    Aggregate.MIN: "min(min)",
    Aggregate.MAX: "max(max)",
    Aggregate.UNIQUE: "count(DISTINCT dimensions ->> %(unique_of)s)",
}


def statement_of(query: MetricsQuery, most_rows: int) -> tuple[str, Mapping[str, Any]]:
    """Gives one row: how many there are, one more than `most_rows` at the most, all of them as JSON, and how
    many events lack the dimensions that were asked for.

    Only names out of tables become SQL; what a client says are parameters. For psycopg 2 and 3.
    """
    names = [f"d{place}" for place in range(len(query.dimensions))]
    values = [f"dimensions ->> %({name})s AS {name}" for name in names]
    aggregates = [f"{_AGGREGATES[each]} AS a_{each}" for each in query.aggregates]
    columns = ", ".join(
        [f"date_trunc('{query.granularity}', bucket, 'UTC') AS b", *values, *aggregates]
    )
    by = ", ".join(["b", *names])
    told = ", ".join(f"%({name})s::text, {name}" for name in names)
    fields = ", ".join(f"'{each}', a_{each}" for each in query.aggregates)
    source = f"""{_TABLES[query.granularity]}
            WHERE customer_id = %(customer)s AND name = %(event)s
                AND bucket >= %(start)s AND bucket < %(end)s"""
    folded = f"(SELECT sum(count)::bigint FROM {source} AND dims = %(overflow)s)"
    text = f"""
        WITH answer AS (
            SELECT {columns} FROM {source} AND dimensions @> %(filters)s::jsonb
            GROUP BY {by} ORDER BY {by} LIMIT {most_rows + 1}
        )
        SELECT count(*), coalesce(json_agg(json_build_object(
            'bucket', to_char(b AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            'dimensions', json_build_object({told}), {fields}
        )), '[]')::text, {folded if _narrows(query) else "NULL"} FROM answer
    """
    given: dict[str, Any] = {
        "customer": query.customer,
        "event": query.name,
        "start": query.start,
        "end": query.end,
        "overflow": OVERFLOW,
        "filters": msgspec.json.encode(dict(query.filters)).decode(),
        **dict(zip(names, query.dimensions, strict=True)),
    }
    if query.unique_of is not None:
        given["unique_of"] = query.unique_of
    return text, given


def _narrows(query: MetricsQuery) -> bool:
    """Plain totals need no dimensions."""
    return bool(query.dimensions or query.filters or query.unique_of)


def check_rows(count: int, most_rows: int) -> None:
    """Raises Problem."""
    if count > most_rows:
        detail = (
            f"The answer has more than {most_rows} rows: ask for less time or fewer dimensions."
        )
        raise Problem(422, "too-many-rows", detail)


class Answer(msgspec.Struct, frozen=True):
    """What the rollups said: all that was acknowledged before `as_of` is in it."""

    as_of: datetime
    rows: msgspec.Raw
    folded: int = 0


class _Document(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    name: str
    start: datetime
    end: datetime
    granularity: Granularity
    as_of: datetime
    cache_age_ms: int
    """0: it was read for this request."""
    folded: int
    """Events whose dimensions were not kept, and would be needed here: there were too many different ones."""
    rows: msgspec.Raw


def document_of(query: MetricsQuery, answer: Answer, now: datetime, *, cached: bool) -> bytes:
    age_ms = max(1, round((now - answer.as_of).total_seconds() * 1_000)) if cached else 0
    return msgspec.json.encode(
        _Document(
            query.name,
            query.start,
            query.end,
            query.granularity,
            answer.as_of,
            age_ms,
            answer.folded,
            answer.rows,
        )
    )
