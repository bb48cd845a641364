"""How many names a customer may use on a day: each has rows in the rollups, and hours are kept for ever.

The database knows them, and counts under a lock, so the limit is exact however many processes ask. A process
remembers what it was told: a name that is in use costs no question, and neither does one that was refused.
An answer is no longer than its question, whatever others have used: somebody's bomb must not be costly here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, TypeAlias

from psycopg_pool import AsyncConnectionPool

from tally.ingest.rows import Identity, Row
from tally.model import Rejected

Place: TypeAlias = tuple[int, int]
"""A customer, and a day in UTC by its number."""
Answer: TypeAlias = tuple[int, date, Sequence[str]]
"""A customer, a day, and which of the names that were asked for may be used."""

_MOST: Final = 250_000
_MOST_REFUSED: Final = 1_000

USE: Final = """
SELECT of_customer, of_day, known FROM tally_use_names(
    %(customers)b::bigint[], %(days)b::date[], %(names)b::text[], %(most)b::integer)
"""
"""A transaction of its own, before that of the events: no lock of names is held while events are written."""
_FORGET: Final = (
    "DELETE FROM event_names WHERE day < tally_today() - %s::integer",
    "DELETE FROM event_name_counts WHERE day < tally_today() - %s::integer",
)


@dataclass(slots=True)
class _Day:
    names: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    """Some of those that were too many. There is no other limit of them, so they are not all kept."""

    @property
    def size(self) -> int:
        return len(self.names) + len(self.refused)


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of some rows; of those that are in neither, the name may be used."""

    refused: Mapping[Identity, Rejected]
    asked: Mapping[Identity, Row]
    """Of which only the database knows."""


class Names:
    """Of one process, for all its threads. Of a day at most 1,000 refused names are kept.

    Beyond 250,000 names in all, those of the day that was not met for the longest time are forgotten.
    """

    def __init__(
        self, most: int, *, most_in_all: int = _MOST, most_refused: int = _MOST_REFUSED
    ) -> None:
        self.most = most
        self._most_in_all = most_in_all
        self._most_refused = most_refused
        self._lock = threading.Lock()
        self._known: OrderedDict[Place, _Day] = OrderedDict()
        self.held = 0
        """Names, of all days."""

    def look(self, rows: Mapping[Identity, Row]) -> Look:
        refused: dict[Identity, Rejected] = {}
        asked: dict[Identity, Row] = {}
        with self._lock:
            for identity, row in rows.items():
                known = self._met((identity[0], identity[2]))
                if known is None:
                    asked[identity] = row
                elif row.name not in known.names:
                    if row.name in known.refused:
                        refused[identity] = self._refusal(identity, row)
                    else:
                        asked[identity] = row
        return Look(refused, asked)

    def question(self, asked: Mapping[Identity, Row]) -> dict[str, Any]:
        """The parameters of `USE`."""
        uses = dict.fromkeys((of[0], of[2], row.name) for of, row in asked.items())
        return {
            "customers": [customer for customer, _, _ in uses],
            "days": [date.fromordinal(day) for _, day, _ in uses],
            "names": [name for _, _, name in uses],
            "most": self.most,
        }

    def learn(
        self, asked: Mapping[Identity, Row], answers: Iterable[Answer]
    ) -> dict[Identity, Rejected]:
        """What the database said of them; those whose name is one too many."""
        usable = {(customer, day.toordinal()): set(names) for customer, day, names in answers}
        told: defaultdict[Place, _Day] = defaultdict(_Day)
        refused: dict[Identity, Rejected] = {}
        for identity, row in asked.items():
            place = identity[0], identity[2]
            if row.name in usable[place]:
                told[place].names.add(row.name)
            else:
                told[place].refused.add(row.name)
                refused[identity] = self._refusal(identity, row)
        with self._lock:
            for place, day in told.items():
                self._keep(place, day)
            self._forget(len(told))
        return refused

    def clear(self) -> None:
        """For another database, which may know less."""
        with self._lock:
            self._known.clear()
            self.held = 0

    # --- with the lock held ------------------------------------------------------------------------

    def _met(self, place: Place) -> _Day | None:
        known = self._known.get(place)
        if known is not None:
            self._known.move_to_end(place)
        return known

    def _keep(self, place: Place, told: _Day) -> None:
        known = self._met(place)
        if known is None:
            known = self._known[place] = _Day()
        before = known.size
        known.names |= told.names
        known.refused |= told.refused
        if len(known.refused) > self._most_refused:
            known.refused = told.refused
        self.held += known.size - before

    def _forget(self, newest: int) -> None:
        while len(self._known) > newest and self.held > self._most_in_all:
            _, forgotten = self._known.popitem(last=False)
            self.held -= forgotten.size

    def _refusal(self, identity: Identity, row: Row) -> Rejected:
        customer, _, day = identity
        return Rejected(
            "too-many-names",
            f"customer {customer} has used all {self.most} names that are allowed on"
            f" {date.fromordinal(day)}, and {row.name!r} is another",
        )


async def forget(pool: AsyncConnectionPool[Any], days: int) -> None:
    """Names of days whose events are gone."""
    async with pool.connection() as connection, connection.transaction():
        for statement in _FORGET:
            await connection.execute(statement.encode(), (days,))
