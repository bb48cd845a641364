"""One pool seen from outside: the wait for a slot, the hold, time-outs, and its size when somebody reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unstall.gates.flow import Finder, Flow, Where
from unstall.meters import Counter, Distribution, Gauge, Labels, Meter

Clock = Callable[[], int]
_LABELS = ("pool", "kind")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a pool says of itself; read from another thread, so by lengths and attributes alone."""

    limit: int | None
    """Slots at most; None without limit."""
    idle: int
    """Open connections that nobody holds."""
    used: int | None = None
    """Slots lent; None where the pool does not say, and then what was seen is counted."""
    waits: bool = True
    """Whether it lets callers wait when it is full; else it refuses them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of pool: how to know it, read it, and tell its errors."""

    name: str
    anchor: Callable[[Any], Any]
    """What lives as long as the pool and takes weak references; None if that does not exist yet."""
    name_of: Callable[[Any], str]
    """From host and database, never with a password. May look at the library's frames."""
    read: Callable[[Any], Reading]
    """Is given the anchor."""
    timed_out: Callable[[BaseException, bool], bool]
    """Whether an error says that no slot came in time; the second is whether one had come."""
    refused: Callable[[BaseException], bool] = lambda error: False
    """Whether an error says that the pool takes nobody in any more."""
    asynchronous: Callable[[Any], bool] = lambda pool: False


@dataclass(frozen=True, slots=True)
class Statistics:
    """One gate at one moment. Counts are those of all pools of its name and kind."""

    name: str
    kind: str
    limit: int | None
    used: int
    idle: int
    pending: int
    """Callers that have asked and have nothing yet."""
    acquired: int
    """Waits that have ended, with a slot or too late."""
    wait_s: float
    returned: int
    use_s: float
    created: int
    create_s: float
    timeouts: int
    refused: int
    nested: int


class Families:
    """The families of all gates, with the names of OpenTelemetry's conventions."""

    def __init__(self, gates: Callable[[], list[Gate]]) -> None:
        self._gates = gates
        name = "db_client_connection_"
        self.wait = Distribution(
            f"{name}wait_time_seconds", "How long callers waited for a slot of a pool.", _LABELS
        )
        self.use = Distribution(
            f"{name}use_time_seconds", "How long slots of a pool were held.", _LABELS
        )
        self.create = Distribution(
            f"{name}create_time_seconds", "How long it took to open connections.", _LABELS
        )
        self.timeouts = Counter(
            f"{name}timeouts_total", "Callers that got no slot in time.", _LABELS
        )
        self.refused = Counter(
            "unstall_gate_refused_total", "Callers that a full pool did not let wait.", _LABELS
        )
        self.nested = Counter(
            "unstall_gate_nested_total",
            "Slots asked for while one of the pool was held.",
            _LABELS,
        )
        self.all: tuple[Meter, ...] = (
            self.wait, self.use, self.create, self.timeouts, self.refused, self.nested,
            Gauge(f"{name}count", "Connections by state.", self._count, (*_LABELS, "state")),
            Gauge(f"{name}pending_requests", "Callers waiting for a slot.", self._pending, _LABELS),
            Gauge(f"{name}max", "Slots at most; absent without a limit.", self._max, _LABELS),
        )  # fmt: skip

    def _count(self) -> list[tuple[Labels, float]]:
        found: dict[Labels, float] = {}
        for gate in self._gates():
            if (reading := gate.reading()) is not None:
                _sum(found, (*gate.labels, "idle"), reading.idle)
                _sum(found, (*gate.labels, "used"), gate.used(reading))
        return list(found.items())

    def _pending(self) -> list[tuple[Labels, float]]:
        found: dict[Labels, float] = {}
        for gate in self._gates():
            _sum(found, gate.labels, gate.pending())
        return list(found.items())

    def _max(self) -> list[tuple[Labels, float]]:
        found: dict[Labels, float] = {}
        for gate in self._gates():
            reading = gate.reading()
            if reading is not None and reading.limit is not None:
                _sum(found, gate.labels, reading.limit)
        return list(found.items())


class Loan:
    """One slot, from the asking to the return."""

    __slots__ = (
        "asked_ns", "flow", "gate", "given_ns", "number", "slot_ns", "times", "unsettled", "where",
    )  # fmt: skip

    def __init__(
        self, gate: Gate, flow: Flow, where: Where | None, now: int, times: int = 1
    ) -> None:
        self.gate = gate
        self.flow: Flow | None = flow
        """None when it is over."""
        self.where = where
        self.asked_ns = now
        self.times = times
        """How many askings it stands for, itself among them."""
        self.slot_ns = 0
        """When the pool had a slot for it, and opening a connection began; 0 if it did not say."""
        self.given_ns = 0
        self.number = 0
        """Of the object that stands for its slot."""
        self.unsettled = False
        """Its wait is told when it is over."""


class Gate:
    """What was seen of one pool. Made by a registry, written by its library's adapter."""

    __slots__ = ("_anchor", "_lent", "_meters", "asking", "asynchronous", "kind", "labels", "where")

    def __init__(
        self,
        name: str,
        kind: Kind,
        anchor: Callable[[], Any],
        meters: Families,
        lent: Callable[[Gate], int],
        finder: Finder,
        *,
        asynchronous: bool = False,
    ) -> None:
        self.kind = kind
        self.labels = (name, kind.name)
        self.asking: set[Loan] = set()
        self.asynchronous = asynchronous
        self._anchor = anchor
        self._meters = meters
        self._lent = lent
        self.where = finder.find

    @property
    def name(self) -> str:
        return self.labels[0]

    def rename(self, name: str) -> None:
        """From now on; what was counted stays under its old name."""
        self.labels = (name, self.kind.name)

    def reading(self) -> Reading | None:
        """None when the pool is gone, or cannot be read just now."""
        anchor = self._anchor()
        try:
            return None if anchor is None else self.kind.read(anchor)
        except Exception:  # it changes under us, on another thread
            return None

    def used(self, reading: Reading) -> int:
        return self._lent(self) if reading.used is None else max(0, reading.used)

    def pending(self) -> int:
        """Callers that have asked and have nothing yet."""
        return sum(loan.times for loan in list(self.asking))

    def statistics(self) -> Statistics:
        """Safe from any thread, at any time."""
        meters = self._meters
        reading = self.reading() or Reading(None, 0, 0)
        acquired, wait_s = _total(meters.wait, self.labels)
        returned, use_s = _total(meters.use, self.labels)
        created, create_s = _total(meters.create, self.labels)
        return Statistics(
            name=self.name,
            kind=self.kind.name,
            limit=reading.limit,
            used=self.used(reading),
            idle=reading.idle,
            pending=self.pending(),
            acquired=acquired,
            wait_s=wait_s,
            returned=returned,
            use_s=use_s,
            created=created,
            create_s=create_s,
            timeouts=_count_of(meters.timeouts, self.labels),
            refused=_count_of(meters.refused, self.labels),
            nested=_count_of(meters.nested, self.labels),
        )


monotonic_ns: Clock = time.monotonic_ns


def _sum(found: dict[Labels, float], labels: Labels, value: float) -> None:
    found[labels] = found.get(labels, 0.0) + value


def _total(meter: Distribution, labels: Labels) -> tuple[int, float]:
    """How many there were, and the seconds of all."""
    for sample in meter.family().samples:
        if sample.labels == labels:
            return sum(sample.buckets), sample.value
    return 0, 0.0


def _count_of(meter: Counter, labels: Labels) -> int:
    return next((int(s.value) for s in meter.family().samples if s.labels == labels), 0)
