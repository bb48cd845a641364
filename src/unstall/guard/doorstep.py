"""Refuses where the bytes of a request come in, before a server makes a request of them.

In an overload each refusal is taken from a request that could have been served. What costs is not to refuse
but to get so far: headers in lists, a scope, a task, two messages. A request that lies there whole is refused
for what a look at its first lines costs, and of lines like those of the last second not even that. All that
is not plain is left to the server.
"""

from __future__ import annotations

import asyncio
import logging
import re
import weakref
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from unstall.guard.asgi import Written
from unstall.guard.door import Door

_LOG = logging.getLogger("unstall.guard")
_END: Final = b"\r\n\r\n"
_LONGEST_HEAD: Final = 8_192
_FIRST: Final = re.compile(rb"(?!HEAD |CONNECT )([A-Z]+) ([!-$&-~]+) HTTP/1\.1\r\n")
"""A request line without what would have to be decoded, of a request whose answer has a body."""
_LINES: Final = re.compile(rb"(?:\r\n[!#$%&'*+.^_`|~0-9a-z-]+:[\t -~\x80-\xff]*)*")
"""As RFC 9110 has them. Who reads another line in another way reads another request."""
_TELLING: Final = re.compile(
    rb"\n(content-length|connection|proxy-connection|transfer-encoding|upgrade|expect):([^\r]*)"
)
"""Lines that say how long a request is, or that there is more to it."""
_MOST_HEADS: Final = 512
"""Kept for a second."""
_FOR_ALL: Final = 1 << 62


class Asked(NamedTuple):
    """What a request asks for, as it is written."""

    method: str
    target: str

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


def whole(data: bytes) -> Asked | None:
    """The request that `data` is, all of it and nothing else; None for all that is not plain HTTP/1.1."""
    end = data.find(_END, 0, _LONGEST_HEAD)
    first = _FIRST.match(data)
    if end < 0 or first is None:
        return None
    head = data[first.end() - 2 : end].lower()
    if _LINES.fullmatch(head) is None:
        return None
    length = b""
    for name, written in _TELLING.findall(head):
        value = written.strip(b" \t")
        if name == b"content-length" and not length and value.isdigit() and len(value) < 10:
            length = value
        elif name != b"connection" or value != b"keep-alive":
            return None
    if int(length or 0) != len(data) - end - len(_END):
        return None
    return Asked(first[1].decode("ascii"), first[2].decode("ascii"))


class Doorman(Protocol):
    """A guard, as a doorstep sees it."""

    @property
    def door(self) -> Door: ...

    def has_no_say(self, method: str, root_path: str, path: str) -> bool:
        """Whether such a request is let in or not by the room alone."""

    def refusals(self) -> tuple[Written, ...]:
        """What those are answered who find no room, one like the other."""

    def turned_away(self, count: int) -> None:
        """So many were."""


DOORMEN: weakref.WeakSet[Doorman] = weakref.WeakSet()
"""All guards of this process."""


class Doorstep:
    """Of one process. While it is `near` that the guard is full, its server asks it of each request."""

    def __init__(self, doormen: weakref.WeakSet[Doorman] = DOORMEN) -> None:
        self._doormen = doormen
        self._guard: weakref.ref[Doorman] | None = None
        self._door: Door | None = None
        self._failed = False
        self._turn_of: asyncio.AbstractEventLoop | None = None
        self._room = 0
        """For those who come in this turn of a loop, who reach the guard in the next."""
        self._refused = self._counted = 0
        """Since this began, and of these with the guard."""
        self._root_path = ""
        self._lengths: dict[bytes, int] = {}
        """By the head of a request, how long the rest of it is."""
        self._answers: tuple[bytes, ...] = ()
        self._headers: Sequence[tuple[bytes, bytes]] = ()

    @property
    def near(self) -> bool:
        """Whether half of the slots are taken. Before, nobody need be asked anything."""
        door = self._door
        if door is None:
            return self._meets()
        limit = door.limit
        return limit is not None and 2 * door.in_flight >= limit

    def answer(
        self,
        data: bytes,
        root_path: str,
        loop: asyncio.AbstractEventLoop,
        headers: Sequence[tuple[bytes, bytes]],
    ) -> bytes | None:
        """What is written to who sent `data` and finds no room, with the server's `headers`; else None."""
        if self._turn_of is not loop:
            self._begin(loop, headers)
        if root_path != self._root_path:
            self._root_path = root_path
            self._lengths.clear()
        head = data[: data.find(_END, 0, _LONGEST_HEAD)]
        length = self._lengths.get(head)
        if length is None:
            length = self._learn(head, data, root_path)
        if length != len(data) - len(head):
            return None
        if self._room > 0:
            self._room -= 1
            return None
        self._refused += 1
        return self._answers[self._refused % len(self._answers)]

    def fail(self, error: Exception) -> None:
        """From now on everybody comes in: the guard refuses as it does under any server."""
        self._failed = True
        self._door = None
        _LOG.warning(
            "nobody is refused before the guard any more: %s: %s", type(error).__name__, error
        )

    def _begin(
        self, loop: asyncio.AbstractEventLoop, headers: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """A turn of the loop."""
        guard = self._only()
        room = guard.door.room if guard is not None else None
        self._room = _FOR_ALL if room is None else room
        if guard is not None and headers is not self._headers:
            self._headers = headers  # servers renew them once a second, with the date
            self._answers = tuple(_bytes_of(written, headers) for written in guard.refusals())
            self._lengths.clear()
        self._turn_of = loop
        loop.call_soon(self._end)  # before the tasks of those who come in now

    def _end(self) -> None:
        self._turn_of = None
        refused, self._counted = self._refused - self._counted, self._refused
        guard = self._only()
        if guard is not None and refused:
            guard.turned_away(refused)

    def _learn(self, head: bytes, data: bytes, root_path: str) -> int:
        asked, guard = whole(data), self._only()
        if asked is None or guard is None:
            return 0
        if not guard.has_no_say(asked.method, root_path, root_path + asked.path):
            return 0
        length = len(data) - len(head)
        if len(self._lengths) < _MOST_HEADS:
            self._lengths[head] = length
        return length

    def _only(self) -> Doorman | None:
        """The guard, if there is just one: nobody knows where several stand."""
        guard = self._guard() if self._guard is not None and len(self._doormen) == 1 else None
        if guard is None:
            self._guard = self._door = None
        return guard

    def _meets(self) -> bool:
        if self._failed or len(self._doormen) != 1:
            return False
        try:
            (guard,) = self._doormen
        except (RuntimeError, ValueError):  # another thread has just made one, or let one go
            return False
        self._guard, self._door = weakref.ref(guard, self._gone), guard.door
        self._headers = ()
        return self.near

    def _gone(self, guard: weakref.ref[Doorman]) -> None:
        self._door = None


def _bytes_of(written: Written, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    first = b"HTTP/1.1 %d %b" % (written.status, HTTPStatus(written.status).phrase.encode())
    lines = [b"%b: %b" % header for header in (*headers, *written.headers)]
    return b"\r\n".join((first, *lines, b"", written.body))


STEP: Final = Doorstep()
