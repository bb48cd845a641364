"""Records that are alike but for their values, in what stands between the braces of a JSON text.

A piece is what stands before a `}` since the one before it: a `k` for each key, and the braces that open.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

_LEAST_PIECES: Final = 32
_MOST_PERIOD: Final = 12


class Repeated(NamedTuple):
    """Objects that are as those before them: what stood between their braces, and their keys."""

    pieces: slice
    keys: slice


def repeated(pieces: list[bytes], keys: list[bytes]) -> Repeated | None:
    """Whole objects, with all that is in them, that follow one another and are alike but for their values.

    Looked for at the first pieces only: where it is found, most of a slice is such a list of records.
    """
    if len(pieces) < _LEAST_PIECES:
        return None
    before = 0
    for start in range(_MOST_PERIOD):
        for length in range(1, _MOST_PERIOD + 1):
            if pieces[start] == pieces[start + length] and _is_whole(
                pieces[start : start + length]
            ):
                stop = _until(pieces, start, length)
                count = sum(sum(counts(piece)) for piece in pieces[start : start + length])
                times = (stop - start) // length
                after = before + times * count
                first = before + count
                if keys[first:after] == keys[before : after - count]:
                    return Repeated(
                        slice(start + length, start + times * length), slice(first, after)
                    )
                break
        before += sum(counts(pieces[start]))
    return None


def _until(pieces: list[bytes], start: int, length: int) -> int:
    """Where pieces from `start` on stop to repeat themselves after `length`."""
    if pieces[start + length :] == pieces[start:-length]:
        return len(pieces)
    stop = start + length
    while pieces[stop] == pieces[stop - length]:
        stop += 1
    return stop


def _is_whole(pieces: list[bytes]) -> bool:
    """Whether they are objects from their first brace to their last, and no key of what is around them."""
    depth = 0
    for piece in pieces:
        for number, count in enumerate(counts(piece)):
            depth += number > 0
            if count and not depth:
                return False
        depth -= 1
        if depth < 0:
            return False
    return depth == 0


@lru_cache(maxsize=4096)
def counts(piece: bytes) -> tuple[int, ...]:
    """Of keys, before and after each brace that opens."""
    return tuple(map(len, piece.split(b"{")))
