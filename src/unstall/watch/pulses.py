"""The numbers of a process's whole life in bounded memory: the older they get, the coarser in time."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from unstall.model.histogram import Histogram
from unstall.model.observation import Pulse

_Bucket = tuple[int, int]
"""And its count."""


class _Packed(NamedTuple):
    """A pulse whose buckets are bare numbers: as tuples they take seven times the memory, for years."""

    pulse: Pulse
    """Without the buckets of its lag."""
    buckets: array[int]
    """Bucket and count by turns."""


class Pulses:
    """At most so many of all loops; beyond that neighbours in time are added up."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._packed: list[_Packed] = []

    def append(self, pulse: Pulse) -> None:
        self._packed.append(_pack(pulse))
        if len(self._packed) > self._most:
            self._packed = _fewer(self._packed)

    def copy(self) -> Pulses:
        """Cheap; to be read while others append."""
        copied = Pulses(self._most)
        copied._packed = self._packed.copy()
        return copied

    def __iter__(self) -> Iterator[Pulse]:
        """Buckets of one count are one tuple: of a long life, most are alike."""
        shared: dict[_Bucket, _Bucket] = {}
        return (_unpack(each, shared) for each in self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def _pack(pulse: Pulse) -> _Packed:
    bare = replace(pulse, lag=replace(pulse.lag, buckets=()))
    numbers = tuple(chain.from_iterable(pulse.lag.buckets))
    return _Packed(bare, array(_narrowest(numbers), numbers))


def _narrowest(numbers: tuple[int, ...]) -> str:
    """The type of an array that holds them: two bytes are enough for a few seconds."""
    most = max(numbers, default=0)
    return "H" if most < 1 << 16 else "I" if most < 1 << 32 else "q"


def _unpack(packed: _Packed, shared: dict[_Bucket, _Bucket] | None = None) -> Pulse:
    pulse, flat = packed
    buckets = tuple(zip(flat[::2], flat[1::2], strict=True))
    if shared is not None:
        buckets = tuple(map(shared.setdefault, buckets, buckets))
    return replace(pulse, lag=replace(pulse.lag, buckets=buckets))


def _fewer(pulses: list[_Packed]) -> list[_Packed]:
    """At most about half as many: neighbours of one loop merged, and if loops are many, of any."""
    merged = _merged(pulses)
    if len(merged) * 4 > len(pulses) * 3:
        merged = _merged([each._replace(pulse=replace(each.pulse, loop=0)) for each in pulses])
    return merged


def _merged(pulses: list[_Packed]) -> list[_Packed]:
    """Pairs of pulses of one loop that follow each other become one; nothing but resolution is lost."""
    merged: list[_Packed] = []
    half: dict[tuple[str, int], int] = {}
    for each in pulses:
        key = (each.pulse.process, each.pulse.loop)
        if key in half:
            at = half.pop(key)
            merged[at] = _pack(_joined(_unpack(merged[at]), _unpack(each)))
        else:
            half[key] = len(merged)
            merged.append(each)
    return merged


def _joined(first: Pulse, second: Pulse) -> Pulse:
    lag: Histogram = first.lag + second.lag
    return replace(
        first, until_ns=second.until_ns, lag=lag, requests=first.requests + second.requests
    )
