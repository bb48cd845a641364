"""The path of one request as source shows it: where each step runs, and what it may wait for."""

from __future__ import annotations

from dataclasses import dataclass

from unstall.model.finding import Confidence, Entry, Hop, Site


@dataclass(frozen=True, slots=True)
class Blocking:
    """One blocking call that a step reaches."""

    code: str
    site: Site
    reach: tuple[Hop, ...]
    """From the step's function to the site."""
    place: str
    """Where it runs: `loop` freezes everybody; elsewhere it holds a thread."""
    confidence: Confidence
    cost: str
    """us, ms or unbounded"""
    time_out: str = ""
    """In a clause: `no time-out`, `timeout=5`, `socket default: none`."""
    fingerprint: str = ""
    """Of the finding it belongs to; empty where it is no finding."""


@dataclass(frozen=True, slots=True)
class PathStep:
    kind: str
    function: str
    place: str
    why: str
    """Why it runs there, and why it is clean where it is."""
    file: str
    line: int
    depth: int = 0
    blocking: tuple[Blocking, ...] = ()
    unknown: tuple[str, ...] = ()
    """Calls whose target is not known, each with what would settle it."""
    hops: int = 0
    """Jumps to a thread and back that it costs."""


@dataclass(frozen=True, slots=True)
class RequestPath:
    entry: Entry
    file: str
    line: int
    steps: tuple[PathStep, ...]
