"""When start-up is over, for a process that serves no requests.

A server's start-up ends with its lifespan's, or with its first request. A worker has neither: its start-up is
over when its loops, after the first ten seconds, were never late for a second in all.
"""

from __future__ import annotations

FIRST_NS = 10_000_000_000
CALM_NS = 1_000_000_000


class StartUp:
    """Of one process, for all its loops; used on the watchdog's thread."""

    def __init__(self, began_ns: int) -> None:
        self._counts_from_ns = began_ns + FIRST_NS
        self._calm_ns = 0

    @property
    def over(self) -> bool:
        return self._calm_ns >= CALM_NS

    def calm(self, from_ns: int, until_ns: int) -> None:
        """A loop was never late from then until then; each span is told once."""
        self._calm_ns += max(0, until_ns - max(from_ns, self._counts_from_ns))
