"""So many requests of one client in a time: a token bucket here, or one in Redis for all workers."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from unstall.clock import NS_PER_S
from unstall.errors import UsageError
from unstall.guard.asgi import App, Message, Problem, Receive, Scope, Send, refuse
from unstall.guard.metrics import REJECTED
from unstall.guard.routes import Routes

_LOG = logging.getLogger("unstall.rates")
_RATE = re.compile(r"\s*([0-9]+)\s*/\s*([0-9]*)\s*(s|sec|second|min|minute|m|h|hour|d|day)\s*")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MOST_KEYS: Final = 100_000
_REST_NS: Final = NS_PER_S
"""A store that failed is left alone so long."""


@dataclass(frozen=True, slots=True)
class Quota:
    """`limit` requests in `per_s` seconds, and `burst` of them at once."""

    limit: int
    per_s: float
    burst: int

    @property
    def each_s(self) -> float:
        """In which one token comes back."""
        return self.per_s / self.limit


@dataclass(frozen=True, slots=True)
class Taken:
    """What a bucket said."""

    allowed: bool
    left: int
    """Tokens."""
    wait_s: float
    """Until there is one; 0.0 if there is."""
    full_s: float
    """Until the bucket is full again."""


def quota_of(text: str, burst: int | None = None) -> Quota:
    """From `100/min`, `10/s`, `1000/15min`; raises UsageError."""
    given: object = text
    found = _RATE.fullmatch(given) if isinstance(given, str) else None
    limit = int(found.group(1)) if found else 0
    per_no_time = found is not None and found.group(2) != "" and not int(found.group(2))
    if found is None or limit < 1 or per_no_time or not _is_burst(burst):
        raise UsageError(
            f"the rate is {text!r}, burst {burst!r}: give for example '100/min', and 1 or more"
        )
    per = int(found.group(2) or 1) * _SECONDS[found.group(3)[0]]
    return Quota(limit, per, limit if burst is None else burst)


def _is_burst(given: object) -> bool:
    whole = isinstance(given, int) and not isinstance(given, bool)
    return given is None or (whole and given >= 1)  # type: ignore[operator]


def taken(tokens: float, quota: Quota) -> tuple[float, Taken]:
    """Pure: one token out of a bucket, if it has one; and what is in it then."""
    allowed = tokens >= 1
    rest = tokens - 1 if allowed else tokens
    wait = 0.0 if allowed else (1 - rest) * quota.each_s
    return rest, Taken(allowed, int(rest), wait, (quota.burst - rest) * quota.each_s)


def refilled(tokens: float, since_s: float, quota: Quota) -> float:
    """Pure: what is in a bucket after so many seconds."""
    return min(float(quota.burst), tokens + since_s / quota.each_s)


class Store(Protocol):
    async def take(self, key: str, quota: Quota) -> Taken | None:
        """None when it cannot be said."""
        ...


class LocalBuckets:
    """Of this process. Beyond 100,000 keys the one that was asked for longest ago is forgotten: it is
    full.
    """

    def __init__(
        self, clock: Callable[[], int] = time.monotonic_ns, most: int = _MOST_KEYS
    ) -> None:
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def take(self, key: str, quota: Quota) -> Taken:
        now = self._clock()
        tokens, at = self._buckets.get(key, (float(quota.burst), now))
        rest, found = taken(refilled(tokens, (now - at) / NS_PER_S, quota), quota)
        self._buckets[key] = rest, now
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return found


_SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local burst, each = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) / each)
local allowed = 0
if tokens >= 1 then
  allowed = 1
  tokens = tokens - 1
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) * each * 1000) + 1000)
return {allowed, string.format('%.6f', tokens)}
"""


