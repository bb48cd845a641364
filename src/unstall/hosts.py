"""How hosts are written, and whether one is this machine."""

from __future__ import annotations

import ipaddress
import socket


def in_brackets(host: str) -> str:
    """As it stands before a port: of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether it is certainly reached without leaving this machine: an address in any of its spellings
    (`127.1`, `0x7f.1`, `::1`), or `localhost`.

    No other name is looked up: a look at the DNS is traffic, and the next one may say something else.
    """
    name = host.removeprefix("[").removesuffix("]").partition("%")[0].lower()
    if name.removesuffix(".") == "localhost" or name.removesuffix(".").endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return _is_loopback_v4(name)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _is_loopback_v4(name: str) -> bool:
    """As the C library reads numbers: fewer than four, octal, hexadecimal."""
    if not name or not name.isascii() or not name.isprintable() or " " in name:
        return False  # it would pass over what stands behind a blank
    try:
        return socket.inet_aton(name)[0] == 127
    except OSError:
        return False
