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
from typing import Any, NamedTuple

Heard = Callable[[str, str | None, FrameType], BaseException | None]
"""Is given the function's name, the other end, and the frame that called it.

What it returns is raised at the call, and so ends it.
"""
OtherEnd = Callable[[tuple[Any, ...]], object]
"""From the arguments of an event to the other end, or `SKIP` if this call does not count."""
Failed = Callable[[BaseException], None]
Events = Mapping[str, tuple[str, OtherEnd]]
"""Event to function, and what tells its other end."""

SKIP = object()
_MOST_FAILURES = 100
_UNREAL = ("/dev/", "/proc/", "/sys/")


def file_of(args: tuple[Any, ...]) -> object:
    path = args[0]
    if isinstance(path, PurePath):
        path = str(path)
    if type(path) is bytes:
        path = path.decode(errors="replace")
    if type(path) is not str:  # a descriptor that is open already
        return SKIP
    return SKIP if path.startswith(_UNREAL) else path


def address_of(args: tuple[Any, ...]) -> object:
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


def program_of(args: tuple[Any, ...]) -> object:
    program = args[0]
    return program if type(program) is str else None


def nap_of(args: tuple[Any, ...]) -> object:
    try:
        return None if args[0] > 0 else SKIP
    except TypeError:  # no number: `sleep` will say so
        return SKIP


EVENTS: Events = {
    "open": ("open", file_of),
    "os.listdir": ("os.listdir", file_of),
    "os.scandir": ("os.scandir", file_of),
    "os.remove": ("os.remove", file_of),
    "os.rename": ("os.rename", file_of),
    "shutil.copyfile": ("shutil.copyfile", file_of),
    "shutil.copytree": ("shutil.copytree", file_of),
    "shutil.rmtree": ("shutil.rmtree", file_of),
    "socket.connect": ("socket.socket.connect", address_of),
    "socket.getaddrinfo": ("socket.getaddrinfo", _host),
    "socket.gethostbyname": ("socket.gethostbyname", _host),
    "subprocess.Popen": ("subprocess.Popen", program_of),
    "os.system": ("os.system", lambda _: None),
    "sqlite3.connect": ("sqlite3.connect", file_of),
    "time.sleep": ("time.sleep", nap_of),
}
"""What production listens to. 3.13 brought `time.sleep`."""


class _Listener(NamedTuple):
    heard: Heard
    events: Events
    failed: Failed


class Audit:
    """The hook of this process. Listeners are called on the loop's thread, and must be quick."""

    __slots__ = ("_installed", "_listeners", "_table", "failures")

    def __init__(self) -> None:
        self._listeners: tuple[_Listener, ...] = ()
        self._table: dict[str, tuple[tuple[str, OtherEnd, _Listener], ...]] = {}
        self._installed = False
        self.failures: list[BaseException] = []
        """Errors of listeners that do not ask to be told of them; the first of many."""

    @property
    def listened(self) -> bool:
        return bool(self._listeners)

    def listen(self, heard: Heard, events: Events = EVENTS, failed: Failed | None = None) -> bool:
        """False on an interpreter without audit events: then nothing will be heard.

        An error of the listener, or arguments that the table does not know, go to `failed`. That event is
        passed over, and the next one is heard.
        """
        add = getattr(sys, "addaudithook", None)
        if add is None:
            return False
        self._set((*self._listeners, _Listener(heard, events, failed or self._failed)))
        if not self._installed:
            self._installed = True
            add(_hook_of(self))
        return True

    def leave(self, heard: Heard) -> None:
        self._set(tuple(each for each in self._listeners if each.heard != heard))

    def _set(self, listeners: tuple[_Listener, ...]) -> None:
        table: dict[str, tuple[tuple[str, OtherEnd, _Listener], ...]] = {}
        for listener in listeners:
            for event, (call, other_end) in listener.events.items():
                table[event] = (*table.get(event, ()), (call, other_end, listener))
        self._listeners, self._table = listeners, table

    def _failed(self, error: BaseException) -> None:
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append(error)

    def hear(self, event: str, args: tuple[Any, ...], caller: FrameType) -> BaseException | None:
        """What a listener wants to be raised. An error of ours would end the host's call, so none gets out;
        what a signal handler of the host raises meanwhile does.
        """
        refusal = None
        for call, other_end, listener in self._table.get(event, ()):
            try:
                peer = other_end(args)
                if peer is not SKIP:
                    refusal = listener.heard(call, peer, caller) or refusal  # type: ignore[arg-type]
            except Exception as error:
                listener.failed(error)
        return refusal


def _hook_of(audit: Audit) -> Callable[[str, tuple[Any, ...]], None]:
    """A plain function: before each call the interpreter looks for an attribute, longer in a method."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in audit._table and _get_running_loop() is not None:
            refusal = audit.hear(event, args, sys._getframe(1))
            if refusal is not None:
                raise refusal

    return hook


AUDIT = Audit()
