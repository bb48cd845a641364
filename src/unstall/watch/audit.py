"""Audit events of the interpreter that show a call about to wait, as far as they come from a running loop.

A hook can never be taken out of an interpreter again, so it is only put in when somebody asks, once, and
does next to nothing while nobody listens.
"""

from __future__ import annotations

import sys
from asyncio import _get_running_loop
from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import FrameType
from typing import Any

Heard = Callable[[str, str | None, FrameType], None]
"""Is given the function's name, the other end, and the frame that called it."""

SKIP = object()
_UNREAL = ("/dev/", "/proc/", "/sys/")


def _file(args: tuple[Any, ...]) -> object:
    path = args[0]
    if isinstance(path, PurePath):
        path = str(path)
    if type(path) is bytes:
        path = path.decode(errors="replace")
    if type(path) is not str:  # a descriptor that is open already
        return SKIP
    return SKIP if path.startswith(_UNREAL) else path


def _address(args: tuple[Any, ...]) -> object:
    from _socket import SOCK_DGRAM, socket

    sock, address = args
    # Asyncio's own sockets do not block, and datagrams are sent without anybody's consent.
    if socket.gettimeout(sock) == 0.0 or socket.type.__get__(sock) == SOCK_DGRAM:
        return SKIP
    if type(address) is tuple and len(address) >= 2:
        return f"{address[0]}:{address[1]}"
    return address if type(address) is str else None


def _host(args: tuple[Any, ...]) -> object:
    host = args[0].decode(errors="replace") if type(args[0]) is bytes else args[0]
    if type(host) is not str or host in ("", "localhost"):
        return SKIP
    numeric = ":" in host or host.replace(".", "").isdigit()
    return SKIP if numeric else host


def _program(args: tuple[Any, ...]) -> object:
    program = args[0]
    return program if type(program) is str else None


def _nap(args: tuple[Any, ...]) -> object:
    return None if args[0] > 0 else SKIP


EVENTS: Mapping[str, tuple[str, Callable[[tuple[Any, ...]], object]]] = {
    "open": ("open", _file),
    "os.listdir": ("os.listdir", _file),
    "os.scandir": ("os.scandir", _file),
    "os.remove": ("os.remove", _file),
    "os.rename": ("os.rename", _file),
    "shutil.copyfile": ("shutil.copyfile", _file),
    "shutil.copytree": ("shutil.copytree", _file),
    "shutil.rmtree": ("shutil.rmtree", _file),
    "socket.connect": ("socket.socket.connect", _address),
    "socket.getaddrinfo": ("socket.getaddrinfo", _host),
    "socket.gethostbyname": ("socket.gethostbyname", _host),
    "subprocess.Popen": ("subprocess.Popen", _program),
    "os.system": ("os.system", lambda _: None),
    "sqlite3.connect": ("sqlite3.connect", _file),
    "time.sleep": ("time.sleep", _nap),
}
"""Event to function, and what tells its other end or that it does not count. 3.13 brought `time.sleep`."""


class Audit:
    """The hook of this process. Listeners are called on the loop's thread, and must be quick."""

    __slots__ = ("_heard", "_installed", "failures")

    def __init__(self) -> None:
        self._heard: tuple[Heard, ...] = ()
        self._installed = False
        self.failures: list[BaseException] = []
        """Errors of listeners, which are removed at the first."""

    def listen(self, heard: Heard) -> None:
        self._heard = (*self._heard, heard)
        if not self._installed:
            self._installed = True
            sys.addaudithook(_hook_of(self))

    def leave(self, heard: Heard) -> None:
        self._heard = tuple(each for each in self._heard if each != heard)

    def hear(self, event: str, args: tuple[Any, ...], caller: FrameType) -> None:
        """Never raises: that would end the host's call."""
        try:
            call, other_end = EVENTS[event]
            peer = other_end(args)
            if peer is not SKIP:
                for heard in self._heard:
                    heard(call, peer, caller)  # type: ignore[arg-type]
        except BaseException as error:
            self._heard = ()
            self.failures.append(error)


def _hook_of(audit: Audit) -> Callable[[str, tuple[Any, ...]], None]:
    """A plain function: before each call the interpreter looks for an attribute, longer in a method."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in EVENTS and audit._heard and _get_running_loop() is not None:
            audit.hear(event, args, sys._getframe(1))

    return hook


AUDIT = Audit()
