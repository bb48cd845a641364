"""A server that fails over to one that lacks what was noted last."""

from __future__ import annotations

import psycopg

_ENDED_MS = 10_000


def fail_over(database_url: str, customer: int) -> None:
    """No name of the customer is noted any more, and all connections are gone."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in ("event_names", "event_name_counts"):
            connection.execute(f"DELETE FROM {table} WHERE customer_id = %s".encode(), (customer,))
        connection.execute(
            "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            (_ENDED_MS,),
        )
