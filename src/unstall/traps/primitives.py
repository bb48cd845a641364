"""What blocks and has no audit event: functions and methods of the standard library, as rows.

A row says when a call counts. A lock that is free, a queue with something in it and a future that is done do
not block: of waits for other threads the one place is wrapped that all of them reach when they must wait.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from unstall.catalog.allowed import quiet_packages
from unstall.watch.audit import SKIP, file_of

Blocks = Callable[[tuple[Any, ...], Mapping[str, Any]], object]
"""From the arguments of a call to its other end, `SKIP` if the call does not wait, or `IF_IT_WAITS`."""
IF_IT_WAITS = object()
"""Only the call itself can show whether it waits: it is seen once it has, and so refused to nobody."""


class Primitive(NamedTuple):
    module: str
    owner: str
    """A class of the module; empty for a function."""
    names: tuple[str, ...]
    call: str
    """What findings call it, without its name."""
    blocks: Blocks


def always(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    return None


def _nap(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    return None if args and args[0] > 0 else SKIP


def _path(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    return file_of((args[0] if args else named.get("path"),))


def _open_file(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """A descriptor that waits; not the terminal's."""
    descriptor = args[0] if args else named.get("fd")
    if type(descriptor) is not int or descriptor <= 2:
        return SKIP
    return None if os.get_blocking(descriptor) else SKIP


def _child(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    options = args[-1] if len(args) > 1 else named.get("options", 0)
    return SKIP if options & os.WNOHANG else None


def _socket(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    from _socket import MSG_DONTWAIT, socket

    ours = args[0]
    if socket.gettimeout(ours) == 0.0:
        return SKIP
    if any(type(flag) is int and flag & MSG_DONTWAIT for flag in (*args[2:], *named.values())):
        return SKIP
    return _peer(socket.getpeername, ours)


def _sending(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """Datagrams are sent without anybody's consent."""
    from _socket import SOCK_DGRAM, socket

    return SKIP if socket.type.__get__(args[0]) == SOCK_DGRAM else _socket(args, named)


def _tls(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    from _socket import socket

    return SKIP if socket.gettimeout(args[0]) == 0.0 else _peer(socket.getpeername, args[0])


def _peer(getpeername: Callable[[Any], Any], sock: Any) -> str | None:
    try:
        peer = getpeername(sock)
    except OSError:
        return None
    if type(peer) is tuple and len(peer) >= 2:
        return f"{peer[0]}:{peer[1]}"
    return peer if type(peer) is str and peer else None


def _select(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    return _timed(args[3] if len(args) > 3 else None)


def _selector(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """A loop waits in its own."""
    loop = asyncio._get_running_loop()
    if getattr(loop, "_selector", None) is args[0]:
        return SKIP
    return _timed(args[1] if len(args) > 1 else named.get("timeout"))


def _epoll(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """Some libraries have a loop of their own; asyncio's is the one that runs."""
    selector = getattr(asyncio._get_running_loop(), "_selector", None)
    if getattr(selector, "_selector", None) is args[0]:
        return SKIP
    timeout = args[1] if len(args) > 1 else named.get("timeout")
    return SKIP if timeout == 0 else None


def _condition(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    return _timed(args[1] if len(args) > 1 else named.get("timeout"))


def _thread(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    return _condition(args, named) if args[0].is_alive() else SKIP


def _process(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    return SKIP if args[0].returncode is not None else _timed(named.get("timeout"))


def _handler(args: tuple[Any, ...], named: Mapping[str, Any]) -> object:
    """Handlers that write to files and sockets; a terminal is no other end."""
    from logging import FileHandler

    handler = args[0]
    if type(handler).__module__.partition(".")[0] in quiet_packages():
        return SKIP  # the test runner's log file
    if isinstance(handler, FileHandler):
        return file_of((handler.baseFilename,))
    remote = {"SocketHandler", "HTTPHandler", "SMTPHandler"}
    kinds = {
        each.__name__ for each in type(handler).__mro__ if each.__module__ == "logging.handlers"
    }
    return None if remote & kinds else SKIP


def _timed(timeout: Any) -> object:
    return SKIP if timeout is not None and timeout <= 0 else None


_PATHS = ("stat", "lstat", "access", "readlink", "statvfs", "chdir")
_DESCRIPTORS = ("fsync", "fdatasync", "read", "write", "pread", "pwrite", "readv", "writev")
_SOCKET = (
    "recv",
    "recv_into",
    "recvfrom",
    "recvfrom_into",
    "recvmsg",
    "accept",
)
_SENDING = ("send", "sendall", "sendmsg")
_TLS = ("recv", "recv_into", "send", "sendall", "read", "write", "do_handshake")
_SELECTORS = ("SelectSelector", "PollSelector", "EpollSelector", "KqueueSelector")

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive("time", "", ("sleep",), "time", _nap),
    Primitive("os", "", _PATHS, "os", _path),
    Primitive("os", "", _DESCRIPTORS, "os", _open_file),
    Primitive("os", "", ("waitpid", "waitid"), "os", _child),
    Primitive("os", "", ("wait", "sync"), "os", always),
    Primitive("select", "", ("select",), "select", _select),
    *(
        Primitive("selectors", each, ("select",), f"selectors.{each}", _selector)
        for each in _SELECTORS
    ),
    Primitive("socket", "socket", _SOCKET, "socket.socket", _socket),
    Primitive("socket", "socket", _SENDING, "socket.socket", _sending),
    Primitive("ssl", "SSLSocket", _TLS, "ssl.SSLSocket", _tls),
    Primitive("select", "epoll", ("poll",), "select.epoll", _epoll),
    Primitive("threading", "Condition", ("wait",), "threading.Condition", _condition),
    Primitive("threading", "Thread", ("join",), "threading.Thread", _thread),
    Primitive("subprocess", "Popen", ("wait", "communicate"), "subprocess.Popen", _process),
    Primitive("logging", "Handler", ("handle",), "logging.Handler", _handler),
)
