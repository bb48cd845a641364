"""Where the time of requests went: of one slow request, and summed up by entry. Times in ns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from unstall.model.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a request's path, measured."""

    kind: str
    """`request`, `middleware`, `dependency`, `endpoint`, `serialization`, `section`, `thread` and so on."""
    name: str
    """`module:function` or the name that the user gave; empty where the kind says it all."""
    depth: int
    began_ns: int
    """After the beginning of the request."""
    took_ns: int
    held_ns: int | None
    """The loop was kept by this piece and all inside it; None where that cannot be told."""
    own_ns: int = 0
    """Of that, without the pieces inside."""
    queued_ns: int = 0
    """It waited for a thread."""
    worked_ns: int = 0
    """It ran in a thread."""
    hops: int = 0
    away_ns: int = 0
    """Pieces inside waited for a thread or ran in one."""

    @property
    def waited_ns(self) -> int:
        """Neither on the loop nor in a thread nor in the queue for one."""
        elsewhere = self.queued_ns + self.worked_ns + self.away_ns
        return max(0, self.took_ns - (self.held_ns or 0) - elsewhere)


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """A request that took longer than the limit, with its whole path."""

    process: str
    entry: str
    """`GET /users/{id}`."""
    until_ns: int
    """When it ended."""
    took_ns: int
    held_ns: int
    request_id: str | None = None
    pieces: tuple[Piece, ...] = ()
    cut: int = 0
    """Pieces beyond the bound."""


@dataclass(frozen=True, slots=True)
class Held:
    """Sums of one piece of one entry over a span of time, scaled to all requests."""

    process: str
    from_ns: int
    until_ns: int
    entry: str
    piece: str
    """Its kind, as of a `Piece`."""
    name: str
    depth: int
    calls: int
    took_ns: int
    held: Histogram
    own_ns: int = 0
    took_max_ns: int = 0
    queued_ns: int = 0
    queued_max_ns: int = 0
    worked_ns: int = 0
    hops: int = 0
    away_ns: int = 0
    """Pieces inside waited for a thread or ran in one."""
    began_ns: int = 0
    """After the beginning of the request, summed up."""


@dataclass(frozen=True, slots=True)
class Threads:
    """One bounded pool of threads over a span of time, as those saw it who asked it for one."""

    process: str
    from_ns: int
    until_ns: int
    pool: str
    """`anyio default`, `executor asyncio`, the name that the user gave, or its size."""
    tokens: int
    """How many threads it may use; 0 if unknown."""
    function: str
    """`module:function` that ran there."""
    calls: int
    queued: Histogram
    """From asking to start."""
    worked: Histogram
    full: int = 0
    """Of the calls, those that found every thread taken."""
    waiting_max: int = 0
    """The longest queue that one of them found."""
    computed_ns: int = 0
    """Of what they worked: on a processor. 0 where the system does not tell."""
    switches: int = 0
    """How often they let go of it of their own accord meanwhile: to wait for something, or for the
    interpreter lock.
    """
    left: int = 0
    """Those whose callers went on without them."""
    outlived_max_ns: int = 0
    """For how long one of these went on, as far as it was seen."""


def merged_held(rows: Iterable[Held]) -> list[Held]:
    """Rows of one piece of one entry in one process become one; nothing but resolution in time is lost."""
    kept: dict[tuple[str, str, str, str, int], Held] = {}
    for row in rows:
        key = row.process, row.entry, row.piece, row.name, row.depth
        before = kept.get(key)
        if before is not None:
            row = replace(  # noqa: PLW2901
                row,
                from_ns=min(before.from_ns, row.from_ns),
                until_ns=max(before.until_ns, row.until_ns),
                calls=before.calls + row.calls,
                took_ns=before.took_ns + row.took_ns,
                held=before.held + row.held,
                own_ns=before.own_ns + row.own_ns,
                took_max_ns=max(before.took_max_ns, row.took_max_ns),
                queued_ns=before.queued_ns + row.queued_ns,
                queued_max_ns=max(before.queued_max_ns, row.queued_max_ns),
                worked_ns=before.worked_ns + row.worked_ns,
                hops=before.hops + row.hops,
                away_ns=before.away_ns + row.away_ns,
                began_ns=before.began_ns + row.began_ns,
            )
        kept[key] = row
    return list(kept.values())


def merged_threads(rows: Iterable[Threads]) -> list[Threads]:
    """The same for pools of threads, by function."""
    kept: dict[tuple[str, str, str], Threads] = {}
    for row in rows:
        key = row.process, row.pool, row.function
        before = kept.get(key)
        if before is not None:
            row = replace(  # noqa: PLW2901
                row,
                from_ns=min(before.from_ns, row.from_ns),
                until_ns=max(before.until_ns, row.until_ns),
                calls=before.calls + row.calls,
                queued=before.queued + row.queued,
                worked=before.worked + row.worked,
                full=before.full + row.full,
                waiting_max=max(before.waiting_max, row.waiting_max),
                computed_ns=before.computed_ns + row.computed_ns,
                switches=before.switches + row.switches,
                left=before.left + row.left,
                outlived_max_ns=max(before.outlived_max_ns, row.outlived_max_ns),
            )
        kept[key] = row
    return list(kept.values())


def slowest(requests: Iterable[SlowRequest], most: int) -> list[SlowRequest]:
    """In the order in which they ended."""
    kept = sorted(requests, key=lambda request: request.took_ns, reverse=True)[:most]
    return sorted(kept, key=lambda request: request.until_ns)
