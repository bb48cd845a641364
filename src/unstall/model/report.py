"""What a run comes to: findings, coverage, and what was not seen."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from unstall.model.anatomy import SlowRequest
from unstall.model.cost import EntryCost, ThreadCost
from unstall.model.finding import Finding, Stall
from unstall.model.histogram import Histogram


class Verdict(enum.StrEnum):
    CLEAN = "clean"
    FINDINGS = "findings"
    NOT_ENOUGH_DATA = "not-enough-data"


class WitnessVerdict(enum.StrEnum):
    """What bystanders felt during a run."""

    ISOLATED = "isolated"
    """Nothing: whatever was slow stayed with those who asked for it."""
    DEGRADED = "degraded"
    FROZEN = "frozen"
    NOT_ENOUGH_DATA = "not-enough-data"


@dataclass(frozen=True, slots=True)
class Report:
    tool: str
    target: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    stalls: tuple[Stall, ...] = ()
    startup: tuple[Stall, ...] = ()
    """Stalls while the process started: shown, and not held against it."""
    lag: Histogram = Histogram()
    entries: tuple[EntryCost, ...] = ()
    """Routes, by how long they held loops."""
    threads: tuple[ThreadCost, ...] = ()
    slow: tuple[SlowRequest, ...] = ()
    coverage: dict[str, int] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()
    """What was not seen, each as a sentence: dropped looks, inactive hooks, cut files."""
    failures: int = 0
    """Errors of the watch itself: that nothing was seen then proves nothing."""
