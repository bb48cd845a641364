"""Calls on a loop that waited for something outside the process, however fast it answered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from unstall.model.observation import Request
from unstall.model.place import Stack

SEVERAL = "several peers"
"""Of a place that asks now this one, now that one."""


@dataclass(frozen=True, slots=True)
class LatentCall:
    """One such call at one place, seen so many times over a span of time. Times in ns."""

    process: str
    from_ns: int
    until_ns: int
    call: str
    """What showed it: the entry point of a driver, `psycopg.Connection.wait`, or a function, `open`."""
    stack: Stack
    """Of the first one seen."""
    times: int
    """At least: past a bound on looks a second they are not counted."""
    peer: str | None = None
    """`10.0.0.5:5432`, a file's path, a program, or `SEVERAL`; None if unknown."""
    took_max_ns: int | None = None
    """None where only its beginning was seen."""
    task: str | None = None
    request: Request | None = None


def one_peer(one: str | None, other: str | None) -> str | None:
    """Whom both ask, as far as it is known."""
    return (one or other) if one is None or other is None or one == other else SEVERAL


def merged_latent(calls: Iterable[LatentCall]) -> list[LatentCall]:
    """Calls at one place of one process become one."""
    kept: dict[tuple[str, str, Stack], LatentCall] = {}
    for call in calls:
        key = call.process, call.call, call.stack
        before = kept.get(key)
        kept[key] = call if before is None else _sum(before, call)
    return list(kept.values())


def _sum(one: LatentCall, other: LatentCall) -> LatentCall:
    known = [ns for ns in (one.took_max_ns, other.took_max_ns) if ns is not None]
    return replace(
        one,
        from_ns=min(one.from_ns, other.from_ns),
        until_ns=max(one.until_ns, other.until_ns),
        times=one.times + other.times,
        peer=one_peer(one.peer, other.peer),
        took_max_ns=max(known, default=None),
    )
