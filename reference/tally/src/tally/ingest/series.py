"""How many series a customer may open: an event is never lost to that, its breakdown may be."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tally.ingest.rows import Row

OVERFLOW: Final = '{"_overflow":"true"}'
"""Counts for all series beyond the limit, so that totals stay right."""
_HOUR_S: Final = 3_600
_MOST_NAMES: Final = 10_000


class Series:
    """Of one process: the distinct dimensions of each name of a customer in an hour.

    A user id sent as a dimension makes a row of rollup for each user and hour; from `most` on they count
    together. Beyond 10,000 names, the one that was seen longest ago is forgotten.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[tuple[int, str, int], set[str]] = OrderedDict()
        self.folded = 0
        """Events that counted for `OVERFLOW`."""

    def of(self, row: Row) -> str:
        """The key of the rollup's row that this event counts for."""
        place = row.customer, row.name, int(row.at.timestamp()) // _HOUR_S
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = set()
            if len(self._known) > _MOST_NAMES:
                self._known.popitem(last=False)
        if row.dimensions in known:
            return row.dimensions
        if len(known) >= self._most:
            self.folded += 1
            return OVERFLOW
        known.add(row.dimensions)
        return row.dimensions
