"""How Locust is called: where it is, what it is told, and what it can be asked to do."""

from __future__ import annotations

import importlib.util
import math
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unstall.errors import MissingExtra, UsageError

LISTENER = Path(__file__).with_name("listener.py")
DEFAULT_PORT = 5557
MOST_PROCESSES = 64


@dataclass(frozen=True, slots=True)
class Crew:
    """Who works: so many processes here, or a master with workers elsewhere."""

    processes: int = 1
    master: bool = False
    """Waits for `workers` that others start, and sends nothing itself."""
    workers: int = 1
    host: str = "127.0.0.1"
    """Of a master: where it listens. Of a worker: where its master is."""
    port: int = DEFAULT_PORT
    patience: float = 60.0
    """Seconds for the workers to come."""


@dataclass(frozen=True, slots=True)
class Locust:
    """A load as Locust takes it. Durations in seconds."""

    files: tuple[Path, ...]
    users: int
    spawn_rate: float
    seconds: float
    drain: float = 5.0
    """After the end, how long users may wait for an answer."""
    crew: Crew = Crew()
    by_name: bool = False
    """The file was written from a plan: its entries are called as the plan's scenarios are."""
    more: tuple[str, ...] = ()
    """Further arguments for Locust: names of user classes, `--tags`, ..."""


def find_locust(
    which: Callable[[str], str | None] = shutil.which,
    installed: Callable[[str], object] = importlib.util.find_spec,
) -> tuple[str, ...]:
    """The beginning of its command: beside us, or else on the path. Raises `MissingExtra`."""
    if installed("locust") is not None:
        return (sys.executable, "-m", "locust")
    if found := which("locust"):
        return (found,)
    raise MissingExtra("locust", "locust")


def check(locust: Locust) -> None:
    """Raises `UsageError` for what Locust cannot be asked to do."""
    for name, value, low, high in (
        ("--users", locust.users, 1, 1_000_000),
        ("--spawn-rate", locust.spawn_rate, 0.001, 1_000_000),
        ("--seconds", locust.seconds, 1, 7 * 86_400),
        ("--processes", locust.crew.processes, 1, MOST_PROCESSES),
        ("--expect-workers", locust.crew.workers, 1, 10_000),
    ):
        _check_within(name, value, low, high)
    _check_port(locust.crew)
    if locust.crew.master and locust.crew.processes > 1:
        raise UsageError(
            f"--master waits for workers that others start, so --processes {locust.crew.processes} has "
            "no meaning: leave one of them out"
        )
    check_files(locust.files)


def check_worker(files: Sequence[Path], crew: Crew) -> None:
    """Raises `UsageError` for a master that cannot be, or files that Locust does not take."""
    _check_port(crew)
    check_files(files)


def _check_port(crew: Crew) -> None:
    _check_within("the port of the master", crew.port, 1, 65_535)


def _check_within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise UsageError(f"{name} is {value:g}, outside {low:g} to {high:g}: give a number within")


def check_files(files: Sequence[Path]) -> None:
    for file in files:
        if not file.exists():
            raise UsageError(f"there is no locustfile {file}: name it with -f")
        if file.is_file() and file.suffix != ".py":
            raise UsageError(f"{file} is no Python file, and Locust reads only those: name another")
        if "," in str(file):
            raise UsageError(
                f"the path {file} holds a comma, at which Locust would cut it: move it"
            )


def listener_in(folder: Path) -> Path:
    """A copy of the listener: Locust asks pytest about the folder of each of its files."""
    return Path(shutil.copyfile(LISTENER, folder / "unstall_listener.py"))


def command_of(
    program: Sequence[str], locust: Locust, url: str, port: int, listener: Path
) -> list[str]:
    """Of a master, or of who works alone. `port` is where master and workers meet."""
    crew = locust.crew
    files = _joined(locust.files, listener)
    command = [
        *program, "-f", files, "--host", url, "--headless", "--only-summary",
        "--users", str(locust.users), "--spawn-rate", f"{locust.spawn_rate:g}",
        "--run-time", f"{math.ceil(locust.seconds)}s",
        "--stop-timeout", f"{math.ceil(locust.drain)}", "--exit-code-on-error", "0",
    ]  # fmt: skip
    if crew.processes > 1:
        command += [
            "--processes", str(crew.processes),
            "--master-host", "127.0.0.1", "--master-port", str(port),
            "--master-bind-host", "127.0.0.1", "--master-bind-port", str(port),
        ]  # fmt: skip
    elif crew.master:
        command += [
            "--master", "--master-bind-host", crew.host, "--master-bind-port", str(port),
            "--expect-workers", str(crew.workers),
            "--expect-workers-max-wait", str(math.ceil(crew.patience)),
        ]  # fmt: skip
    return [*command, *locust.more]


def worker_command(
    program: Sequence[str], files: Sequence[Path], crew: Crew, listener: Path
) -> list[str]:
    """Of a worker: with the master's locustfiles, if it has none of its own."""
    own = _joined(files, listener) if files else "-"
    command = [
        *program, "-f", own, "--worker", "--master-host", crew.host,
        "--master-port", str(crew.port),
    ]  # fmt: skip
    return [*command, "--processes", str(crew.processes)] if crew.processes > 1 else command


def _joined(files: Sequence[Path], listener: Path) -> str:
    return ",".join(str(file.resolve()) for file in (*files, listener))


def meeting_port(crew: Crew) -> int:
    """Where master and workers meet: any for those here, else the one they were told.

    Raises `UsageError` if it is taken.
    """
    wanted = crew.port if crew.master else 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((crew.host if crew.master else "127.0.0.1", wanted))
        except OSError as error:
            raise UsageError(
                f"a master cannot listen at {crew.host}:{wanted} ({error.strerror}): give another "
                "--master-port, here and to the workers"
            ) from None
        return int(probe.getsockname()[1])
