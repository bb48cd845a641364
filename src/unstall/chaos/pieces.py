"""What travels through a proxy: pieces of a stream, each with the moment at which it may go on."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from unstall.chaos.dice import Dice


class Stream(enum.StrEnum):
    """A direction, as toxiproxy calls it."""

    DOWNSTREAM = "downstream"
    """From the upstream to the client: answers."""
    UPSTREAM = "upstream"
    """From the client to the upstream: questions."""


class Mark(enum.Enum):
    """What is no bytes."""

    END = "end"
    """This side says no more."""
    CLOSE = "close"
    """Both sides are closed."""
    RESET = "reset"
    """Both sides are reset."""


@dataclass(slots=True, eq=False)
class Effect:
    """What a toxic does to all that it meets."""

    values: Mapping[str, float]
    spread: Dice
    """For sizes and lengths."""
    stream: Stream
    delays: Act | None = None
    cuts: Act | None = None
    from_start: bool = False
    """Thrown for a connection, it acts before the first byte."""
    refuses: bool = False
    """It resets a connection that is new."""
    base: int = 0
    """Exchanges that there were before it, so that chance begins anew with it."""
    live: bool = True
    """False when the toxic has gone."""


@dataclass(slots=True, eq=False)
class Hit:
    """A unit that a toxic met, and what is remembered of it."""

    effect: Effect
    count: float = 0.0
    """Bytes that went through, or when the line is free again."""
    swallowed: bool = False
    """Bytes are lost, so without the toxic this connection makes no sense any more."""

    def chance(self, piece: Piece) -> float:
        """From 0 to below 1, the same for all pieces of an exchange."""
        return self.effect.spread.at(piece.number - self.effect.base)


@dataclass(slots=True, eq=False)
class Piece:
    """Some bytes of one direction, or a mark. Times in seconds on the loop's clock."""

    at: float
    """It goes on then, and not before the piece ahead of it."""
    data: bytes = b""
    mark: Mark | None = None
    first: bool = False
    """Of its exchange, or request, in this direction."""
    number: int = 0
    """Of the exchange, so that chance is the same for all its pieces."""
    met: tuple[Hit, ...] = ()
    ready: float = 0.0
    """When it would go on without delays."""

    def part(self, at: float, data: bytes, *, first: bool = False) -> Piece:
        return Piece(at, data, None, first, self.number, self.met, self.ready)

    def marked(self, at: float, mark: Mark) -> Piece:
        return Piece(at, b"", mark, False, self.number, self.met, at)


Act = Callable[[Hit, Piece], Iterable[Piece]]
"""What becomes of a piece. It may change the piece, and it sees those of a unit in their order."""


def cut(piece: Piece, stream: Stream) -> list[Piece]:
    """After all that decide which bytes go on."""
    pieces = [piece]
    for hit in piece.met:
        act = hit.effect.cuts
        if act is not None and hit.effect.live and hit.effect.stream is stream:
            pieces = [out for each in pieces for out in act(hit, each)]
    for each in pieces:
        each.ready = each.at
    return pieces


def delayed(piece: Piece, stream: Stream) -> list[Piece]:
    """After all that decide when bytes go on; may be asked again."""
    piece.at = piece.ready
    pieces = [piece]
    for hit in piece.met:
        act = hit.effect.delays
        if act is not None and hit.effect.live and hit.effect.stream is stream:
            pieces = [out for each in pieces for out in act(hit, each)]
    return pieces
