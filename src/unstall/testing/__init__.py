"""The public kit for tests: a clock that only moves when told, builders for what was seen, upstreams that
misbehave, and four patterns.

`burst`, `slow_upstream`, `exhaust` and `cancelled` try what every asynchronous service must survive, and
raise AssertionError with the name of who held what.
"""

from __future__ import annotations

from unstall.chaos import Chaos
from unstall.testing.asking import Answer, Asked
from unstall.testing.burst import Burst, burst
from unstall.testing.cancelled import cancelled
from unstall.testing.exhaust import Exhausted, exhaust
from unstall.testing.kit import (
    DUE_MS,
    THRESHOLD_NS,
    ManualClock,
    entry,
    frame,
    library,
    look,
    ns_of,
    request,
    site,
    stack,
    stall,
    stdlib,
    stretch,
)
from unstall.testing.upstream import SlowUpstream, slow_upstream

__all__ = [
    "DUE_MS",
    "THRESHOLD_NS",
    "Answer",
    "Asked",
    "Burst",
    "Chaos",
    "Exhausted",
    "ManualClock",
    "SlowUpstream",
    "burst",
    "cancelled",
    "entry",
    "exhaust",
    "frame",
    "library",
    "look",
    "ns_of",
    "request",
    "site",
    "slow_upstream",
    "stack",
    "stall",
    "stdlib",
    "stretch",
]
