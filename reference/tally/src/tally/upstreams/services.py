"""What the three upstreams know and answer."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tally.upstreams.http import Answer, Handler, Request

FLAGS: Mapping[str, bool] = {"ingest": True, "query": True, "imports": True}
"""What every customer may do unless somebody changed it."""

UNKNOWN = Answer(404, {"reason": "there is nothing here"})


@dataclass(frozen=True, slots=True)
class Key:
    customer: int
    revoked: bool = False


Lookup = Callable[[bytes], Awaitable[Key | None]]
"""Finds a key by its SHA-256. Raises `OSError` when its store is away."""


@dataclass(frozen=True, slots=True)
class Auth:
    lookup: Lookup

    async def __call__(self, request: Request) -> Answer:
        if (request.method, request.path) != ("GET", "/v1/keys/verify"):
            return UNKNOWN
        try:
            key = await self.lookup(hash_of(request.headers.get("x-api-key", "")))
        except OSError as error:
            return Answer(503, {"reason": str(error)})
        if key is None or key.revoked:
            return Answer(401, {"reason": "unknown" if key is None else "revoked"})
        return Answer(200, {"customer": key.customer})


def hash_of(key: str) -> bytes:
    """What is kept of an API key."""
    return hashlib.sha256(key.encode()).digest()


@dataclass(slots=True)
class Ledger:
    events: int = 0
    receipts: int = 0


@dataclass(slots=True)
class Billing:
    """Books usage; what has a reference is booked once."""

    ledgers: dict[int, Ledger] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    """Receipts by reference."""
    booked: int = 0

    async def __call__(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", "/v1/usage"):
            return self._book(request)
        if request.method == "GET" and request.path.startswith("/v1/usage/"):
            customer = int(request.path.removeprefix("/v1/usage/"))
            ledger = self.ledgers.get(customer, Ledger())
            return Answer(
                200,
                {"customer": customer, "events": ledger.events, "receipts": ledger.receipts},
            )
        return UNKNOWN

    def _book(self, request: Request) -> Answer:
        usage = request.json()
        customer, events = int(usage["customer"]), int(usage["events"])
        if events < 1:
            raise ValueError(f"events must be 1 or more, not {events}")
        reference = request.headers.get("idempotency-key", "")
        if receipt := self.known.get(reference):
            return Answer(200, {"receipt": receipt})
        self.booked += 1
        receipt = f"r-{self.booked:08d}"
        if reference:
            self.known[reference] = receipt
        ledger = self.ledgers.setdefault(customer, Ledger())
        ledger.events += events
        ledger.receipts += 1
        return Answer(201, {"receipt": receipt})


@dataclass(slots=True)
class Flags:
    changed: dict[int, dict[str, bool]] = field(default_factory=dict)

    async def __call__(self, request: Request) -> Answer:
        if not request.path.startswith("/v1/flags/") or request.method not in ("GET", "PUT"):
            return UNKNOWN
        customer = int(request.path.removeprefix("/v1/flags/"))
        if request.method == "PUT":
            wanted = request.json()
            for name, value in wanted.items():
                if name not in FLAGS or not isinstance(value, bool):
                    raise ValueError(f"{name} must be one of {', '.join(FLAGS)}, true or false")
            self.changed.setdefault(customer, {}).update(wanted)
        return Answer(200, {"flags": {**FLAGS, **self.changed.get(customer, {})}})


def in_memory(keys: Mapping[str, int]) -> Lookup:
    """Keys that are given by hand: customers by key."""
    hashed = {hash_of(key): Key(customer) for key, customer in keys.items()}

    async def lookup(key_hash: bytes) -> Key | None:
        return hashed.get(key_hash)

    return lookup


def both(first: Lookup, second: Lookup) -> Lookup:
    async def lookup(key_hash: bytes) -> Key | None:
        return await first(key_hash) or await second(key_hash)

    return lookup


def handlers(lookup: Lookup) -> Mapping[str, Handler]:
    """By service; the pods of one share it."""
    return {"auth": Auth(lookup), "billing": Billing(), "flags": Flags()}
