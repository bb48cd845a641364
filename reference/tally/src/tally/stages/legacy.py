"""What a team writes with the tools it has had for years; every function here waits for somebody.

`blocking` calls these on the loop, `offloaded` in the shared thread pool. Nothing else differs.
"""

from __future__ import annotations

import itertools
import logging
import time
from datetime import datetime
from typing import Any, Final

import httpx2
import msgspec
import redis
import requests
from psycopg2.errors import UniqueViolation
from sqlalchemy import TIMESTAMP, event, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolIsFull
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tally import db
from tally.clients import keys
from tally.clients.pods import Away
from tally.ingest import signature
from tally.ingest.names import Names
from tally.ingest.rows import Row
from tally.ingest.series import Series
from tally.legacy import BillingClient, BillingError
from tally.model import Rejected, Status
from tally.problems import Problem
from tally.query.ask import MetricsQuery
from tally.query.sql import Answer, check_rows, document_of, statement_of
from tally.settings import Settings
from tally.stages import shared

_LOG = logging.getLogger("tally.legacy")
_AWAY: Final = (InterfaceError, OperationalError, PoolIsFull)
_TRIES: Final = 2
_PAUSE_S: Final = 0.1


class Base(DeclarativeBase):
    pass


class EventRecord(Base):
    __tablename__ = "events"

    customer_id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), primary_key=True)
    name: Mapped[str]
    value: Mapped[float]
    dimensions: Mapped[dict[str, str]] = mapped_column(JSONB)
    properties: Mapped[str]


_KEY: Final = text(
    "SELECT customer_id, revoked_at IS NOT NULL FROM api_keys WHERE key_hash = :hash"
)
_NAMES: Final = text("""
    SELECT of_customer, of_day, known FROM tally_use_names(CAST(:customers AS bigint[]),
        CAST(:days AS date[]), CAST(:names AS text[]), CAST(:most AS integer))
""")
_ROLLUP: Final = """
    INSERT INTO {table} AS held (customer_id, name, bucket, dims, dimensions, count, sum, min, max)
    VALUES (:customer, :name, date_trunc('{unit}', CAST(:at AS timestamptz), 'UTC'), :dims,
        CAST(:dims AS jsonb), 1, :value, :value, :value)
    ON CONFLICT (customer_id, name, bucket, dims) DO UPDATE SET
        count = held.count + 1, sum = held.sum + excluded.sum,
        min = least(held.min, excluded.min), max = greatest(held.max, excluded.max)
"""
_ROLLUPS: Final = tuple(
    text(_ROLLUP.format(table=f"rollup_{unit}", unit=unit)) for unit in ("minute", "hour")
)


