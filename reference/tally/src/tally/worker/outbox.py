"""Usage to billing: what was committed with the events is sent until billing has it, and counts there once.

Billing knows a row by its number, whichever pod is asked, so sending again is harmless and losing is not
possible. Its client cannot be changed and has no time-out; each pod has a lane of its own, so a pod that
hangs keeps two threads and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from psycopg_pool import AsyncConnectionPool

from tally.legacy import BillingClient, BillingError
from unstall import Lane, LaneDeadline, LaneFull, LaneTimeout

logger = logging.getLogger("tally.billing")

BATCH = 60
FOLDED = 10_000
"""Rows of which one sum is made for each customer: of 500 events each, a sum is far from the column's end."""
THREADS = 2
"""For each pod."""
CLAIM_S = 60
"""How long a row belongs to the worker that claimed it, and how long one that no pod took rests. A worker
that died, or is slower than that, is overtaken: its rows are sent twice, and count once."""

_FOLD = """
WITH waiting AS (
    SELECT id, customer_id, events, created_at FROM usage_outbox
    WHERE sent_at IS NULL AND claimed_until IS NULL
    ORDER BY id LIMIT %(rows)s FOR UPDATE SKIP LOCKED
), first AS (
    SELECT customer_id FROM waiting GROUP BY 1 ORDER BY min(id) LIMIT %(customers)s
), gone AS (
    DELETE FROM usage_outbox USING waiting JOIN first USING (customer_id)
    WHERE usage_outbox.id = waiting.id
    RETURNING waiting.customer_id, waiting.events, waiting.created_at
)
INSERT INTO usage_outbox (customer_id, events, created_at, claimed_until)
SELECT customer_id, sum(events), min(created_at), now() + make_interval(secs => %(seconds)s)
FROM gone GROUP BY 1
RETURNING id, customer_id, events
"""
"""There is a row for each commit and customer. Those that nobody has claimed yet become one row, claimed,
with a number of its own: billing may know the others' numbers only if they had been claimed.
"""

_OVERTAKE = """
UPDATE usage_outbox SET claimed_until = now() + make_interval(secs => %(seconds)s)
WHERE id IN (
    SELECT id FROM usage_outbox WHERE sent_at IS NULL AND claimed_until < now()
    ORDER BY id LIMIT %(rows)s FOR UPDATE SKIP LOCKED)
RETURNING id, customer_id, events
"""


_FORGET = """
DELETE FROM usage_outbox WHERE sent_at < now() - make_interval(days => %(days)s) AND id IN (
    SELECT id FROM usage_outbox WHERE sent_at IS NOT NULL ORDER BY id LIMIT %(rows)s)
"""
"""The oldest stand first, so that it reads no more than it deletes, and some."""


class Client(Protocol):
    def record_usage(self, customer: int, events: int, reference: str | None = None) -> str: ...


@dataclass(frozen=True, slots=True)
class Usage:
    id: int
    customer: int
    events: int

    @property
    def reference(self) -> str:
        """By which billing tells what it has already."""
        return f"tally-usage-{self.id}"


@dataclass(frozen=True, slots=True)
class Pod:
    url: str
    client: Client
    lane: Lane


def pods(
    urls: Sequence[str], deadline_s: float, client: Callable[[str], Client] = BillingClient
) -> tuple[Pod, ...]:
    return tuple(
        Pod(
            url,
            client(url),
            # Any pod may have to take what was meant for all of them.
            Lane(
                f"billing-{number}",
                threads=THREADS,
                queue=THREADS * len(urls),
                deadline=deadline_s,
            ),
        )
        for number, url in enumerate(urls, 1)
    )


@dataclass(frozen=True, slots=True)
class Outbox:
    pool: AsyncConnectionPool[Any]
    pods: Sequence[Pod]
    _ill: set[str] = field(default_factory=set)
    """Pods of which it was said that they take nothing."""

    async def drain(self) -> int:
        """Sends what waits now; how many rows billing took. Without pods it all stays where it is."""
        sent = 0
        while self.pods and (claimed := await self._claim()):
            receipts = await self._send_all(claimed)
            await self._note(receipts)
            sent += len(receipts)
            if len(receipts) < len(claimed) or len(claimed) < BATCH:
                break  # the others rest, and so do we; what has come meanwhile gathers until the next time
        return sent

    async def forget(self, days: int) -> int:
        """What billing has had for so long; how many rows."""
        gone: int = 0
        while True:
            async with self.pool.connection() as connection:
                cursor = await connection.execute(_FORGET, {"days": days, "rows": FOLDED})
            gone += cursor.rowcount
            if cursor.rowcount < FOLDED:
                return gone

    async def _claim(self) -> list[Usage]:
        """Before any of it is sent, so that each row has its number for good."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                _FOLD, {"rows": FOLDED, "customers": BATCH, "seconds": CLAIM_S}
            )
            found = await cursor.fetchall()
            if len(found) < BATCH:
                cursor = await connection.execute(
                    _OVERTAKE, {"rows": BATCH - len(found), "seconds": CLAIM_S}
                )
                found += await cursor.fetchall()
            return [Usage(*row) for row in found]

    async def _send_all(self, claimed: Sequence[Usage]) -> dict[int, str]:
        """As many at a time as there are threads."""
        waiting = iter(claimed)
        receipts: dict[int, str] = {}

        async def sender() -> None:
            for usage in waiting:
                receipt = await self._send(usage)
                if receipt is not None:
                    receipts[usage.id] = receipt

        await asyncio.gather(*(sender() for _ in range(THREADS * len(self.pods))))
        return receipts

    async def _send(self, usage: Usage) -> str | None:
        """To one pod after the other until one takes it; each row begins with another."""
        first = usage.id % len(self.pods)
        for pod in (*self.pods[first:], *self.pods[:first]):
            try:
                receipt = await pod.lane.run(
                    pod.client.record_usage, usage.customer, usage.events, usage.reference
                )
            except (LaneFull, LaneTimeout, LaneDeadline, BillingError) as error:
                if pod.url not in self._ill:
                    self._ill.add(pod.url)
                    logger.warning("billing at %s takes nothing: %s", pod.url, error)
                continue
            if pod.url in self._ill:
                self._ill.discard(pod.url)
                logger.info("billing at %s takes usage again", pod.url)
            return receipt
        return None

    async def _note(self, receipts: dict[int, str]) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(
                """UPDATE usage_outbox SET sent_at = now(), receipt = told.receipt, claimed_until = NULL
                FROM unnest(%s::bigint[], %s::text[]) AS told (id, receipt)
                WHERE usage_outbox.id = told.id""",
                (list(receipts), list(receipts.values())),
            )
