"""The parent's end: a private socket, and the lines that come in over its connections."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from unstall.errors import TargetError
from unstall.leftovers import remove_leftovers

_CHUNK = 1 << 16
_LONGEST_LINE = 32 << 20
_NAME = re.compile(r"unstall-(\d+)-\w+")
_PROBE_S = 0.1
_NEW_S = 60.0
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
        self.folder = _private_folder()
        self.path = self.folder / "socket"
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
        shutil.rmtree(self.folder, ignore_errors=True)

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


def _private_folder() -> Path:
    """A new folder that names its process. Raises TargetError if there is no place for it."""
    prefix = f"unstall-{os.getpid()}-"
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        if len(str(folder)) > _LONGEST_PATH - len("/socket"):
            folder.rmdir()
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    except OSError as error:
        raise TargetError(
            f"no temporary folder can be made ({error.strerror or error}): name one in TMPDIR"
        ) from None
    return folder


def sweep(folder: Path, now: Callable[[], float] = time.time) -> None:
    """Removes what runs that were killed have left in `folder`: ours, of dead processes, unheard."""
    remove_leftovers(folder, _NAME, lambda path, age_s: not _is_heard(f"{path}/socket", age_s), now)


def _is_heard(path: str, age_s: float) -> bool:
    """Whether somebody listens at `path`, or is about to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.settimeout(_PROBE_S)
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except FileNotFoundError:
            return age_s < _NEW_S
        except OSError:
            return True
    return True
