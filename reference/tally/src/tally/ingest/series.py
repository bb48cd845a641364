"""How many series a customer may open: an event is never lost to that, its breakdown may be."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from tally.ingest.rows import Row

OVERFLOW: Final = '{"_overflow":"true"}'
"""Counts for all series beyond the limit, so that totals stay right."""
_HOUR_S: Final = 3_600
_MOST_NAMES: Final = 10_000
_MOST: Final = 1_000_000


class Series:
    """Of one process: the distinct dimensions of each name of a customer in an hour.

    A user id sent as a dimension makes a row of rollup for each user and hour; from `most` on they count
    together. Beyond 10,000 names and hours, or a million series in all, the name that came first is
    forgotten: it may open as many again.
    """

    def __init__(self, most: int, *, most_in_all: int = _MOST) -> None:
        self._most = most
        self._most_in_all = most_in_all
        self._known: OrderedDict[tuple[int, str, int], set[int]] = OrderedDict()
        """Hashes: a text may have two kilobytes, and two with one hash only count as one here."""
        self._in_all = 0
        self.folded = 0
        """Events that counted for `OVERFLOW`."""

    def of(self, row: Row) -> str:
        """The key of the rollup's row that this event counts for."""
        place = row.customer, row.name, int(row.at.timestamp()) // _HOUR_S
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = set()
        number = hash(row.dimensions)
        if number in known:
            return row.dimensions
        if len(known) >= self._most:
            self.folded += 1
            return OVERFLOW
        known.add(number)
        self._in_all += 1
        self._forget()
        return row.dimensions

    def _forget(self) -> None:
        while len(self._known) > 1 and (
            len(self._known) > _MOST_NAMES or self._in_all > self._most_in_all
        ):
            _, forgotten = self._known.popitem(last=False)
            self._in_all -= len(forgotten)
