"""Which process is which: alive, stopped, or another one that has got its number."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_GONE = "ZXx"


class Status(NamedTuple):
    alive: bool
    stopped: bool = False
    """By SIGSTOP or a debugger: no thread of it runs."""


def started(pid: int) -> int:
    """When a process began, in clock ticks since the machine did; 0 where the system does not say."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def status(pid: int, began: int) -> Status:
    """Of the process that had this number and began then."""
    fields = _stat(pid)
    if fields:
        same = not began or int(fields[19]) == began
        return Status(same and fields[0] not in _GONE, stopped=fields[0] in "Tt")
    if _PROC.joinpath("self", "stat").exists():
        return Status(alive=False)
    try:
        os.kill(pid, 0)
    except PermissionError:
        return Status(alive=True)
    except OSError:
        return Status(alive=False)
    return Status(alive=True)


def server() -> int:
    """The process that stands for all workers of a server.

    The parent, if it is the same program in the same process group: the supervisor of uvicorn, gunicorn or
    granian. A shell, an init or a terminal is not, and then each process stands for itself.
    """
    parent = os.getppid()
    try:
        same_group = os.getpgid(parent) == os.getpgid(0)
        same_program = _program(parent) == _program(os.getpid())
    except (OSError, AttributeError):
        return os.getpid()
    return parent if same_group and same_program else os.getpid()


def command(pid: int) -> str:
    """How a process was called; of this one where the system does not say."""
    try:
        words = (
            _PROC.joinpath(str(pid), "cmdline").read_bytes().decode(errors="replace").split("\0")
        )
    except OSError:
        words = list(getattr(sys, "orig_argv", sys.argv))
    return " ".join(filter(None, words))


def namespace() -> int:
    """Processes have numbers of their own in each; 0 where there are none."""
    try:
        return _PROC.joinpath("self", "ns", "pid").stat().st_ino
    except OSError:
        return 0


def _program(pid: int) -> str:
    return str(_PROC.joinpath(str(pid), "exe").readlink())


def _stat(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` from the third on; its second, the name, may hold anything."""
    try:
        return _PROC.joinpath(str(pid), "stat").read_text("latin-1").rpartition(")")[2].split()
    except OSError:
        return []
