"""Numbers that look random and follow from a seed, a name, and the number of a request.

Nothing is drawn in turn, so it does not matter which process sends which request: shards and processes
together send what one would.
"""

from __future__ import annotations

from hashlib import sha256

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def key_of(seed: int, name: str) -> int:
    """64 bits for one stream of one run."""
    return int.from_bytes(sha256(f"{seed}\n{name}".encode()).digest()[:8])


def draw(key: int, number: int, place: int) -> int:
    """64 bits for one place in one request: SplitMix64's finalizer over a counter."""
    bits = (key + number * _GOLDEN + place * 0xD1342543DE82EF95) & _MASK
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31