class Legacy:
    """Everything that a request needs, in synchronous clients."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = db.engine(settings)
        self.redis = redis.Redis.from_url(settings.redis_url) if settings.redis_url else None
        self.pods = [BillingClient(url) for url in settings.billing_urls]
        self.turn = itertools.count()
        self.auth = itertools.cycle(settings.auth_urls)
        self.flag_pods = itertools.cycle(settings.flags_urls)
        self.series = Series(settings.limits.series)
        self.names = Names(settings.limits.names)
        # Dead connections are replaced without an error, and the next server may know less.
        event.listen(self.engine, "connect", lambda *_: self.names.clear())

    # --- who asks ----------------------------------------------------------------------------------

    def authenticate(self, given: str | None) -> int:
        """Raises Problem."""
        key = keys.key_of(given)
        if not self.settings.auth_urls:
            return keys.customer_of(self._key_in_database(key))
        try:
            answer = requests.get(f"{next(self.auth)}/v1/keys/verify", headers={"X-API-Key": key})
            known = keys.told_by(answer.status_code, answer.json)
        except (requests.RequestException, Away) as error:
            raise Problem(503, "auth", f"Keys cannot be checked: {error}.", retry_after=1) from None
        return keys.customer_of(known)

    def _key_in_database(self, key: str) -> keys.Known:
        try:
            with Session(self.engine) as session:
                row = session.execute(_KEY, {"hash": keys.hash_of(key)}).first()
        except _AWAY as error:
            raise shared.away(error) from None
        return keys.Known(row[0], row[1]) if row else keys.Known(None)

    def check_flag(self, customer: int, name: str) -> None:
        """Raises Problem. A client for each request."""
        if not self.settings.flags_urls:
            return
        try:
            with httpx2.Client() as client:
                answer = client.get(f"{next(self.flag_pods)}/v1/flags/{customer}")
            flags = keys.flags_of(answer.status_code, answer.json)
        except (httpx2.HTTPError, Away):
            return
        keys.allow(flags, name)

    def check_rate(self, customer: int) -> None:
        """Raises Problem."""
        if self.redis is None or not self.settings.rate:
            return
        key = f"tally:rate:{customer}:{int(time.time())}"
        try:
            count = int(self.redis.incr(key))
            self.redis.expire(key, 2)
        except redis.RedisError:
            return
        if count > self.settings.rate:
            detail = f"Customer {customer} may send {self.settings.rate:g} requests a second."
            raise Problem(429, "rate", detail, retry_after=1)

    def check_signature(self, raw: bytes, given: str | None) -> None:
        """Raises Problem. The key is derived anew each time."""
        if self.settings.signing_key:
            signature.check(raw, signature.signing_key(self.settings.signing_key), given)

    # --- events ------------------------------------------------------------------------------------

    def save(self, row: Row) -> Status | Rejected:
        """One commit for each event. Raises Problem."""
        try:
            beyond = self._beyond(row)
            if beyond is not None:
                return beyond
            dims = self.series.of(row)
            with Session(self.engine) as session:
                session.add(_record(row))
                try:
                    session.flush()
                except IntegrityError as error:
                    session.rollback()
                    if not isinstance(error.orig, UniqueViolation):
                        raise shared.away(error) from None  # a day that is not open yet
                    return Status.DUPLICATE
                given = {
                    "customer": row.customer,
                    "name": row.name,
                    "at": row.at,
                    "dims": dims,
                    "value": row.value,
                }
                for rollup in _ROLLUPS:
                    session.execute(rollup, given)
                session.commit()
        except _AWAY as error:
            raise shared.away(error) from None
        return Status.ACCEPTED

    def _beyond(self, row: Row) -> Rejected | None:
        """A name that is new here is asked for, and may be one too many."""
        look = self.names.look({row.identity: row})
        if not look.asked:
            return look.refused.get(row.identity)
        with Session(self.engine) as session:
            answers = session.execute(_NAMES, self.names.question(look.asked)).all()
            session.commit()
        told = [(each[0], each[1], each[2]) for each in answers]
        return self.names.learn(look.asked, told).get(row.identity)

    def bill(self, customer: int, events: int) -> None:
        """What billing does not take is lost, but for a line in the log."""
        if not self.settings.billing_urls or not events:
            return
        for _ in range(_TRIES):
            try:
                self.pods[next(self.turn) % len(self.pods)].record_usage(customer, events)
            except BillingError as error:
                _LOG.warning("%s", error)
                time.sleep(_PAUSE_S)
            else:
                return

    # --- queries -----------------------------------------------------------------------------------

    def ask(self, query: MetricsQuery) -> bytes:
        """Raises Problem."""
        asked = shared.now()
        answer = self._kept(query) or self._from_rollups(query)
        return document_of(query, answer, shared.now(), cached=answer.as_of < asked)

    def _kept(self, query: MetricsQuery) -> Answer | None:
        if self.redis is None:
            return None
        try:
            kept: Any = self.redis.get(f"tally:metrics:{query.key}")
        except redis.RedisError:
            return None
        return msgspec.json.decode(kept, type=Answer) if kept else None

    def _from_rollups(self, query: MetricsQuery) -> Answer:
        statement, given = statement_of(query, self.settings.limits.rows)
        try:
            with self.engine.connect() as connection:
                as_of = shared.now()
                count, rows, folded = _only_row(
                    connection.exec_driver_sql(statement, dict(given)).all()
                )
        except _AWAY as error:
            raise shared.away(error) from None
        check_rows(count, self.settings.limits.rows)
        answer = Answer(as_of, msgspec.Raw(rows), folded or 0)
        ttl_ms = int(self.settings.cache_s * 1_000)
        if self.redis is not None and ttl_ms:
            try:
                self.redis.set(f"tally:metrics:{query.key}", msgspec.json.encode(answer), px=ttl_ms)
            except redis.RedisError as error:
                _LOG.warning("%s", error)
        return answer

    def is_ready(self) -> None:
        """Raises Problem."""
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1 FROM events LIMIT 1"))
        except _AWAY as error:
            why = f"waiting for PostgreSQL: {shared.first_line(error)}."
            raise Problem(503, "not-ready", why, retry_after=1) from None

    def close(self) -> None:
        self.engine.dispose()
        if self.redis is not None:
            self.redis.close()


def _record(row: Row) -> EventRecord:
    return EventRecord(
        customer_id=row.customer,
        event_id=row.event_id,
        at=row.at,
        name=row.name,
        value=row.value,
        dimensions=msgspec.json.decode(row.dimensions),
        properties=row.properties,
    )


def _only_row(rows: Any) -> tuple[int, str, int | None]:
    ((count, told, folded),) = rows
    return count, told, folded
