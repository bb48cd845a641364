"""What the service reads from its environment, once, when it starts."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

STAGES = ("blocking", "offloaded", "async")


class SettingsError(ValueError):
    """A variable has a value that cannot be used; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for. Sizes are in bytes, times in seconds."""

    event_bytes: int = 64 * 1024
    batch_bytes: int = 1024 * 1024
    batch_events: int = 500
    depth: int = 8
    """Levels of nesting in properties."""
    keys: int = 256
    """Keys of properties, all levels together."""
    values: int = 4_000
    """Values of properties, those in lists included: more than a few milliseconds' work."""
    dimensions: int = 8
    dimension_bytes: int = 128
    """Of one dimension's name or value."""
    past_s: float = 7 * 86_400.0
    """How old an event may be; partitions are kept open for that long."""
    future_s: float = 300.0
    upload_bytes: int = 64 * 1024 * 1024
    unpacked_bytes: int = 512 * 1024 * 1024
    """What an upload may become when it is unpacked."""
    range_s: float = 92 * 86_400.0
    """The widest range of a query."""
    rows: int = 10_000
    """The longest answer of a query."""
    series: int = 10_000
    """Different dimensions of one customer's name in an hour; what comes beyond is summed as one."""
    names: int = 5_000
    """Different names of one customer's events of a day; events with another are refused."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that changes how the service behaves. Durations are in seconds.

    database_url     a libpq URL; several hosts are allowed, the one that takes writes is used
    redis_url        empty: cache and rate limits are kept in the process
    stage            which of the three compositions is served
    auth_urls        pods; empty: keys are looked up in the database
    billing_urls     pods; empty: usage stays in the outbox
    flags_urls       pods; empty: every flag has its default
    spool            where uploads wait for the worker; API and worker share it
    signing_key      of `X-Signature`, an HMAC-SHA256 over the body; empty: signatures are not asked for
    clamd            host:port or path of a clamd socket; empty: uploads are scanned with yara
    workers          API processes that share the server's connections
    pool_size        database connections of one API process
    pool_waiting     requests that may wait for one of them
    acquire_s        how long they may
    statement_s      how long one statement may take
    schema_wait_s    how long a start waits for migrations that somebody else runs
    cache_s          age of an answer from Redis
    memory_s         age of an answer from the process's own memory
    auth_s, flags_s  how long what the upstreams said is believed
    upstream_s       how long one call to an upstream may take
    deadline_s       how long one request may take
    rate             requests a second that one customer may send; 0: as many as fit
    in_flight        requests that are worked on at a time in one process
    retention_days   how long events, minutes, usage that billing has and imports that have ended are kept;
                     hours are kept for ever
    """

    database_url: str
    redis_url: str = ""
    stage: str = "async"
    auth_urls: tuple[str, ...] = ()
    billing_urls: tuple[str, ...] = ()
    flags_urls: tuple[str, ...] = ()
    spool: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "tally-spool")
    signing_key: str = field(default="", repr=False)
    clamd: str = ""
    workers: int = 1
    pool_size: int = 8
    pool_waiting: int = 256
    acquire_s: float = 2.0
    statement_s: float = 5.0
    schema_wait_s: float = 0.0
    cache_s: float = 1.0
    memory_s: float = 0.5
    auth_s: float = 30.0
    flags_s: float = 15.0
    upstream_s: float = 2.0
    deadline_s: float = 10.0
    rate: float = 0.0
    in_flight: int = 1024
    retention_days: int = 30
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read `DATABASE_URL`, `REDIS_URL`, `AUTH_URL`, `BILLING_URL`, `FLAGS_URL` and `TALLY_*`.

        Raises `SettingsError` at the first value that cannot be used.
        """
        read = _Reader(environ)
        default = cls(database_url="")
        settings = cls(
            database_url=_database(environ.get("DATABASE_URL", "").strip()),
            redis_url=_redis(environ.get("REDIS_URL", "").strip()),
            stage=_stage(environ.get("TALLY_STAGE", "") or default.stage),
            auth_urls=read.urls("AUTH_URL"),
            billing_urls=read.urls("BILLING_URL"),
            flags_urls=read.urls("FLAGS_URL"),
            spool=Path(environ.get("TALLY_SPOOL", "") or default.spool),
            signing_key=environ.get("TALLY_SIGNING_KEY", ""),
            clamd=environ.get("TALLY_CLAMD", ""),
            workers=read.whole("TALLY_WORKERS", default.workers, 1),
            pool_size=read.whole("TALLY_POOL_SIZE", default.pool_size, 2),
            pool_waiting=read.whole("TALLY_POOL_WAITING", default.pool_waiting, 1),
            acquire_s=read.number("TALLY_ACQUIRE_S", default.acquire_s, 0.05),
            statement_s=read.number("TALLY_STATEMENT_S", default.statement_s, 0.1),
            schema_wait_s=read.number("TALLY_SCHEMA_WAIT_S", default.schema_wait_s, 0),
            cache_s=read.number("TALLY_CACHE_S", default.cache_s, 0),
            memory_s=read.number("TALLY_MEMORY_S", default.memory_s, 0),
            auth_s=read.number("TALLY_AUTH_S", default.auth_s, 0),
            flags_s=read.number("TALLY_FLAGS_S", default.flags_s, 0),
            upstream_s=read.number("TALLY_UPSTREAM_S", default.upstream_s, 0.05),
            deadline_s=read.number("TALLY_DEADLINE_S", default.deadline_s, 0.1),
            rate=read.number("TALLY_RATE", default.rate, 0),
            in_flight=read.whole("TALLY_IN_FLIGHT", default.in_flight, 1),
            retention_days=read.whole("TALLY_RETENTION_DAYS", default.retention_days, 1),
            limits=Limits(
                past_s=read.number("TALLY_PAST_S", Limits().past_s, 0),
                names=read.whole("TALLY_NAMES", Limits().names, 1),
                upload_bytes=read.whole("TALLY_UPLOAD_BYTES", Limits().upload_bytes, 1),
                unpacked_bytes=read.whole("TALLY_UNPACKED_BYTES", Limits().unpacked_bytes, 1),
            ),
        )
        days = settings.limits.past_s / 86_400
        if settings.retention_days < days:
            raise SettingsError(
                f"TALLY_RETENTION_DAYS={settings.retention_days} drops events that TALLY_PAST_S"
                f" still lets in: keep at least {math.ceil(days)} days"
            )
        return settings


@dataclass(frozen=True, slots=True)
class _Reader:
    environ: Mapping[str, str]

    def number(self, name: str, default: float, low: float) -> float:
        text = self.environ.get(name, "")
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= low):
            raise SettingsError(f"{name} must be a number, {low:g} or more, not {text!r}")
        return value

    def whole(self, name: str, default: int, low: int) -> int:
        text = self.environ.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdecimal()) or int(text) < low:
            raise SettingsError(f"{name} must be a whole number, {low} or more, not {text!r}")
        return int(text)

    def urls(self, name: str) -> tuple[str, ...]:
        """Base URLs of pods, without a slash at their ends."""
        texts = (part.strip().rstrip("/") for part in self.environ.get(name, "").split(","))
        urls = tuple(text for text in texts if text)
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise SettingsError(f"{name} must list http:// or https:// URLs, not {url!r}")
        return urls


def _database(url: str) -> str:
    if not url:
        raise SettingsError(
            "DATABASE_URL is not set: name a PostgreSQL, or use `tally serve`, which brings its own"
        )
    if not url.startswith(("postgresql://", "postgres://")):
        scheme = url.partition("://")[0] if "://" in url else "no scheme"
        raise SettingsError(f"DATABASE_URL must begin with postgresql://, not with {scheme}")
    return url


def _redis(url: str) -> str:
    # The value is not shown: it may hold a password.
    if url and urlsplit(url).scheme not in ("redis", "rediss", "unix"):
        raise SettingsError(
            "REDIS_URL must begin with redis://, rediss:// or unix://; without one, leave it out"
        )
    return url


def _stage(stage: str) -> str:
    if stage not in STAGES:
        raise SettingsError(f"TALLY_STAGE must be one of {', '.join(STAGES)}, not {stage!r}")
    return stage
