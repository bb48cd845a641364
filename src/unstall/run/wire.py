"""The child's end of the socket: a listener that sends what the monitor sees, one JSON line each.

Called on the watchdog's thread. A parent that is gone or slow costs a short time-out, then nothing for a
while: lines are dropped, counted, and the count is sent when somebody listens again.
"""

from __future__ import annotations

import _socket  # the class below `socket.socket`, which a host may have patched
import json
import os
import time
from dataclasses import replace
from struct import Struct

from unstall.model.observation import Loop, Losses, Process
from unstall.model.recording import Entry, LineWriter
from unstall.watch.deadman import NO_SIGNAL, inode_of, is_same, let_go

TIMEOUT_S = 0.2
RETRY_S = 2.0
UNSENT = "lines"
_KEEP_BASICS = 100
_CREDENTIALS = Struct("3i")  # process, user, group


class Wire:
    """A `Listener`. Never raises, and waits for at most `TIMEOUT_S` in every `RETRY_S`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pid = os.getpid()
        self._socket: _socket.socket | None = None
        self._inode = (0, 0)
        self._writer = LineWriter()
        self._basics: list[Entry] = []
        self._unsent = 0
        self._retry_at = 0.0

    def __call__(self, entry: Entry) -> None:
        if self._pid != os.getpid():  # the connection is the parent's, and so is what it was told
            self._hang_up()
            self._pid, self._basics, self._unsent, self._retry_at = os.getpid(), [], 0, 0.0
        if isinstance(entry, Losses) and self._unsent:
            entry = replace(entry, dropped=entry.dropped | {UNSENT: self._unsent})
        if isinstance(entry, Process):
            self._basics[:1] = [entry]
        elif isinstance(entry, Loop):
            self._basics.append(entry)
            del self._basics[1:-_KEEP_BASICS]  # the process, and its latest loops
        if not self._send(entry):
            self._unsent += 1
        elif isinstance(entry, Losses):
            self._unsent = 0

    def _hang_up(self) -> None:
        ours, self._socket = self._socket, None
        if ours is not None:
            let_go(ours, self._inode)

    def _send(self, entry: Entry) -> bool:
        try:
            if self._socket is not None and is_same(self._socket, self._inode):
                self._socket.sendall(self._encoded(entry), NO_SIGNAL)
                return True
            if time.monotonic() < self._retry_at:
                return False
            self._hang_up()
            self._socket = connected(self._path)
            self._inode = inode_of(self._socket)
            # The reader knows nothing of this process, or lost it with the last connection.
            self._writer = LineWriter()
            entries = self._basics if entry in self._basics else [*self._basics, entry]
            self._socket.sendall(b"".join(map(self._encoded, entries)), NO_SIGNAL)
            return True
        except (OSError, ValueError):
            # A line may have gone out in part: only a new connection begins with a whole one.
            self._hang_up()
            self._retry_at = time.monotonic() + RETRY_S
            return False

    def _encoded(self, entry: Entry) -> bytes:
        return "".join(f"{line}\n" for line in self._writer.lines(entry)).encode()


def connected(path: str) -> _socket.socket:
    """Raises OSError if nobody listens there, or a stranger: the folder may be gone, and its name free."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(TIMEOUT_S)
        connection.connect(path)
        if os.geteuid() != 0 and _listening_user(connection) not in (None, 0, os.geteuid()):
            raise PermissionError("the socket is another user's")
    except OSError:
        connection.close()
        raise
    return connection


def _listening_user(connection: _socket.socket) -> int | None:
    """Who listens at the other end; None where the system does not say."""
    if not hasattr(_socket, "SO_PEERCRED"):
        return None
    ids = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(ids)[1])


def tell(path: str, text: str) -> None:
    """A sentence for the summary of the run; lost if nobody listens."""
    try:
        connection = connected(path)
        connection.sendall(json.dumps({"kind": "note", "text": text}).encode() + b"\n", NO_SIGNAL)
        connection.close()
    except OSError:
        return