class RedisBuckets:
    """In Redis or Valkey, for all workers: one call of a script, by the server's own clock.

    `client` is a `redis.asyncio` client or an address. When it fails or takes longer than `timeout`
    seconds, that is said once, and it is asked again a second later.
    """

    def __init__(self, client: Any, *, timeout: float = 0.1, prefix: str = "unstall:rate:") -> None:
        if isinstance(client, str):
            try:
                import redis.asyncio
            except ImportError:
                raise UsageError(
                    "buckets in Redis need redis-py, which is not installed: pip install redis"
                ) from None
            client = redis.asyncio.Redis.from_url(client)
        self._client = client
        self._script = client.register_script(_SCRIPT)
        self._timeout_s = timeout
        self._prefix = prefix
        self._rest_until_ns = 0
        self._failed = False

    async def aclose(self) -> None:
        """Closes the client, also one that was given."""
        await self._client.aclose()

    async def take(self, key: str, quota: Quota) -> Taken | None:
        if time.monotonic_ns() < self._rest_until_ns:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                _, left = await self._script(
                    keys=[self._prefix + key], args=[quota.burst, quota.each_s]
                )
                allowed, tokens = int(_), float(left)
        except Exception as error:
            self._rest_until_ns = time.monotonic_ns() + _REST_NS
            if not self._failed:
                self._failed = True
                told = f"{type(error).__name__}: {error}".rstrip(": ")
                _LOG.warning("the store of rate limits does not answer (%s); see on_failure", told)
            return None
        if self._failed:
            self._failed = False
            _LOG.warning("the store of rate limits answers again")
        wait = 0.0 if allowed else (1 - tokens) * quota.each_s
        return Taken(bool(allowed), int(tokens), wait, (quota.burst - tokens) * quota.each_s)


Key = Callable[[Scope], str | None]
OnFailure = Literal["open", "closed"]


def by_address(scope: Scope) -> str | None:
    """The client's address as the server saw it; behind a proxy that is the proxy, unless the server is
    told so.
    """
    client = scope.get("client")
    return client[0] if client else None


@dataclass(frozen=True, slots=True)
class Rate:
    """One rule. `key` says whose bucket a request takes from; None is not limited."""

    rate: str
    key: Key = by_address
    burst: int | None = None
    name: str = "default"
    routes: tuple[str, ...] = ()
    """Templates it holds for; all without."""
    store: Store = field(default_factory=LocalBuckets)
    on_failure: OnFailure = "open"
    """What to do when the store cannot say."""

    @property
    def quota(self) -> Quota:
        return quota_of(self.rate, self.burst)


class RateLimit:
    """Pure ASGI middleware: 429 with Retry-After, and the RateLimit headers on every answer."""

    def __init__(self, app: App, rate: Rate) -> None:
        self.app = app
        self.rate = rate
        self.quota = rate.quota
        if rate.on_failure not in ("open", "closed"):
            raise UsageError(f"on_failure is {rate.on_failure!r}: give 'open' or 'closed'")
        if not re.fullmatch(r"[a-z0-9*_.-]+", rate.name):
            raise UsageError(
                f"the name of a rate is {rate.name!r}: give lower case letters, digits, - and _"
            )
        routes: object = rate.routes
        if isinstance(routes, str):
            raise UsageError(
                f"routes of a rate is the text {routes!r}: give a list, as [{routes!r}]"
            )
        self._routes = Routes(dict.fromkeys(rate.routes, True))
        per = math.ceil(self.quota.per_s)
        self._policy = f'"{rate.name}";q={self.quota.limit};w={per}'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal, send = await self.admit(scope, send)
        if refusal is not None:
            await refuse(refusal, scope, send)
        else:
            await self.app(scope, receive, send)

    async def admit(self, scope: Scope, send: Send) -> tuple[Problem | None, Send]:
        """A refusal, or none; and where to send to, so that an answer carries the headers."""
        if self._routes and not self._routes.find(scope):
            return None, send
        key = self.rate.key(scope)
        if key is None:
            return None, send
        found = await self.rate.store.take(f"{self.rate.name}:{key}", self.quota)
        if found is None:
            return self._unknown(), send
        if found.allowed:
            return None, _with_headers(send, self._headers(found))
        REJECTED.add(("rate",))
        seconds = max(1, math.ceil(found.wait_s))
        detail = f"The rate of {self.rate.rate} is used up; try again in {seconds} s."
        headers = tuple(self._headers(found))
        return Problem(429, "rate", detail, seconds, {"limit": self.rate.rate}, headers), send

    def _unknown(self) -> Problem | None:
        if self.rate.on_failure == "open":
            return None
        REJECTED.add(("rate-unknown",))
        return Problem(503, "rate-unknown", "It cannot be said whether the rate is used up.", 1)

    def _headers(self, found: Taken) -> list[tuple[str, str]]:
        """As in the IETF's draft on RateLimit header fields."""
        state = f'"{self.rate.name}";r={found.left};t={math.ceil(found.full_s)}'
        return [("ratelimit-policy", self._policy), ("ratelimit", state)]


def _with_headers(send: Send, headers: list[tuple[str, str]]) -> Send:
    raw = [(name.encode(), value.encode()) for name, value in headers]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *raw]}
        await send(message)

    return sending
