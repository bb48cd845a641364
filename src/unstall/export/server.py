"""A small HTTP server on threads of its own: it answers while every event loop of the process stands still.

It answers GET and HEAD, closes after each answer, reads no more than `_MOST_BYTES` in `_PATIENCE_S`, and
serves no more than `_MOST_AT_ONCE` at once. The server of the standard library wakes twice a second for
nothing, waits for each byte anew, and starts any number of threads.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from unstall.errors import UsageError
from unstall.hosts import in_brackets

Say = Callable[[str], None]

_MOST_BYTES = 16_384
_MOST_AT_ONCE = 8
_PATIENCE_S = 5.0
_PORTS = 100
_LAST_PORT = 65_535
_BACKLOG = 16


class Response(NamedTuple):
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Request(NamedTuple):
    method: str
    path: str
    accept: str


Answer = Callable[[Request], Response]


class Bad(Exception):
    """A request that cannot be answered."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


HOST = "127.0.0.1"


class Place(NamedTuple):
    """Where to listen: a port of a host, or the path of a Unix socket."""

    host: str = HOST
    port: int = 0
    path: str | None = None

    def url(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"http://{in_brackets(self.host)}:{self.port}/"

    def further(self) -> Iterator[Place]:
        """This one, and then those to try when somebody has it."""
        if self.path is not None:
            yield self
            yield from (self._replace(path=f"{self.path}.{n}") for n in range(1, _PORTS))
        else:
            last = min(_LAST_PORT, self.port + _PORTS - 1) if self.port else 0
            yield from (self._replace(port=port) for port in range(self.port, last + 1))


def place_of(text: str, name: str) -> Place:
    """From `[HOST:]PORT`, as a user typed it for the flag or variable `name`; raises UsageError."""
    host, _, port = text.strip().rpartition(":")
    number = int(port) if port.isascii() and port.isdecimal() else -1
    if not 0 <= number <= _LAST_PORT:
        raise UsageError(
            f"{name} is {text!r}, which is no port: give a number up to {_LAST_PORT}, for example 9108"
        )
    return Place(host.strip("[]") or HOST, number)


class Server:
    """From `start` to `stop`. `bind` may come before, and is not heard of by anybody."""

    def __init__(self, answer: Answer, place: Place, say: Say) -> None:
        self._answer = answer
        self._asked = place
        self._say = say
        self._socket: socket.socket | None = None
        self._stopping = False
        self._slots = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self.place: Place | None = None
        """Where it listens."""

    def bind(self) -> bool:
        """Listens at the place that was asked for, or at the next one that is free."""
        for place in self._asked.further():
            try:
                self._socket, self.place = _listen(place)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    self._say(
                        f"metrics cannot be served at {place.url()}, because {_why(error)}: "
                        "give another port, host or socket"
                    )
                    return False
                continue
            if place != self._asked:
                self._say(
                    f"{self._asked.url()} is taken: the metrics that process {os.getpid()} serves are "
                    f"at {place.url()}"
                )
            return True
        self._say(f"metrics are not served: {self._asked.url()} and all after it are taken")
        return False

    def start(self) -> bool:
        if self._socket is None and not self.bind():
            return False
        threading.Thread(target=self._accept, name="unstall-metrics", daemon=True).start()
        return True

    def stop(self) -> None:
        """Listens no longer; an answer under way is finished."""
        self._stopping = True
        listening, self._socket = self._socket, None
        if listening is None:
            return
        try:  # wakes the thread that waits in accept
            listening.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        listening.close()
        if self.place is not None and self.place.path is not None:
            Path(self.place.path).unlink(missing_ok=True)

    def forget(self) -> None:
        """In a forked child: the parent goes on listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _accept(self) -> None:
        listening = self._socket
        while listening is not None and not self._stopping:
            try:
                connection, _ = listening.accept()
            except OSError as error:
                if self._socket is None or error.errno in (
                    errno.EBADF,
                    errno.EINVAL,
                    errno.ENOTSOCK,
                ):
                    return
                time.sleep(0.1)  # out of file numbers, or the client has gone
                continue
            self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        if not self._slots.acquire(blocking=False):
            connection.close()
            return
        try:
            threading.Thread(
                target=self._serve, args=(connection,), name="unstall-answer", daemon=True
            ).start()
        except RuntimeError:  # no more threads, or the interpreter ends
            connection.close()
            self._slots.release()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                deadline = time.monotonic() + _PATIENCE_S
                head, response = False, self._plain(HTTPStatus.INTERNAL_SERVER_ERROR)
                try:
                    request = parse(_received(connection, deadline))
                    head = request.method == "HEAD"
                    response = self._answer(request)
                except Bad as bad:
                    response = self._plain(bad.status)
                except OSError:
                    return
                except Exception as error:  # it is ours, and nobody else's thread
                    response = self._plain(response.status, f": {type(error).__name__}")
                connection.settimeout(_PATIENCE_S)
                connection.sendall(_written(response, head=head))
        except OSError:
            return  # who asked has gone
        finally:
            self._slots.release()

    @staticmethod
    def _plain(status: int, more: str = "") -> Response:
        text = f"{status} {HTTPStatus(status).phrase}{more}\n"
        return Response(status, "text/plain; charset=utf-8", text.encode())


def parse(head: bytes) -> Request:
    """The head of a request; raises Bad."""
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise Bad(HTTPStatus.BAD_REQUEST)
    method, target, _ = parts
    if method not in ("GET", "HEAD"):
        raise Bad(HTTPStatus.METHOD_NOT_ALLOWED)
    accept = [
        v.strip() for k, _, v in (line.partition(":") for line in lines) if k.lower() == "accept"
    ]
    return Request(method, target.partition("?")[0], ",".join(accept))


def _received(connection: socket.socket, deadline: float) -> bytes:
    """Up to the empty line; a body, if there is one, is left unread."""
    data = b""
    while b"\r\n\r\n" not in data:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Bad(HTTPStatus.REQUEST_TIMEOUT)
        if len(data) >= _MOST_BYTES:
            raise Bad(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        connection.settimeout(left)
        try:
            piece = connection.recv(4_096)
        except TimeoutError:
            raise Bad(HTTPStatus.REQUEST_TIMEOUT) from None
        if not piece:
            raise ConnectionError("closed before a request was complete")
        data += piece
    return data.partition(b"\r\n\r\n")[0]


def _written(response: Response, *, head: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *(f"{name}: {value}" for name, value in response.headers),
    ]
    start = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return start if head else start + response.body


def _listen(place: Place) -> tuple[socket.socket, Place]:
    """Raises OSError."""
    address: Any
    if place.path is not None:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError(errno.EAFNOSUPPORT, "this system has no Unix sockets")
        _clear(place.path)
        family, address = socket.AF_UNIX, place.path
    else:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        family, address = found[0][0], found[0][4]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix" and place.path is None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    if place.path is not None:
        return listening, place
    return listening, place._replace(port=int(listening.getsockname()[1]))


def _clear(path: str) -> None:
    """Removes a socket on which nobody listens any more; raises OSError EADDRINUSE if somebody does."""
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise OSError(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return
        except OSError:
            pass  # busy, or not ours to ask
    raise OSError(errno.EADDRINUSE, "somebody listens there")


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
