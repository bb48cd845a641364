"""The process that the user started: runs the command, listens, speaks, and ends with its exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from unstall.errors import TargetError
from unstall.report.terminal import complain
from unstall.run.environment import child_environment
from unstall.run.inbox import Inbox, sweep
from unstall.run.metrics import place_asked, told_to_children
from unstall.run.options import Options
from unstall.run.signals import forward, hold_back, let_through
from unstall.settings import from_environment, threshold_of

if TYPE_CHECKING:
    from unstall.export.server import Place
    from unstall.run.listener import Listener
    from unstall.run.record import RecordFile

_DRAIN_S = 0.5
"""How long connections may stay open after the command has ended: what it left behind is let go."""


def watch(command: tuple[str, ...], options: Options) -> int:
    """Runs a command with a monitor in each of its event loops, and returns its exit code.

    Raises UsageError for an option that cannot be used, TargetError if the command cannot be started.
    """
    if options.threshold is not None:
        threshold_of(options.threshold, "--threshold")
    else:
        from_environment()  # what is wrong there is said here once, not in every process
    place = place_asked(options.metrics, os.environ)
    record = _record_file(options.record)
    with closing(record) if record else nullcontext(), Inbox() as inbox:
        environment = child_environment(
            os.environ,
            inbox.path,
            options.threshold,
            inside_c=options.inside_c,
            latent=options.latent,
        )
        if place is not None:
            environment = told_to_children(environment)
        hold_back()
        try:
            process = _start(command, environment)
        except TargetError:
            let_through()
            raise
        if record is not None:
            if record.replaced:
                complain(f"unstall: the recording in {record.path} is overwritten")
            record.begin()
        ended = threading.Event()
        forward(process.pid, ended.is_set)
        _when_it_ends(process, inbox, ended)
        try:
            # The command is on its way: what takes long to import is imported now.
            from unstall.run.listener import Listener

            listener = Listener(command, options, Path(environment["UNSTALL_ROOT"]), record)
            sweep(inbox.folder.parent)
            with _served(place, environment, listener.note):
                _listen(inbox, listener, ended)
            listener.finish(left=inbox.connections, code=_exit_code(process.returncode))
        except Exception as error:  # a fault of ours ends the watch, and never the command
            complain(f"unstall: the watch has failed, and the command has not: {error!r}")
    ended.wait()
    return _exit_code(process.returncode)


@contextmanager
def _served(
    place: Place | None, environment: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[None]:
    if place is None:
        yield
        return
    from unstall.run.metrics import Metrics

    metrics = Metrics(place, environment["UNSTALL_SEGMENT"], say)
    metrics.start()
    try:
        yield
    finally:
        metrics.stop()


def _record_file(path: Path | None) -> RecordFile | None:
    if path is None:
        return None
    from unstall.run.record import RecordFile

    return RecordFile(path)


def _start(command: tuple[str, ...], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    program = command[0]
    if not program:
        raise TargetError("the COMMAND is empty: name the program to run behind --")
    try:
        return subprocess.Popen(
            command,
            env=environment,
            preexec_fn=let_through,  # noqa: PLW1509 - there is one thread yet
        )
    except OSError as error:
        raise TargetError(_why_not(program, error)) from None


def _why_not(program: str, error: OSError) -> str:
    """Why `program` could not be started, as a sentence."""
    if isinstance(error, FileNotFoundError):
        if os.path.sep in program and Path(program).exists():
            return f"{program} names an interpreter that was not found: check its first line"
        return f"{program} was not found: check the name, and that its environment is active"
    if isinstance(error, PermissionError):
        if Path(program).is_dir():
            return f"{program} is a folder: name a program in it"
        return f"{program} is not executable: name the program that runs it"
    if error.errno == errno.ENOEXEC:
        return f"{program} is neither a program nor a script with #!: name the program that runs it"
    return f"{program} cannot be started: {error.strerror}"


def _when_it_ends(process: subprocess.Popen[bytes], inbox: Inbox, ended: threading.Event) -> None:
    ring = inbox.bell()

    def wait() -> None:
        process.wait()
        ended.set()
        ring()

    threading.Thread(target=wait, name="wait", daemon=True).start()


def _listen(inbox: Inbox, listener: Listener, ended: threading.Event) -> None:
    """Until the command has ended and its processes have hung up, or `_DRAIN_S` later."""
    deadline: float | None = None
    while True:
        due = listener.due_s()
        if ended.is_set():
            deadline = deadline or time.monotonic() + _DRAIN_S
            over = not inbox.connections or time.monotonic() >= deadline
            if over and (inbox.idle or time.monotonic() >= deadline + _DRAIN_S):
                return
            due = min(due, _DRAIN_S / 10)
        for received in inbox.receive(due):
            listener.hear(received)
        listener.look()


def _exit_code(status: int) -> int:
    """As a shell has it: 128 and the signal for a command that died of one."""
    return status if status >= 0 else 128 - status
