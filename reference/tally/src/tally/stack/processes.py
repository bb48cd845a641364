"""Processes that end when we do, also when we are killed.

Three things see to it, each where another does not reach: on Linux the kernel signals a server whose
parent's thread has died; a reaper, a shell that waits at the end of a pipe, ends what is left and
removes temporary folders; each server leads a process group, so that its children go with it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

STOP_S = 20.0
GONE = ("Z", "X", "")
"""States of processes that do nothing any more."""

_REAPER = r"""
children= folders=
while read -r word what; do
  case $word in
    child) children="$children $what" ;;
    gone)
      kept=
      for each in $children; do [ "$each" = "$what" ] || kept="$kept $each"; done
      children=$kept ;;
    folder) folders="$folders
$what" ;;
    done) exit 0 ;;
  esac
done
send() { kill "-$1" -"$2" 2>/dev/null || kill "-$1" "$2" 2>/dev/null; }
alive() { for each in $children; do send 0 "$each" && return 0; done; return 1; }
for each in $children; do send INT "$each"; done
rounds=0
while alive && [ $rounds -lt 50 ]; do sleep 0.1; rounds=$((rounds + 1)); done
for each in $children; do send KILL "$each"; done
IFS='
'
for each in $folders; do [ -n "$each" ] && rm -rf -- "$each"; done
"""


class Reaper:
    """Ends what it was told of, once this process is gone in whatever way."""

    def __init__(self) -> None:
        self._shell: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Reaper:
        # It has a session of its own: a signal to our whole group must not reach it.
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _REAPER, "tally-reaper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """What it was told of was ended by somebody else."""
        self._tell("done")
        if self._shell is not None and self._shell.stdin is not None:
            with suppress(OSError):
                self._shell.stdin.close()
            self._shell.wait()
            self._shell = None

    def child(self, pid: int) -> None:
        """With its process group, if it leads one."""
        self._tell(f"child {pid}")

    def gone(self, pid: int) -> None:
        """Its number may belong to somebody else from now on."""
        self._tell(f"gone {pid}")

    def folder(self, path: Path) -> None:
        self._tell(f"folder {path}")

    def _tell(self, line: str) -> None:
        if self._shell is not None and self._shell.stdin is not None:
            with suppress(OSError, ValueError):  # it has died, or is closed
                self._shell.stdin.write(f"{line}\n".encode())


def mortal() -> tuple[str, ...]:
    """What to put in front of a command so that the kernel ends it with the thread that starts it."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return (setpriv, "--pdeathsig", "INT") if setpriv else ()


def start(
    command: Sequence[str],
    log: Path | None,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
    leads: bool = True,
) -> subprocess.Popen[bytes]:
    """Start a server; one that leads a group of its own hears no interrupt at the keyboard.

    Without a log it writes where we do. Raises `OSError`.
    """
    with ExitStack() as opened:
        output = None if log is None else opened.enter_context(log.open("ab"))
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=leads,
            pass_fds=descriptors,
        )


def stop(
    process: subprocess.Popen[bytes], signals: Sequence[signal.Signals], patience: float = STOP_S
) -> None:
    """Ask with each signal in turn until it has ended; then what is left of its group goes."""
    for sign in signals:
        if process.poll() is not None:
            break
        process.send_signal(sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def children(pid: int) -> list[int]:
    """Of a process, where the system tells."""
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill(pids: Sequence[int], patience: float = STOP_S) -> None:
    """End processes that are not our children, and return when they are gone."""
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + patience
    while any(state(pid) not in GONE for pid in pids) and time.monotonic() < until:
        time.sleep(0.005)


def state(pid: int) -> str:
    """The letter that `ps` shows; empty: there is no such process, `?`: it cannot be seen."""
    if not Path("/proc/self/stat").exists():
        return "?"
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def becomes(ready: Callable[[], bool], process: subprocess.Popen[bytes], within: float) -> bool:
    """Whether it is ready before it ends and in so many seconds."""
    until = time.monotonic() + within
    while process.poll() is None and time.monotonic() < until:
        if ready():
            return True
        time.sleep(0.01)
    return False


def free_port() -> int:
    """One that nobody has at this moment; the caller tries another if somebody was faster.

    Of those that no system gives away by itself, at every `connect` and every `bind` to any port.
    """
    for _ in range(100):
        port = 10_240 + secrets.randbelow(32_768 - 10_240)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def last_words(log: Path, lines: int = 5) -> str:
    with suppress(OSError):
        return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:])
    return ""
