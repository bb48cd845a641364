"""How many requests wait at the door of this process: seen from the kernel while the loop is frozen.

A frozen loop accepts no connection and reads no request. The first wait in the accept queue of a listening
socket, the others in the receive queue of a connection to one of its ports; Linux shows both lengths
in `/proc/self/net/tcp`. A connection counts as one request, so the number is a lower bound.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

_LISTENING = 0x0A
_ESTABLISHED = 0x01
_STATES = frozenset({"0A", "01"})
_PAUSES = 100
"""So many times what a look took must pass before the next: the kernel lists every socket of the machine, and
an overloaded one has thousands.
"""
_MOST_FILES = 20_000
"""With more open files than this the look-up would cost more than the number is worth."""


class Connection(NamedTuple):
    """One line of `/proc/net/tcp`."""

    port: int
    state: int
    unread: int
    """Bytes not read yet; of a listening socket, connections not accepted yet."""
    inode: int


class Door:
    """Looks at most a hundredth of the time."""

    def __init__(
        self,
        look: Callable[[], int | None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._look = look or waiting_at_door
        self._clock = clock
        self._not_before_ns = 0

    def waiting(self, known: int | None = None) -> int | None:
        """As `waiting_at_door`; what is `known` already while the next look would cost too much."""
        began = self._clock()
        if began < self._not_before_ns:
            return known
        found = self._look()
        ended = self._clock()
        self._not_before_ns = ended + _PAUSES * (ended - began)
        return found


def waiting_at_door() -> int | None:
    """Connections that this process has not accepted or not read from yet; None if it cannot be told."""
    try:
        ours = _own_sockets()
        return count_waiting(_connections(), ours) if ours is not None else None
    except (OSError, ValueError, IndexError):
        return None


def count_waiting(connections: Iterable[Connection], ours: set[int]) -> int:
    """Of the connections whose socket is in `ours`, how many wait to be served."""
    mine = [each for each in connections if each.inode in ours]
    ports = {each.port for each in mine if each.state == _LISTENING}
    to_accept = sum(each.unread for each in mine if each.state == _LISTENING)
    to_read = sum(
        1 for each in mine if each.state == _ESTABLISHED and each.unread and each.port in ports
    )
    return to_accept + to_read


def parse(line: str) -> Connection:
    """A line of `/proc/net/tcp` after its heading. Raises ValueError or IndexError for any other."""
    fields = line.split(None, 10)
    return Connection(
        port=int(fields[1].rpartition(":")[2], 16),
        state=int(fields[3], 16),
        unread=int(fields[4].rpartition(":")[2], 16),
        inode=int(fields[9]),
    )


def _connections() -> list[Connection]:
    lines: list[str] = []
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/self/net/{name}", encoding="ascii") as file:
                lines += file.read().splitlines()[1:]
        except FileNotFoundError:  # a system without IPv6
            continue
    # most lines of a busy server are of connections that have ended
    return [parse(line) for line in lines if line.split(None, 4)[3] in _STATES]


def _own_sockets() -> set[int] | None:
    files = os.listdir("/proc/self/fd")
    if len(files) > _MOST_FILES:
        return None
    inodes = set()
    for file in files:
        try:
            target = os.readlink(f"/proc/self/fd/{file}")
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            inodes.add(int(target[8:-1]))
    return inodes
