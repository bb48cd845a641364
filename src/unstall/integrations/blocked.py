"""The words with which a test fails that blocked an event loop."""

from __future__ import annotations

from collections.abc import Sequence

from unstall.model.finding import Finding
from unstall.report.text import culprit

BLOCKED = "the event loop was blocked"


def said_of(findings: Sequence[Finding]) -> str:
    """All of them, each with its site, way in, chain and remedy."""
    times = "a call" if len(findings) == 1 else f"{len(findings)} calls"
    blocks = "\n\n".join(culprit(each) for each in findings)
    return f"{BLOCKED}: {times} that can freeze it in production\n\n{blocks}"
