"""What a run came to: phase by phase, what was asked, what bystanders felt, and whose fault it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unstall.model.codec import dump, load_document
from unstall.model.finding import Finding
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome
from unstall.model.plan import Fault, Plan
from unstall.model.report import Report, WitnessVerdict

VERSION = 1
HEALTHY = "healthy"
"""The name of the phase without a fault."""
WITNESS = "witness"
"""The stream of that name is the bystander."""
SHARD = "shard"
"""Where the machine of a run says which part of a load it sent."""


@dataclass(frozen=True, slots=True)
class Exchanges:
    """What the proxy in front of one upstream saw in a phase."""

    upstream: str
    connections: int = 0
    exchanges: int = 0
    hit: int = 0
    """Of the unit that the fault is thrown for: those that it met."""
    thrown: int = 0
    """Of the same unit: those that it could have met."""
    requests: int = 0
    """HTTP requests, counted only while a fault is thrown for them."""
    unreachable: int = 0
    """Connections that the upstream did not take."""


@dataclass(frozen=True, slots=True)
class Phase:
    """The app under load, healthy or with one fault."""

    name: str
    fault: Fault | None
    """None: healthy."""
    outcome: Outcome
    report: Report
    """Of the app's own workers in this phase."""
    verdict: WitnessVerdict
    because: str
    """The numbers behind the verdict, in a clause."""
    ended: str = ""
    """That the app did so while it was asked, as a sentence; empty where it did not."""
    from_ns: int = 0
    """When its first request was due, on the clock that stalls count on; where the second 0 begins."""
    seconds: float = 0.0
    """Of load."""
    lag: tuple[tuple[int, Histogram], ...] = ()
    """Loop lag by second, where the recording holds it."""
    exchanges: tuple[Exchanges, ...] = ()
    repeat: int = 0

    @property
    def lag_under_load(self) -> Histogram:
        """From its first request on; start-up is in it only where lag is not known by second."""
        return sum((each for _, each in self.lag), Histogram()) if self.lag else self.report.lag


@dataclass(frozen=True, slots=True)
class Judged:
    """A threshold, and what was found."""

    text: str
    phase: str
    value: float | None
    """None: there was nothing to measure it by."""
    held: bool


@dataclass(frozen=True, slots=True)
class Unexercised:
    """A route that no request reached, and why."""

    route: str
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a page, a gate or a comparison needs to know of a run."""

    tool: str
    target: str
    plan: Plan
    started: str = ""
    """ISO 8601, UTC."""
    phases: tuple[Phase, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Of source and of all phases, merged; proved ones first."""
    thresholds: tuple[Judged, ...] = ()
    verdict: WitnessVerdict = WitnessVerdict.NOT_ENOUGH_DATA
    """The worst of the phases that have a fault, or froze without one; of a run without faults, of all."""
    unexercised: tuple[Unexercised, ...] = ()
    gaps: tuple[str, ...] = ()
    """What was not seen, each as a sentence."""
    interrupted: bool = False
    machine: dict[str, str] = field(default_factory=dict)

    @property
    def shard(self) -> str:
        """`1/4`, of a part of a load; empty of a whole."""
        return self.machine.get(SHARD, "")

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, **dump(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        """Raises `RecordingError` when `data` is no run, `NewerRecording` for a later format."""
        return load_document(cls, data, newest=VERSION, name="run", whole="the outcome of a run")
