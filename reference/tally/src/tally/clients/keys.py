"""Whose an API key is, and what a customer may do."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
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
_STRANGER_S: Final = 1.0
"""How long a key that nobody has is refused without asking: it may be made in the next moment."""
_STRANGERS: Final = 1_000
_TOLD: Final = (200, 401, 403)
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


def _is_somebodys(known: Known) -> bool:
    return known.customer is not None or known.revoked


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


def told_by(status: int, read: Callable[[], object]) -> Known:
    """What auth's answer means; `read` gives its JSON. Raises Away for what is none: nobody is called unknown
    because auth is too busy.
    """
    try:
        answer = read() if status in _TOLD else None
        if isinstance(answer, dict):
            if status == 200:
                return Known(int(answer["customer"]))
            return Known(None, revoked=answer.get("reason") == "revoked")
    except (KeyError, TypeError, ValueError):
        pass
    raise Away(f"auth gave an answer with status {status} that says nothing of the key")


def flags_of(status: int, read: Callable[[], object]) -> Mapping[str, bool]:
    """Raises Away for what is no answer."""
    try:
        answer = read() if status == 200 else None
    except ValueError:
        answer = None
    flags = answer.get("flags") if isinstance(answer, dict) else None
    if not isinstance(flags, dict):
        raise Away(f"flags gave an answer with status {status} that says nothing")
    return flags


def hash_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class Strangers:
    """Keys that nobody has had a moment ago; of too many the oldest are forgotten, since anybody may try."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def add(self, key: str) -> None:
        self._until[key] = self._clock() + _STRANGER_S
        self._until.move_to_end(key)
        if len(self._until) > _STRANGERS:
            self._until.popitem(last=False)

    def __contains__(self, key: str) -> bool:
        return self._clock() < self._until.get(key, 0.0)


class Keys:
    """Asks auth, or the database where there is no auth."""

    def __init__(self, pods: Pods, pool: Pool, fresh_s: float) -> None:
        self._pods = pods
        self._pool = pool
        self._strangers = Strangers()
        self._near: Near[str, Known] = Near(
            self._load,
            fresh_s=fresh_s,
            stale_s=fresh_s * _STALE_TIMES,
            keep_s=fresh_s * _KEEP_TIMES,
            most=_KEYS,
            keeps=_is_somebodys,
        )

    async def customer(self, given: str | None) -> int:
        """Raises Problem."""
        key = key_of(given)
        known = self._near.known(key)
        if known is None:
            if key in self._strangers:
                raise _unknown()
            try:
                known = await self._near.get(key)
            except (Away, psycopg.Error) as error:
                raise Problem(
                    503, "auth", f"Keys cannot be checked: {error}.", retry_after=1
                ) from None
        return customer_of(known)

    async def _load(self, key: str) -> Known:
        known = await self._asked(key)
        if not _is_somebodys(known):
            self._strangers.add(key)
        return known

    async def _asked(self, key: str) -> Known:
        if self._pods:
            response = await self._pods.get("/v1/keys/verify", {"X-API-Key": key})
            return told_by(response.status_code, response.json)
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
        return flags_of(response.status_code, response.json)
