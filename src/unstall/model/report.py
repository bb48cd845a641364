"""What a run comes to: findings, coverage, and what was not seen."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from unstall.model.anatomy import SlowRequest
from unstall.model.cost import EntryCost, ThreadCost
from unstall.model.finding import Finding, Stall
from unstall.model.histogram import Histogram
from unstall.model.path import RequestPath


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
class Waived:
    """A finding that somebody answers for, in a comment beside the code."""

    finding: Finding
    reason: str
    file: str
    line: int
    """Of the comment."""
    until: str | None = None
    """The last day it holds, as `2027-01-31`."""


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
    paths: tuple[RequestPath, ...] = ()
    """Requests as source shows them, step by step."""
    waived: tuple[Waived, ...] = ()
    hidden: dict[str, int] = field(default_factory=dict)
    """Findings that are not shown, by why: `trivial`, `possible`, `baseline`, …"""
    objections: tuple[str, ...] = ()
    """What is wrong with waivers, each as a sentence; they fail a run as findings do."""
    remarks: tuple[str, ...] = ()
    """What is good to know and fails nothing."""
