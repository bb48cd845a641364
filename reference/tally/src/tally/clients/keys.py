"""Whose an API key is, and what a customer may do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import psycopg

from tally.clients.pods import Away, Pods
from tally.db import Pool
from tally.problems import Problem
from tally.query.near import Near

_STALE_TIMES: Final = 2
_KEEP_TIMES: Final = 10
"""What an upstream said is used so many times as long as it is fresh, while the upstream is away."""
_LONGEST_KEY: Final = 200
_KEYS: Final = 10_000
_LOOK_UP: Final = b"SELECT customer_id, revoked_at IS NOT NULL FROM api_keys WHERE key_hash = %s"


def key_of(given: str | None) -> str:
    """What a request's header says. Raises Problem."""
    if not given:
        raise Problem(401, "missing-key", "X-API-Key is missing: send the customer's key.")
    if len(given) > _LONGEST_KEY or not given.isascii():
        raise _unknown()
    return given


class Known(NamedTuple):
    customer: int | None
    """None for a key that nobody has."""
    revoked: bool = False


def customer_of(known: Known) -> int:
    """Raises Problem."""
    if known.revoked:
        raise Problem(403, "revoked-key", "This key has been revoked: use another.")
    if known.customer is None:
        raise _unknown()
    return known.customer


def _unknown() -> Problem:
    return Problem(401, "unknown-key", "This key is not known.")


def allow(flags: Mapping[str, bool], name: str) -> None:
    """Raises Problem. A flag that nobody has set is on."""
    if not flags.get(name, True):
        raise Problem(403, "switched-off", f"{name} is switched off for this customer.")


def told_by(status: int, answer: Mapping[str, object]) -> Known:
    """What auth's answer means."""
    if status == 200:
        return Known(int(str(answer["customer"])))
    return Known(None, revoked=answer.get("reason") == "revoked")


def hash_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class Keys:
    """Asks auth, or the database where there is no auth."""

    def __init__(self, pods: Pods, pool: Pool, fresh_s: float) -> None:
        self._pods = pods
        self._pool = pool
        self._near: Near[str, Known] = Near(
            self._load,
            fresh_s=fresh_s,
            stale_s=fresh_s * _STALE_TIMES,
            keep_s=fresh_s * _KEEP_TIMES,
            most=_KEYS,
        )

    async def customer(self, given: str | None) -> int:
        """Raises Problem."""
        key = key_of(given)
        known = self._near.known(key)
        if known is None:
            try:
                known = await self._near.get(key)
            except (Away, psycopg.Error) as error:
                raise Problem(
                    503, "auth", f"Keys cannot be checked: {error}.", retry_after=1
                ) from None
        return customer_of(known)

    async def _load(self, key: str) -> Known:
        if self._pods:
            response = await self._pods.get("/v1/keys/verify", {"X-API-Key": key})
            return told_by(response.status_code, response.json())
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_LOOK_UP, (hash_of(key),))
            row = await cursor.fetchone()
        return Known(int(row[0]), bool(row[1])) if row else Known(None)


class Flags:
    """Asks the service of flags. While it is away and nothing is known, every flag has its default."""

    def __init__(self, pods: Pods, fresh_s: float) -> None:
        self._pods = pods
        self._near: Near[int, Mapping[str, bool]] = Near(
            self._load,
            fresh_s=fresh_s,
            stale_s=fresh_s * _STALE_TIMES,
            keep_s=fresh_s * _KEEP_TIMES,
            most=_KEYS,
        )

    async def allow(self, customer: int, name: str) -> None:
        """Raises Problem."""
        flags = self._near.known(customer)
        if flags is None:
            try:
                flags = await self._near.get(customer)
            except Away:
                flags = {}
        allow(flags, name)

    async def _load(self, customer: int) -> Mapping[str, bool]:
        if not self._pods:
            return {}
        response = await self._pods.get(f"/v1/flags/{customer}")
        found: Mapping[str, bool] = response.json().get("flags", {})
        return found
