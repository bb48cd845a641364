"""What entries cost the loop and what they waited for, summed over a recording."""

from __future__ import annotations

from dataclasses import dataclass

from unstall.model.histogram import Histogram


@dataclass(frozen=True, slots=True)
class PieceCost:
    """One piece of an entry's path; sums over all its calls, in ns."""

    kind: str
    name: str
    depth: int
    calls: int
    took_ns: int
    held_ns: int
    own_ns: int
    """Held, without the pieces inside."""
    queued_ns: int = 0
    worked_ns: int = 0
    hops: int = 0
    away_ns: int = 0
    """Pieces inside waited for a thread or ran in one."""

    @property
    def waited_ns(self) -> int:
        """Neither on the loop nor in a thread nor in the queue for one."""
        elsewhere = self.queued_ns + self.worked_ns + self.away_ns
        return max(0, self.took_ns - self.held_ns - elsewhere)


@dataclass(frozen=True, slots=True)
class EntryCost:
    """One route, by how long its requests held the loop."""

    entry: str
    calls: int
    held: Histogram
    """Of each request that is over, with all its pieces; the sum is also of connections still open."""
    took_ns: int
    took_max_ns: int
    share: float | None = None
    """Of the time that loops were watched, 0 to 1; None if that is unknown."""
    pieces: tuple[PieceCost, ...] = ()

    @property
    def most_per_s(self) -> float | None:
        """Requests a second that one worker can answer at most, were there no others; from the mean held."""
        return self.calls * 1e9 / self.held.sum_ns if self.held.sum_ns else None


@dataclass(frozen=True, slots=True)
class ThreadCost:
    """One bounded pool of threads, by how long calls waited for one."""

    pool: str
    tokens: int
    """The most it may use; 0 if unknown or unbounded."""
    calls: int
    queued: Histogram
    worked: Histogram
    full: int
    """Of the calls, those that found every thread taken."""
    waiting_max: int
    functions: tuple[str, ...] = ()
    """Those that kept its threads longest, the worst first."""
