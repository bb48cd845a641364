"""Chance that depends on a seed and a number, and on nothing else: not on time, not on who asked before."""

from __future__ import annotations

from hashlib import blake2b

_BITS = 53


class Dice:
    """`at(n)` is the same for the same seed, names and n, in every process and version of Python."""

    __slots__ = ("_key",)

    def __init__(self, seed: int, *names: str) -> None:
        self._key = blake2b("\0".join((str(seed), *names)).encode(), digest_size=32).digest()

    def at(self, number: int) -> float:
        """From 0 to below 1."""
        digest = blake2b(number.to_bytes(8, "big", signed=True), key=self._key, digest_size=8)
        return (int.from_bytes(digest.digest(), "big") >> (64 - _BITS)) / (1 << _BITS)
