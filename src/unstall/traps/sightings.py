"""What a trap has seen so far: one sighting for each call at each place, noted on the loops' threads."""

from __future__ import annotations

import dis
import time
from collections.abc import Callable, Iterator
from types import FrameType

from unstall.errors import BlockingCallError
from unstall.model.latent import LatentCall
from unstall.watch.caller import caller_of, place_of
from unstall.watch.stacks import StackReader

MOST = 5_000
_CALL_NOTHING = frozenset(
    dis.opmap[name]
    for name in (
        "SEND END_SEND CLEANUP_THROW POP_TOP STORE_FAST STORE_DEREF DELETE_FAST DELETE_NAME RETURN_VALUE "
        "RETURN_CONST POP_EXCEPT"
    ).split()
    if name in dis.opmap  # each version of Python has its own
)
"""Where a line is at one of these, what runs below it is the end of an object, which nobody called there."""


_CACHE = dis.opmap["CACHE"]
"""Belongs to the instruction before it; on Python 3.12 a frame may stand there."""


class Sighting:
    """One call at one place: how it was made at first, and how often since."""

    __slots__ = (
        "_call",
        "_caller",
        "_from_ns",
        "_peer",
        "_times",
        "_took_max_ns",
        "_until_ns",
        "refused",
    )

    def __init__(self, call: str, peer: str | None, frame: FrameType) -> None:
        self._call, self._peer = call, peer
        self._caller = caller_of(frame)
        self._from_ns = self._until_ns = time.monotonic_ns()
        self._times = 0
        self._took_max_ns: int | None = None
        self.refused = ""
        """Why a strict trap refuses the call; empty if it does not."""

    @property
    def refusal(self) -> BlockingCallError | None:
        return BlockingCallError(self.refused) if self.refused else None

    def again(self) -> None:
        self._times += 1
        self._until_ns = time.monotonic_ns()

    def took(self, ns: int) -> None:
        self._took_max_ns = max(ns, self._took_max_ns or 0)

    def read(self, reader: StackReader) -> LatentCall:
        return LatentCall(
            "", self._from_ns, self._until_ns, self._call, reader.read(self._caller.glimpse), self._times,
            self._peer, self._took_max_ns, self._caller.task, self._caller.request,
        )  # fmt: skip


class Sightings:
    """Of one trap."""

    def __init__(self, reader: StackReader, refuse: Callable[[LatentCall], str] | None) -> None:
        self._reader = reader
        self._refuse = refuse
        self._seen: dict[int, Sighting | None] = {}
        """None for what no line called."""
        self.passed_over = 0
        """Calls at yet another place, when there was no room left."""

    def note(self, call: str, peer: str | None, frame: FrameType) -> Sighting | None:
        key = place_of(call, frame)
        seen = self._seen.get(key)
        if seen is None and key in self._seen:
            return None
        if seen is None and _ends_something(frame):
            self._seen[key] = None
            return None
        if seen is None:
            if len(self._seen) >= MOST:
                self.passed_over += 1
                return None
            seen = self._seen[key] = Sighting(call, peer, frame)
            seen.again()
            if self._refuse is not None:  # else it is read later, and not while the loop waits
                seen.refused = self._refuse(seen.read(self._reader))
        else:
            seen.again()
        return seen

    def calls(self) -> Iterator[LatentCall]:
        for seen in list(self._seen.values()):
            if seen is not None:
                yield seen.read(self._reader)


def _ends_something(frame: FrameType) -> bool:
    """A coroutine that is over takes with it what it held, and a library in C may then join its thread."""
    code, at = frame.f_code.co_code, frame.f_lasti
    while at > 0 and code[at] == _CACHE:
        at -= 2
    return at >= 0 and code[at] in _CALL_NOTHING
