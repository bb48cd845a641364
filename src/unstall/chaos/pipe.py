"""One direction of a connection: bytes that go straight on, or wait until they may."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Protocol

from unstall.chaos.pieces import Hit, Mark, Piece, Stream, cut, delayed

_MOST_HELD = 1_048_576
_FEW_HELD = 262_144


class Owner(Protocol):
    """The connection that a pipe is half of."""

    def ended(self) -> None:
        """A side has said its last."""
        ...

    def close(self) -> None: ...
    def reset(self) -> None: ...


class Pipe:
    """From `source` to `target`; until there is a target, everything waits."""

    __slots__ = (
        "_choked", "_held", "_loop", "_owner", "_paused", "_plan", "_stream", "_timer", "over",
        "source", "target",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, stream: Stream) -> None:
        self._loop = loop
        self._owner = owner
        self._stream = stream
        self._plan: deque[Piece] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._held = 0
        self._choked = False
        self._paused = False
        self.source: asyncio.Transport | None = None
        self.target: asyncio.Transport | None = None
        self.over = False
        """Its end has been passed on."""

    def take(self, data: bytes, met: tuple[Hit, ...], number: int, *, first: bool) -> None:
        """Bytes that came just now."""
        if not met and not self._plan and self.target is not None:
            if not self.over:
                self.target.write(data)
            return
        self._add(Piece(self._loop.time(), data, None, first, number, met))

    def mark(self, mark: Mark, met: tuple[Hit, ...]) -> None:
        """The end of the source, or what ends both; behind all that waits."""
        self.source = None  # there is nothing to read any more
        self._add(Piece(self._loop.time(), b"", mark, met=met))

    def open(self, target: asyncio.Transport) -> None:
        self.target = target
        self._release()

    def again(self) -> None:
        """A toxic has gone: what it held back goes on now, unless another one holds it."""
        pieces, self._plan = self._plan, deque()
        for hit in {id(hit): hit for piece in pieces for hit in piece.met}.values():
            if hit.effect.delays is not None:
                hit.count = 0.0
        for piece in pieces:
            self._plan.extend(delayed(piece, self._stream))
        self._release()

    def choke(self, choked: bool) -> None:
        """The target cannot take more, or can again."""
        self._choked = choked
        self._let_flow()

    def drop(self) -> None:
        """The connection is over."""
        self.over = True
        self._plan.clear()
        self._held = 0
        self._disarm()

    # --- what waits -----------------------------------------------------------------------------

    def _add(self, piece: Piece) -> None:
        if self.over:
            return
        for each in cut(piece, self._stream):
            self._held += len(each.data)
            self._plan.extend(delayed(each, self._stream))
        self._release()

    def _release(self) -> None:
        """Passes on what is due, in order; the first that is not due has the timer."""
        self._disarm()
        plan, target = self._plan, self.target
        now = self._loop.time()
        while plan and target is not None and plan[0].at <= now:
            self._pass_on(plan.popleft(), target)
        if plan and target is not None:
            self._timer = self._loop.call_at(plan[0].at, self._release)
        self._let_flow()

    def _pass_on(self, piece: Piece, target: asyncio.Transport) -> None:
        if piece.mark is None:
            self._held -= len(piece.data)
            target.write(piece.data)
            return
        match piece.mark:
            case Mark.END:
                self.over = True
                if target.can_write_eof() and not target.is_closing():
                    with suppress(OSError):  # it has gone, and its transport will say so
                        target.write_eof()
                self._owner.ended()
            case Mark.CLOSE:
                self._owner.close()
            case Mark.RESET:
                self._owner.reset()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_flow(self) -> None:
        """Reads from the source as long as what is read can go somewhere."""
        source = self.source
        if source is None or source.is_closing():
            return
        full = self._choked or self._held > (_FEW_HELD if self._paused else _MOST_HELD)
        if full and not self._paused:
            source.pause_reading()
        elif self._paused and not full:
            source.resume_reading()
        self._paused = full
