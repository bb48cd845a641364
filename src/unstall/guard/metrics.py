"""What guards publish; `unstall.meters` holds it for the exporters."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from unstall.meters import METERS, Counter, Distribution, Gauge, Labels
from unstall.model.metric import Kind

CellType = TypeVar("CellType", bound="Cell")


class Door(Protocol):
    """What gauges ask of a door."""

    in_flight: int

    @property
    def queued(self) -> int: ...
    @property
    def limit(self) -> int | None: ...


class Cell:
    """One of the numbers that a counter is the sum of."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def read(self) -> int:
        return self.count

    def renew(self) -> None:
        self.count = 0


class Cells(Gauge):
    """A counter for what is counted most often: whoever counts adds to a cell of its own series.

    Loops on several threads may lose one now and then.
    """

    def __init__(self, name: str, help: str, labels: Labels) -> None:
        self._cells: dict[Labels, list[Cell]] = {}
        super().__init__(name, help, self._counts, labels)
        self._family = replace(self._family, kind=Kind.COUNTER)

    def add(self, labels: Labels, cell: CellType) -> CellType:
        """Another one of a series; it stays, so that its series never falls."""
        self._cells.setdefault(labels, []).append(cell)
        return cell

    def renew(self) -> None:
        for cells in self._cells.values():
            for cell in cells:
                cell.renew()

    def _counts(self) -> list[tuple[Labels, float]]:
        sums = {labels: sum(cell.read() for cell in cells) for labels, cells in self._cells.items()}
        return [(labels, float(count)) for labels, count in sorted(sums.items())]


DOORS: weakref.WeakSet[Door] = weakref.WeakSet()
"""Of all guards of this process."""

_NAME = "unstall_guard_"
ADMITTED = Cells(f"{_NAME}admitted_total", "Requests let in.", ("priority",))
SHED = Counter(
    f"{_NAME}shed_total", "Requests refused because of load, with 503.", ("reason", "priority")
)
REJECTED = Counter(
    f"{_NAME}rejected_total", "Requests refused for what they are: size, shape, rate.", ("reason",)
)
OVERRUN = Counter(
    "unstall_deadline_overrun_total", "Requests that were not answered in time.", ("route",)
)
QUEUED = Distribution("http_server_queue_seconds", "From X-Request-Start to the guard.", ())
WAITED = Distribution(f"{_NAME}wait_seconds", "How long requests waited for a slot.", ())


def _gauge(name: str, help: str, value: Callable[[Door], float | None]) -> Gauge:
    def read() -> list[tuple[Labels, float]]:
        found = [value(door) for door in list(DOORS)]
        known = [each for each in found if each is not None]
        return [((), sum(known))] if known else []

    return Gauge(f"{_NAME}{name}", help, read)


METERS.add(
    ADMITTED,
    SHED,
    REJECTED,
    OVERRUN,
    QUEUED,
    WAITED,
    _gauge("in_flight", "Requests let in and not answered.", lambda door: door.in_flight),
    _gauge("queue", "Requests waiting to be let in.", lambda door: door.queued),
    _gauge(
        "limit", "Requests that may be under way; absent without a limit.", lambda door: door.limit
    ),
)
