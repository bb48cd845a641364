"""Where requests go: a base URL, taken apart once."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from unstall.errors import UsageError
from unstall.hosts import in_brackets, is_loopback

_USER = re.compile(r"//[^/]*@")
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """A server, and the path that all requests to it begin with."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    """Without a slash at its end."""

    @property
    def authority(self) -> str:
        """As the `Host` header names it."""
        host = in_brackets(self.host)
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether this is certainly the machine we run on."""
        return is_loopback(self.host)

    async def addresses(self) -> tuple[str, ...]:
        """The host's numeric addresses, asked once for a whole run. Raises UsageError."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UsageError(
                f"no request can be sent to {self.host!r}: its address is not known "
                f"({getattr(error, 'strerror', None) or error}); correct the name"
            ) from None
        return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def place_of(url: str) -> Place:
    """Raises UsageError for what no request can be sent to."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"no request can be sent to {_shown(url)}: {error}") from None
    if parts.scheme not in PORTS or not host:
        raise UsageError(
            f"no request can be sent to {_shown(url)}: it must be an http:// or https:// URL"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            f"no request can be sent to {_shown(url)}: a base URL has no user, query or fragment; "
            "give credentials as a header, and the query with the path"
        )
    if not _plain(parts.path) or not _plain(host):
        raise UsageError(
            f"no request can be sent to {_shown(url)}: write spaces and the like as %20 does"
        )
    port = PORTS[parts.scheme] if port is None else port
    return Place(parts.scheme, host, port, parts.path.rstrip("/"))


def _shown(url: str) -> str:
    """Without a password."""
    return repr(_USER.sub("//", url))


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
