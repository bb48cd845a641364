"""The parent's end: a private socket, and the lines that come in over its connections."""

from __future__ import annotations

import selectors
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from unstall.errors import TargetError

_CHUNK = 1 << 16
_LONGEST_LINE = 32 << 20
_LONGEST_PATH = 100  # of the 107 bytes that a socket's address holds


class Received(NamedTuple):
    """One line of a connection; its end is a line of None."""

    connection: int
    line: bytes | None


class Inbox:
    """A socket in a folder that only this user may enter; both are gone at the end of the block."""

    def __init__(self) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise TargetError(
                "unstall run needs Unix sockets, and this system has none: start a Monitor in the program"
            )
        self._folder = Path(tempfile.mkdtemp(prefix="unstall-"))
        if len(str(self._folder)) > _LONGEST_PATH - len("/socket"):
            self._folder.rmdir()
            self._folder = Path(tempfile.mkdtemp(prefix="unstall-", dir="/tmp"))
        self.path = self._folder / "socket"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._bells: dict[socket.socket, socket.socket] = {}
        self._parts: dict[socket.socket, bytearray] = {}

    def __enter__(self) -> Inbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in (*self._parts, *self._bells, *self._bells.values()):
            connection.close()
        self._listener.close()
        self._selector.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def bell(self) -> Callable[[], None]:
        """What another thread calls to end a wait in `receive`."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._bells[ours] = theirs  # kept: an end that is dropped rings for ever
        self._selector.register(ours, selectors.EVENT_READ)

        def ring() -> None:
            try:
                theirs.send(b"!")
            except OSError:  # the run is over
                return

        return ring

    @property
    def connections(self) -> int:
        return len(self._parts)

    @property
    def idle(self) -> bool:
        """Whether nothing is there to be received."""
        return not self._selector.select(0)

    def receive(self, timeout_s: float) -> Iterator[Received]:
        """All that is there, after a wait of at most `timeout_s` if nothing is."""
        for key, _ in self._selector.select(timeout_s):
            ready = key.fileobj
            assert isinstance(ready, socket.socket)
            if ready is self._listener:
                self._accept()
            elif ready in self._bells:
                ready.recv(_CHUNK)
            else:
                yield from self._read(ready)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it was given up in the meantime, or we have too many
            return
        connection.setblocking(False)
        self._parts[connection] = bytearray()
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> Iterator[Received]:
        number = connection.fileno()
        part = self._parts[connection]
        ended = False
        try:
            while not ended and len(part) < _LONGEST_LINE:
                data = connection.recv(_CHUNK)
                part += data
                ended = not data
        except BlockingIOError:
            pass
        except OSError:
            ended = True
        *lines, rest = part.split(b"\n")
        if len(rest) >= _LONGEST_LINE:  # nobody of ours
            ended = True
        self._parts[connection] = bytearray(rest)
        for line in lines:
            yield Received(number, bytes(line))
        if ended:
            self._selector.unregister(connection)
            del self._parts[connection]
            connection.close()
            yield Received(number, None)
