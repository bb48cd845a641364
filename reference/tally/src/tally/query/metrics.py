"""Answers from three places: this process, Redis, the rollups."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from tally.db import Pool
from tally.query.ask import MetricsQuery
from tally.query.far import Far
from tally.query.near import Near
from tally.query.sql import Answer, check_rows, document_of, statement_of

_MOST: Final = 64 * 1024 * 1024
"""Bytes of answers that a process keeps."""
_LEAST: Final = 32 * 1024
"""What an answer counts as, however short it is: so there are 2,048 at the most."""
_ANSWER = msgspec.json.Decoder(Answer)


def _weight(answer: Answer) -> int:
    return max(_LEAST, len(memoryview(answer.rows)))


def now() -> datetime:
    return datetime.now(UTC)


class Metrics:
    """An answer is used until it is `cache_s` old, and kept in this process for `memory_s` at most."""

    def __init__(
        self,
        pool: Pool,
        far: Far,
        *,
        cache_s: float,
        memory_s: float,
        most_rows: int,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._pool = pool
        self._far = far
        self._cache_s = cache_s
        self._most_rows = most_rows
        self._clock = clock
        self._near: Near[MetricsQuery, Answer] = Near(
            self._from_far, fresh_s=memory_s, most=_MOST, weigh=_weight
        )

    async def document(self, query: MetricsQuery) -> bytes:
        asked = self._clock()
        answer = await self._near.get(query)
        if self._is_old(answer):
            self._near.forget(query)
            answer = await self._near.get(query)
        return document_of(query, answer, self._clock(), cached=answer.as_of < asked)

    def _is_old(self, answer: Answer) -> bool:
        return (self._clock() - answer.as_of).total_seconds() > self._cache_s

    async def _from_far(self, query: MetricsQuery) -> Answer:
        key = f"tally:metrics:{query.key}"
        kept = await self._far.get(key)
        if kept is not None:
            answer = _ANSWER.decode(kept)
            if not self._is_old(answer):
                return answer
        answer = await self._from_rollups(query)
        if self._cache_s > 0:
            await self._far.put(key, msgspec.json.encode(answer), self._cache_s)
        return answer

    async def _from_rollups(self, query: MetricsQuery) -> Answer:
        text, given = statement_of(query, self._most_rows)
        async with self._pool.connection() as connection:
            as_of = self._clock()
            cursor = await connection.execute(text.encode(), given)
            row = await cursor.fetchone()
        assert row is not None
        count, rows, folded = row
        check_rows(count, self._most_rows)
        return Answer(as_of, msgspec.Raw(rows), folded or 0)
