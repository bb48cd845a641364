"""How many names a customer may use on a day: each has rows in the rollups, and hours are kept for ever.

The database knows them, and counts under a lock, so the limit is exact however many processes ask. A process
remembers what it was told: a name that is in use costs no question, and neither does one too many once it has
been told all names of that day, because no other will come.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, TypeAlias

from psycopg_pool import AsyncConnectionPool

from tally.ingest.rows import Identity, Row
from tally.model import Rejected

Place: TypeAlias = tuple[int, int]
"""A customer, and a day in UTC by its number."""
Answer: TypeAlias = tuple[int, date, Sequence[str], bool]
"""A customer, a day, names that may be used, and whether these are all."""

_MOST: Final = 250_000

USE: Final = """
SELECT of_customer, of_day, known, is_full FROM tally_use_names(
    %(customers)b::bigint[], %(days)b::date[], %(names)b::text[], %(most)b::integer)
"""
"""A transaction of its own, before that of the events: who writes waits for nobody who counts names."""
_FORGET: Final = (
    "DELETE FROM event_names WHERE day < tally_today() - %s::integer",
    "DELETE FROM event_name_counts WHERE day < tally_today() - %s::integer",
)


@dataclass(slots=True)
class _Day:
    names: set[str] = field(default_factory=set)
    is_full: bool = False
    """These are all names that the customer may use on this day."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of some rows; of those that are in neither, the name may be used."""

    refused: Mapping[Identity, Rejected]
    asked: Mapping[Identity, Row]
    """Of which only the database knows."""


class Names:
    """Of one process. Beyond 250,000 names the days that came first are forgotten, and asked for again."""

    def __init__(self, most: int, *, most_in_all: int = _MOST) -> None:
        self.most = most
        self._most_in_all = most_in_all
        self._known: OrderedDict[Place, _Day] = OrderedDict()
        self._in_all = 0

    def look(self, rows: Mapping[Identity, Row]) -> Look:
        refused: dict[Identity, Rejected] = {}
        asked: dict[Identity, Row] = {}
        for identity, row in rows.items():
            known = self._known.get((identity[0], identity[2]))
            if known is None:
                asked[identity] = row
            elif row.name not in known.names:
                if known.is_full:
                    refused[identity] = self._refusal(identity, row, len(known.names))
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
        days = {
            (customer, day.toordinal()): _Day(set(names), is_full)
            for customer, day, names, is_full in answers
        }
        for place, day in days.items():
            self._keep(place, day)
        self._forget(len(days))
        refused: dict[Identity, Rejected] = {}
        for identity, row in asked.items():
            names = days[identity[0], identity[2]].names
            if row.name not in names:
                refused[identity] = self._refusal(identity, row, len(names))
        return refused

    def clear(self) -> None:
        """For another database, which may know less."""
        self._known.clear()
        self._in_all = 0

    def _keep(self, place: Place, day: _Day) -> None:
        before = self._known.pop(place, None)
        if before is not None:
            self._in_all -= len(before.names)
            day = _Day(before.names | day.names, before.is_full or day.is_full)
        self._known[place] = day
        self._in_all += len(day.names)

    def _forget(self, newest: int) -> None:
        while len(self._known) > newest and self._in_all > self._most_in_all:
            _, forgotten = self._known.popitem(last=False)
            self._in_all -= len(forgotten.names)

    def _refusal(self, identity: Identity, row: Row, used: int) -> Rejected:
        customer, _, day = identity
        return Rejected(
            "too-many-names",
            f"customer {customer} has used {used} names on {date.fromordinal(day)}; at most {self.most} are"
            f" allowed, and {row.name!r} is another",
        )


async def forget(pool: AsyncConnectionPool[Any], days: int) -> None:
    """Names of days whose events are gone."""
    async with pool.connection() as connection, connection.transaction():
        for statement in _FORGET:
            await connection.execute(statement.encode(), (days,))
