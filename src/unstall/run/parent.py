"""The process that the user started: runs the command, listens, speaks, and ends with its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from unstall.errors import TargetError
from unstall.run.environment import child_environment
from unstall.run.inbox import Inbox
from unstall.run.options import Options
from unstall.run.signals import forward, hold_back, let_through
from unstall.settings import from_environment, threshold_of

if TYPE_CHECKING:
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
    record = _record_file(options.record)
    with Inbox() as inbox:
        environment = child_environment(
            os.environ, inbox.path, options.threshold, inside_c=options.inside_c
        )
        hold_back()
        try:
            process = _start(command, environment)
        except TargetError:
            let_through()
            raise
        ended = threading.Event()
        forward(process.pid, ended.is_set)
        _when_it_ends(process, inbox, ended)
        # The command is on its way: what takes long to import is imported now.
        from unstall.run.listener import Listener

        listener = Listener(command, options, Path(environment["UNSTALL_ROOT"]), record)
        _listen(inbox, listener, ended)
        listener.finish(left=inbox.connections)
    return _exit_code(process.returncode)


def _record_file(path: Path | None) -> RecordFile | None:
    if path is None:
        return None
    from unstall.run.record import RecordFile

    record = RecordFile(path)
    if record.replaced:
        print(f"unstall: the recording in {path} is overwritten", file=sys.stderr)
    return record


def _start(command: tuple[str, ...], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    program = command[0]
    try:
        return subprocess.Popen(
            command,
            env=environment,
            preexec_fn=let_through,  # noqa: PLW1509 - there is one thread yet
        )
    except FileNotFoundError:
        raise TargetError(
            f"{program} was not found: check the name, and that its environment is active"
        ) from None
    except PermissionError:
        raise TargetError(f"{program} is not executable: name the program that runs it") from None
    except OSError as error:
        raise TargetError(f"{program} cannot be started: {error.strerror}") from None


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
