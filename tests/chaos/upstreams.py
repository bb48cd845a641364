"""Upstreams on loopback for tests: a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 20.0
"""How long something that will come is waited for."""

Talk = Callable[[socket.socket], None]


class Upstream:
    """Where it listens, and what it was asked."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.seen = bytearray()
        self.connections = 0
        self.over = threading.Semaphore(0)
        """Released for each connection whose client said its last."""


def echo(connection: socket.socket, upstream: Upstream) -> None:
    """Answers each segment with the same."""
    while data := connection.recv(65_536):
        upstream.seen += data
        connection.sendall(data)


@contextmanager
def serving(
    talk: Callable[[socket.socket, Upstream], None] = echo,
    family: socket.AddressFamily = socket.AF_INET,
    place: tuple[str, int] | str | None = None,
) -> Iterator[Upstream]:
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        default = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        listening.bind(place or (default, 0))
        listening.listen(256)
        name = listening.getsockname()
        upstream = Upstream(name[:2] if isinstance(name, tuple) else ("", 0))
        open_ones: list[socket.socket] = []
        threads: list[threading.Thread] = []

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                talk(connection, upstream)
            upstream.over.release()

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                upstream.connections += 1
                open_ones.append(connection)
                threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield upstream
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for connection in open_ones:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(PATIENCE_S)


def connected(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, PATIENCE_S)


def is_reset(address: tuple[str, int]) -> bool:
    """Whether a new connection is reset, which the system may notice while it still connects."""
    try:
        with connected(address) as client:
            return client.recv(1) == b"never"
    except ConnectionResetError:
        return True


def asked(connection: socket.socket, question: bytes) -> bytes:
    """The answer of an echo."""
    connection.sendall(question)
    return received(connection, len(question))


def received(connection: socket.socket, number: int) -> bytes:
    """So many bytes, or what came before the end."""
    data = b""
    while len(data) < number and (more := connection.recv(number - len(data))):
        data += more
    return data


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing, and no end, can be read at this moment."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        connection.settimeout(PATIENCE_S)
    return False
