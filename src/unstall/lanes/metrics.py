"""What lanes publish; `unstall.meters` holds it for the exporters."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from unstall.meters import METERS, Counter, Distribution, Gauge, Labels

if TYPE_CHECKING:
    from unstall.lanes.calls import Calls
    from unstall.lanes.slots import Reading

LANES: weakref.WeakSet[Calls] = weakref.WeakSet()
"""The engines of all lanes of this process."""

_LABELS = ("lane",)
_NAME = "unstall_lane_"

WAITED = Distribution(f"{_NAME}wait_seconds", "How long calls waited for a slot.", _LABELS)
WORKED = Distribution(f"{_NAME}work_seconds", "How long calls ran in a lane.", _LABELS)
REJECTED = Counter(
    f"{_NAME}rejected_total", "Calls that a lane did not begin: full, stuck, or too late.", _LABELS
)
DEADLINES = Counter(f"{_NAME}deadline_total", "Calls that ran when their deadline passed.", _LABELS)


def _gauge(name: str, help: str, value: Callable[[Reading], int]) -> Gauge:
    def read() -> list[tuple[Labels, float]]:
        found: dict[Labels, float] = {}
        for lane in list(LANES):
            labels = (lane.name,)
            found[labels] = found.get(labels, 0.0) + value(lane.slots.reading())
        return list(found.items())

    return Gauge(f"{_NAME}{name}", help, read, _LABELS)


METERS.add(
    WAITED,
    WORKED,
    REJECTED,
    DEADLINES,
    _gauge("queue", "Calls waiting for a slot.", lambda reading: reading.queued),
    _gauge(
        "running", "Calls at work whose callers wait.", lambda now: max(0, now.held - len(now.left))
    ),
    _gauge("abandoned", "Calls at work whose callers have gone.", lambda now: len(now.left)),
)
