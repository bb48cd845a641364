"""What is stored of an event."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeAlias

from msgspec import Struct

Identity: TypeAlias = tuple[int, str, int]
"""Customer, id, and the day in UTC by its number."""


class Row(Struct, frozen=True, gc=False):
    """Texts are canonical JSON: sorted keys, no spaces."""

    customer: int
    event_id: str
    name: str
    at: datetime
    value: float
    dimensions: str
    """Texts by name: the key of its series in the rollups."""
    properties: str

    @property
    def identity(self) -> Identity:
        """What makes two events the same."""
        return self.customer, self.event_id, self.at.astimezone(UTC).toordinal()


def firsts(rows: Iterable[Row]) -> dict[Identity, Row]:
    """The first of those with one identity: it is the one that may be stored."""
    found: dict[Identity, Row] = {}
    for row in rows:
        found.setdefault(row.identity, row)
    return found
