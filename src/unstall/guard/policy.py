"""Who is let in: a pure function of limits, of what is seen, and of how much a request matters."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final, NamedTuple


class Priority(enum.StrEnum):
    CRITICAL = "critical"
    NORMAL = "normal"
    LOW = "low"


class Verdict(enum.Enum):
    ADMIT = "admit"
    QUEUE = "queue"
    SHED = "shed"


class Decision(NamedTuple):
    verdict: Verdict
    reason: str = ""
    """Why it is shed: `lag`, `utilization`, `rss`, `memory`, `lane-stuck` or `full`."""
    detail: str = ""


class Share(NamedTuple):
    """How much of the limits a priority may use."""

    slots: float
    pressure: float


SHARES: Final = {
    Priority.CRITICAL: Share(slots=1.0, pressure=2.0),
    Priority.NORMAL: Share(slots=1.0, pressure=1.0),
    Priority.LOW: Share(slots=0.75, pressure=0.7),
}
"""Low ones leave a quarter of the slots to others and go first under pressure, critical ones go last."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """Four thresholds; None for one that does not count."""

    lag_ns: int | None = None
    utilization: float | None = None
    """Share of its time in which the loop was not idle, 0 to 1."""
    rss_bytes: int | None = None
    memory: float | None = None
    """Share of the container's memory limit, 0 to 1."""

    def __bool__(self) -> bool:
        """Whether any of them counts."""
        limits = (self.lag_ns, self.utilization, self.rss_bytes, self.memory)
        return limits != (None, None, None, None)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of the process at one moment; None where something cannot be seen."""

    lag_ns: int | None = None
    utilization: float | None = None
    rss_bytes: int | None = None
    memory: float | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """Of one kind of slots: all together, or those of a route."""

    in_flight: int
    limit: int | None

    def free(self, share: float = 1.0) -> bool:
        return self.limit is None or self.in_flight < max(1, int(self.limit * share))


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who is here already."""

    all: Room
    route: Room
    queued: int = 0
    queue: int = 0
    """How many may wait."""
    waiting_ahead: bool = False
    """Whether somebody in the queue matters as much or more."""
    stuck: tuple[str, ...] = field(default=())
    """Lanes that the route needs and whose every slot is held by a call that outlived its caller."""


def pressed(pressure: Pressure, sight: Sight, share: float) -> Decision | None:
    """The first threshold that is passed, for who may use so much of each."""
    if pressure.lag_ns is not None and (sight.lag_ns or 0) > pressure.lag_ns * share:
        allowed = pressure.lag_ns * share / 1e6
        return _shed(
            "lag",
            f"the event loop is {(sight.lag_ns or 0) / 1e6:.0f} ms late, {allowed:.0f} are allowed",
        )
    if pressure.utilization is not None and (sight.utilization or 0) > pressure.utilization * share:
        return _shed(
            "utilization", f"the event loop is busy {(sight.utilization or 0):.0%} of the time"
        )
    if pressure.rss_bytes is not None and (sight.rss_bytes or 0) > pressure.rss_bytes * share:
        return _shed("rss", f"the process holds {(sight.rss_bytes or 0) / 1e6:.0f} MB")
    if pressure.memory is not None and (sight.memory or 0) > pressure.memory * share:
        return _shed("memory", f"{(sight.memory or 0):.0%} of the memory is used")
    return None


def decide(pressure: Pressure, sight: Sight, crowd: Crowd, priority: Priority) -> Decision:
    """Pressure sheds; else there is a slot, or a place in the queue, or neither."""
    share = SHARES[priority]
    shed = pressed(pressure, sight, share.pressure)
    if shed is not None:
        return shed
    if crowd.stuck:
        return _shed("lane-stuck", f"the lane {crowd.stuck[0]!r} is stuck")
    if not crowd.waiting_ahead and crowd.all.free(share.slots) and crowd.route.free():
        return _ADMIT
    if crowd.queued < crowd.queue:
        return _QUEUE
    return no_room(crowd.all.in_flight, crowd.queued)


def no_room(in_flight: int, queued: int) -> Decision:
    """Neither a slot nor a place in the queue."""
    return _shed("full", f"{in_flight} requests are under way and {queued} wait")


def _shed(reason: str, detail: str) -> Decision:
    return Decision(Verdict.SHED, reason, detail)


_ADMIT = Decision(Verdict.ADMIT)
_QUEUE = Decision(Verdict.QUEUE)
