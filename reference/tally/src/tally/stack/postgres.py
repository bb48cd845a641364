"""A PostgreSQL of our own: one folder, one port of 127.0.0.1, nobody else's business."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from tally.stack.binaries import Runner, find_binaries, runner_for
from tally.stack.errors import StackError
from tally.stack.processes import (
    GONE,
    Reaper,
    becomes,
    children,
    free_port,
    kill,
    last_words,
    start,
    state,
)
from tally.stack.server import Server

HOST, USER, DBNAME = "127.0.0.1", "postgres", "postgres"
START_S = 60.0
ATTEMPTS = 5  # a free port can be taken by somebody else before PostgreSQL has it
BOUND = "could not bind"
PASSING = (BOUND, "still in use", "is still running")
"""What a start says that may succeed a moment later: sessions of a killed server take a while to end."""

COMMON = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a socket's path must be short, and a folder's need not be
}
DURABLE = {
    **COMMON,
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
SCRATCH = {
    **COMMON,
    "fsync": "off",  # the data are worth nothing
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "50",
    "max_wal_size": "256MB",
}


class Postgres(Server):
    """A durable one asks for a password, which is in its `url` and, for the next start, in the folder.
    A scratch one trusts everybody on this machine and forgets all when its machine stops. A temporary
    one is as durable as others, in a folder that nobody keeps.
    """

    host, user, dbname = HOST, USER, DBNAME

    def __init__(
        self,
        folder: Path,
        *,
        scratch: bool = False,
        temporary: bool = False,
        reaper: Reaper | None = None,
        tuning: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, reaper)
        self.scratch = scratch
        self.temporary = temporary or scratch
        self._settings = {**(SCRATCH if scratch else DURABLE), **(tuning or {})}
        self._runner: Runner | None = None
        self._password = ""

    @property
    def url(self) -> str:
        login = f"{self.user}:{quote(self._password)}" if self._password else self.user
        return f"postgresql://{login}@{self.host}:{self.port}/{self.dbname}"

    dsn = url

    def prepare(self) -> None:
        """Settle its `url`, which others may need before it runs. Raises `StackError`."""
        if self._runner is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._runner = runner_for(find_binaries(), self.folder)
        self.port = free_port()
        if self.scratch:
            return
        if not self._has_cluster:
            self._password = secrets.token_urlsafe(18)
            return
        try:
            self._password = (self.folder / "password").read_text().strip()
        except OSError as error:
            raise StackError(
                f"the password of the data in {self.folder} cannot be read ({error.strerror}):"
                " be who made them, or name another folder"
            ) from None

    def start(self) -> None:
        """Make the cluster if the folder has none, and return when it accepts connections.

        Only in its first start, and only if somebody took the port meanwhile, it moves to another.
        Call it from a thread that lives on: on Linux the server ends with the thread that started
        it. Raises `StackError`.
        """
        self.prepare()
        assert self._runner is not None
        if not self._has_cluster:
            self._make_cluster(self._runner)
        self._refuse_a_second()
        self._process = self._serve(self._runner)
        self._was_up = True

    def stop(self) -> None:
        """End it and all its sessions; what was committed stays."""
        self._end(signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

    def kill(self) -> None:
        """As if the machine had taken it and its sessions: no word to anybody."""
        sessions = children(self.pid) if self.pid else []
        self._end(signal.SIGKILL)
        kill(
            sessions
        )  # they lead sessions of their own, and would end by themselves a moment later

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _has_cluster(self) -> bool:
        return (self._data / "PG_VERSION").exists()

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _make_cluster(self, runner: Runner) -> None:
        options = ["--pgdata", str(self._data), "--username", self.user, "--no-instructions"]
        options += ["--locale", "C", "--encoding", "UTF8"]
        if self.temporary:
            options.append("--no-sync")  # the server itself syncs; an empty cluster is no loss
        if self.scratch:
            options += ["--auth", "trust"]
        else:
            options += ["--auth", "scram-sha-256", "--pwfile", str(self._keep_password())]
        done = subprocess.run(
            runner.command("initdb", *options),
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def _keep_password(self) -> Path:
        """In a file of whoever runs the server, who alone may read it."""
        path = self.folder / "password"
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{self._password}\n")
        owner = self.folder.stat()
        if owner.st_uid != os.geteuid():
            os.chown(path, owner.st_uid, owner.st_gid)
        return path

    def _serve(self, runner: Runner) -> subprocess.Popen[bytes]:
        for _ in range(ATTEMPTS):
            said = self._log.stat().st_size if self._log.exists() else 0
            settings = {**self._settings, "port": str(self.port)}
            options = [word for pair in settings.items() for word in ("-c", "=".join(pair))]
            process = start(
                runner.command("postgres", "-D", str(self._data), *options),
                self._log,
                self.folder,
                _environment(),
            )
            self._begun(process)
            if becomes(partial(self._is_ready, process.pid), process, START_S):
                return process
            self._ended(process, (signal.SIGINT, signal.SIGKILL))
            words = self._log.read_bytes()[said:].decode(errors="replace")
            if not any(word in words for word in PASSING):
                break
            if BOUND in words and not self._was_up:
                self.port = free_port()
            else:
                time.sleep(0.2)
        raise StackError(f"PostgreSQL did not start: {last_words(self._log)}")

    def _is_ready(self, pid: int) -> bool:
        lines = self._pid_file()
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _refuse_a_second(self) -> None:
        """PostgreSQL would say so as well; but where nobody collects the dead, it takes them for living."""
        lines = self._pid_file()
        if not lines or not lines[0].isdecimal():
            return
        pid = int(lines[0])
        if state(pid) in GONE:
            (self._data / "postmaster.pid").unlink(missing_ok=True)
        elif _is_postgres(pid):
            raise StackError(
                f"{self.folder} is in use by a PostgreSQL with pid {pid}: stop it, or name another folder"
            )

    def _pid_file(self) -> list[str]:
        with suppress(OSError):
            return (self._data / "postmaster.pid").read_text().splitlines()
        return []


def _is_postgres(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
    return False


def _environment() -> dict[str, str]:
    """Ours without `PGDATA`, `PGPORT` and the like: they are about another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
