"""What a run came to: phase by phase, what was asked, what bystanders felt, and whose fault it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unstall.errors import NewerRecording, RecordingError
from unstall.model.codec import dump, load
from unstall.model.finding import Finding
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome
from unstall.model.plan import Fault, Plan
from unstall.model.report import Report, WitnessVerdict

VERSION = 1
_STOOD_NS, _FELT_NS, _HURT = 500_000_000, 1_000_000_000, 3
HEALTHY = "healthy"
"""The name of the phase without a fault."""
WITNESS = "witness"
"""The stream of that name is the bystander."""


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
    from_ns: int = 0
    """When its first request was due, on the clock that stalls count on; where the second 0 begins."""
    seconds: float = 0.0
    """Of load."""
    lag: tuple[tuple[int, Histogram], ...] = ()
    """Loop lag by second, where the recording holds it."""
    exchanges: tuple[Exchanges, ...] = ()
    repeat: int = 0

    @property
    def frozen_alone(self) -> bool:
        """Bystanders were frozen, and nothing was ill: a loop stood still, or it was more than a hiccup."""
        if self.fault is not None or self.verdict is not WitnessVerdict.FROZEN:
            return False
        stood = any(stall.held_ns >= _STOOD_NS for stall in self.report.stalls)
        return stood or any(
            stream.due - stream.answered_below(500) + stream.latency.at_least(_FELT_NS) >= _HURT
            for stream in self.outcome.streams
            if stream.name == WITNESS
        )

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

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, **dump(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        """Raises `RecordingError` when `data` is no run, `NewerRecording` for a later format."""
        version = data.get("version")
        if isinstance(version, int) and version > VERSION:
            raise NewerRecording(
                f"this run has format {version} and this unstall reads {VERSION}: upgrade it"
            )
        try:
            return load(cls, data)
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"this is not the outcome of a run: {error}") from None
