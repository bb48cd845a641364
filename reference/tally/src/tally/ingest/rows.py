"""What is stored of an event."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct


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
    def identity(self) -> tuple[int, str, int]:
        """What makes two events the same: customer, id, and the day in UTC."""
        return self.customer, self.event_id, self.at.astimezone(UTC).toordinal()
