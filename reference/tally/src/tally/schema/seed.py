"""A customer and a key, for demonstrations and tests."""

from __future__ import annotations

import hashlib

import psycopg

from tally.db import conninfo
from tally.settings import Settings


def customer(settings: Settings, number: int, name: str, key: str) -> None:
    """Make the customer if there is none of that number, and give it the key. Raises `psycopg.Error`."""
    key_hash = hashlib.sha256(key.encode()).digest()
    with psycopg.connect(conninfo(settings)) as connection:
        connection.execute(
            "INSERT INTO customers (id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (number, name),
        )
        connection.execute(
            "INSERT INTO api_keys (key_hash, customer_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (key_hash, number),
        )


def revoke(settings: Settings, key: str) -> None:
    key_hash = hashlib.sha256(key.encode()).digest()
    with psycopg.connect(conninfo(settings)) as connection:
        connection.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", (key_hash,)
        )
