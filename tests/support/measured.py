"""Real apps under a real monitor, and the paths of the requests that they answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from unstall.model.anatomy import Held, Piece, SlowRequest, Threads
from unstall.settings import Settings
from unstall.watch.held import HERE
from unstall.watch.monitor import Monitor

MS = 1_000_000
PREEMPTED_NS = 8 * MS
"""So much of a wait may be lost to a step that was kept off the processor after it had begun to wait."""


def spin(ms: float) -> None:
    """Computes until this thread has used so much of a processor: the loop is held at least as long."""
    end = time.thread_time_ns() + int(ms * MS)
    while time.thread_time_ns() < end:
        pass


@dataclass(frozen=True)
class Seen:
    """What a monitor had seen when it was stopped."""

    slow: tuple[SlowRequest, ...]
    held: tuple[Held, ...]
    threads: tuple[Threads, ...]
    dropped: dict[str, int]

    @property
    def request(self) -> SlowRequest:
        """The only one."""
        (request,) = self.slow
        return request

    def entry(self, entry: str) -> Held:
        """The row of the requests of an entry."""
        (row,) = [row for row in self.held if row.entry == entry and row.depth == 0]
        return row

    def pool(self, pool: str, function: str = "") -> Threads:
        """The row of a pool; of one function there, named by its end."""
        rows = [r for r in self.threads if r.pool == pool and r.function.endswith(function)]
        (row,) = rows
        return row


def pieces(request: SlowRequest, kind: str = "", name: str = "") -> list[Piece]:
    """Those of a kind whose name ends so."""
    return [
        piece
        for piece in request.pieces
        if piece.kind.startswith(kind) and piece.name.endswith(name)
    ]


def only(request: SlowRequest, kind: str = "", name: str = "") -> Piece:
    found = pieces(request, kind, name)
    assert len(found) == 1, [(piece.kind, piece.name) for piece in request.pieces]
    return found[0]


def held_ms(piece: Piece) -> float:
    assert piece.held_ns is not None
    return piece.held_ns / MS


def away_ms(piece: Piece) -> float:
    """The time of a piece in which it did not hold the loop, on a machine that is in nobody's way."""
    assert piece.held_ns is not None
    return (piece.took_ns - piece.held_ns + PREEMPTED_NS) / MS


def watched(
    work: Callable[[], Awaitable[Any]],
    run: Callable[..., Any] = asyncio.run,
    **settings: Any,
) -> Seen:
    """Runs the work under a monitor for which every request is slow."""
    with Monitor(Settings(**{"slow_ms": 0.0, "threshold_ms": 5_000, **settings})) as monitor:

        async def main() -> None:
            await work()
            assert HERE.span is None

        run(main())
    recording = monitor.recording()
    return Seen(recording.slow, recording.held, recording.threads, monitor.statistics().dropped)


def client(app: Any, **options: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app, **options), base_url="http://app")


def asked(app: Any, *paths: str, **settings: Any) -> Seen:
    """One request for each path, one after the other, each answered without an error."""

    async def ask() -> None:
        async with client(app) as http:
            for path in paths:
                (await http.get(path)).raise_for_status()

    seen = watched(ask, **settings)
    assert seen.dropped == {}
    return seen
