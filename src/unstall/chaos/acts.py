"""How each kind acts on a piece: arithmetic on bytes and due times, without a clock.

Delays may be asked again about a piece that waits. Cuts are asked once; bytes that they keep are lost.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unstall.chaos.pieces import Mark

if TYPE_CHECKING:
    from unstall.chaos.pieces import Hit, Piece

_SLICE_S = 0.1
_PER_MS = 1e-3
_PER_US = 1e-6
_PER_KB = 1_000

# --- when bytes go on -----------------------------------------------------------------------


def latency(hit: Hit, piece: Piece) -> tuple[Piece, ...]:
    values = hit.effect.values
    around = (2 * hit.chance(piece) - 1) * values["jitter"] if values["jitter"] else 0.0
    piece.at += max(0.0, values["latency"] + around) * _PER_MS
    return (piece,)


def jitter(hit: Hit, piece: Piece) -> tuple[Piece, ...]:
    piece.at += hit.effect.values["jitter"] * hit.chance(piece) * _PER_MS
    return (piece,)


def hang(hit: Hit, piece: Piece) -> tuple[Piece, ...]:
    """The first piece waits, and those behind it wait with it."""
    if piece.first:
        piece.at += hit.effect.values["seconds"]
    return (piece,)


def slow_close(hit: Hit, piece: Piece) -> tuple[Piece, ...]:
    if piece.mark is not None and piece.mark is not Mark.RESET:
        piece.at += hit.effect.values["delay"] * _PER_MS
    return (piece,)


def bandwidth(hit: Hit, piece: Piece) -> Iterator[Piece]:
    """In slices of a tenth of a second; `count` is when the line is free again."""
    rate = hit.effect.values["rate"] * _PER_KB
    if rate <= 0 or not piece.data:
        yield piece
        return
    size = max(1, int(rate * _SLICE_S))
    at = max(piece.at, hit.count)
    for start in range(0, len(piece.data), size):
        data = piece.data[start : start + size]
        at += len(data) / rate
        yield piece.part(at, data, first=piece.first and start == 0)
    hit.count = at


def slicer(hit: Hit, piece: Piece) -> Iterator[Piece]:
    values = hit.effect.values
    average = max(1, int(values["average_size"]))
    about = min(int(values["size_variation"]), average - 1)
    chance = random.Random(hit.chance(piece))
    at, start = max(piece.at, hit.count), 0
    if not piece.data:
        yield piece
    while start < len(piece.data):
        end = start + average + (chance.randint(-about, about) if about else 0)
        yield piece.part(at, piece.data[start:end], first=piece.first and start == 0)
        at += values["delay"] * _PER_US
        start = end
    hit.count = at


# --- which bytes go on ----------------------------------------------------------------------


def blackhole(hit: Hit, piece: Piece) -> tuple[Piece, ...]:
    if piece.mark is not None:
        return (piece,)
    hit.swallowed = True
    return ()


def timeout(hit: Hit, piece: Piece) -> tuple[Piece, ...]:
    if piece.mark is not None:
        return (piece,)
    begins, hit.swallowed = not hit.swallowed, True
    wait = hit.effect.values["timeout"] * _PER_MS
    return (piece.marked(piece.at + wait, Mark.CLOSE),) if begins and wait else ()


def reset_peer(hit: Hit, piece: Piece) -> tuple[Piece, ...]:
    if hit.swallowed:
        return ()
    hit.swallowed = True
    return (piece.marked(piece.at + hit.effect.values["timeout"] * _PER_MS, Mark.RESET),)


def limit_data(hit: Hit, piece: Piece) -> Iterator[Piece]:
    """`count` is what went through."""
    if piece.mark is not None:
        yield piece
        return
    if hit.swallowed:
        return
    left = int(hit.effect.values["bytes"] - hit.count)
    data = piece.data[:left]
    hit.count += len(data)
    if data:
        yield piece.part(piece.at, data, first=piece.first)
    if len(piece.data) >= left:
        hit.swallowed = True
        yield piece.marked(piece.at, Mark.CLOSE)


def truncate(hit: Hit, piece: Piece) -> Iterator[Piece]:
    """At least one byte is missing."""
    if piece.mark is not None:
        yield piece
        return
    if hit.swallowed:
        return
    hit.swallowed = True
    kept = min(int(len(piece.data) * hit.effect.values["fraction"]), len(piece.data) - 1)
    if kept > 0:
        yield piece.part(piece.at, piece.data[:kept], first=piece.first)
    yield piece.marked(piece.at, Mark.CLOSE)
