"""Where to listen and where to connect: `HOST:PORT`, `[IPv6]:PORT`, or `unix:PATH` for an upstream."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from dataclasses import dataclass

from unstall.errors import UsageError
from unstall.hosts import in_brackets, is_loopback

LOCAL = "127.0.0.1"
_LAST_PORT = 65_535
_BACKLOG = 1_024
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_UNIX = "unix:"


@dataclass(frozen=True, slots=True)
class Address:
    """A port of a host, or the path of a Unix socket."""

    host: str
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        return f"{in_brackets(self.host)}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return bool(self.path) or is_loopback(self.host)


def upstream_of(given: str | tuple[str, int], name: str = "upstream") -> Address:
    """As a user gave it for `name`. Raises UsageError."""
    if isinstance(given, str) and given.startswith(_UNIX) and given != _UNIX:
        if not hasattr(socket, "AF_UNIX"):
            raise UsageError(
                f"{name} is {given!r}, and this system has no Unix sockets: give HOST:PORT"
            )
        return Address("", path=given.removeprefix(_UNIX))
    address = _parsed(given, name, f"HOST:PORT, [IPv6]:PORT or {_UNIX}PATH")
    if not address.port:
        raise UsageError(f"{name} is {_shown(given)}, which has no port: give HOST:PORT")
    return address


def listen_of(
    given: str | tuple[str, int], name: str = "listen", *, remote: bool = False
) -> Address:
    """As a user gave it; port 0 is a free one. Raises UsageError, also off loopback without `remote`."""
    text = f"{LOCAL}:{given}" if isinstance(given, str) and given.isdecimal() else given
    if isinstance(text, str) and text.startswith(":"):
        text = f"{LOCAL}{text}"
    address = _parsed(text, name, "HOST:PORT or [IPv6]:PORT")
    if not address.is_local and not remote:
        raise UsageError(
            f"{name} is {address}, which other machines can reach: listen on {LOCAL}, or allow it with "
            "--allow-remote (remote=True in code)"
        )
    return address


def bound(address: Address, name: str = "listen") -> socket.socket:
    """A listening socket. Raises UsageError."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, _, _, _, place = found[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(place)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            why = "somebody listens there already: give another port, or 0 for a free one"
        else:
            reason = getattr(error, "strerror", None) or str(error)
            why = f"that cannot be listened on ({reason.lower()}): give an address of this machine"
        raise UsageError(f"{name} is {address}, and {why}") from None
    return listening


def address_of(listening: socket.socket) -> Address:
    host, port = listening.getsockname()[:2]
    return Address(host, port)


def _parsed(given: str | tuple[str, int], name: str, forms: str) -> Address:
    if isinstance(given, str):
        host, colon, port = given.strip().rpartition(":")
        number = int(port) if port.isascii() and port.isdecimal() else -1
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        fits = bool(colon) and (":" in host) == bracketed
    else:
        host, number = given
        fits = True
    if not fits or not _is_host(host) or not 0 <= number <= _LAST_PORT:
        raise UsageError(f"{name} is {_shown(given)}, which is not understood: give {forms}")
    return Address(host, number)


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _NAME.fullmatch(host) is not None
    return True


def _shown(given: str | tuple[str, int]) -> str:
    return repr(given) if isinstance(given, str) else f"{given[0]}:{given[1]}"
