"""The pieces of a variable's value that say where upstreams are, one function for each form.

Each gives what it found, or the rest of a sentence that says why the value cannot be used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import NamedTuple

from unstall.hosts import in_brackets

DEFAULT_PORTS = {
    "amqp": 5672, "amqps": 5671, "bolt": 7687, "cassandra": 9042, "clickhouse": 9000, "cockroachdb": 26257,
    "ftp": 21, "http": 80, "https": 443, "imap": 143, "imaps": 993, "kafka": 9092, "ldap": 389, "ldaps": 636,
    "mariadb": 3306, "memcached": 11211, "mongodb": 27017, "mqtt": 1883, "mqtts": 8883, "mssql": 1433,
    "mysql": 3306, "nats": 4222, "neo4j": 7687, "oracle": 1521, "postgres": 5432, "postgresql": 5432,
    "redis": 6379, "rediss": 6379, "smtp": 25, "smtps": 465, "valkey": 6379, "valkeys": 6379, "ws": 80,
    "wss": 443,
}  # fmt: skip
"""By the scheme, or by what stands in it before a plus."""

_NO_SERVER = frozenset("duckdb file memory redis+socket sqlite unix".split())
_WEB = frozenset("http https ws wss".split())

_FORMS = (
    "which names no upstream in a form that is understood: give a URL, host:port, a list of them, or "
    "key=value with host="
)
_SOCKET = "which names a Unix socket: no proxy can stand before it, so give it a host and a port"
_PORT = "which names no port that there is: give one from 1 to 65535"

_SCHEME = re.compile(r"(?:^|(?<=[,;]))\s*([A-Za-z][\w+.:-]*)://")
_ITEM = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([\w.-]+))(?::(\d+))?")
_PIECES = re.compile(r"[^,]+")
_WORD = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)")
_HOST_WORD = re.compile(r"hostname|host|server|address|addr", re.IGNORECASE)


class Address(NamedTuple):
    host: str
    """Without brackets."""
    port: int

    @property
    def bracketed(self) -> str:
        return in_brackets(self.host)

    def __str__(self) -> str:
        return f"{self.bracketed}:{self.port}"


@dataclass(frozen=True, slots=True)
class Spot:
    """A piece of the value of `variable`, to be replaced for the addresses numbered in `of`."""

    variable: str
    start: int
    end: int
    of: tuple[int, ...]
    template: str = "{host}:{port}"
    lead: str = ""
    """Comes before what replaces it."""
    brackets: bool = True
    """Whether an IPv6 address needs them."""


@dataclass(frozen=True, slots=True)
class Found:
    addresses: tuple[Address, ...]
    spots: tuple[Spot, ...]


class _Piece(NamedTuple):
    """One host of a list, where it stands, and its port if it has one."""

    start: int
    end: int
    host: str
    port: int | None


def in_urls(name: str, value: str) -> Found | str:
    """One URL or several, with commas or semicolons between them, each with one host or several."""
    schemes = list(_SCHEME.finditer(value))
    if not schemes or schemes[0].start() != 0:
        return _FORMS
    ends = [each.start() - 1 for each in schemes[1:]] + [len(value)]
    known: list[Address] = []
    spots: list[Spot] = []
    for match, end in zip(schemes, ends, strict=True):
        scheme = match[1].rpartition(":")[2].lower()
        family = scheme.partition("+")[0]
        if scheme.endswith("+srv"):
            return "whose hosts stand in DNS and not in the value: write them out, with their ports"
        if family in _NO_SERVER or scheme in _NO_SERVER:
            return "which is a file or a socket of this machine and no server: no proxy can stand before it"
        default = DEFAULT_PORTS.get(scheme) or DEFAULT_PORTS.get(family)
        found = _in_url(name, value, match.end(), end, default, scheme in _WEB, len(known))
        if isinstance(found, str):
            return found
        known += found.addresses
        spots += found.spots
    return Found(tuple(known), tuple(spots))


def _in_url(
    name: str, value: str, start: int, end: int, default: int | None, web: bool, first: int
) -> Found | str:
    begin, stop = _authority(value, start, end, web)
    if begin == stop:
        return _in_query(name, value, stop, end, default, first)
    pieces = _pieces(value, begin, stop)
    if isinstance(pieces, str):
        return pieces
    ports = [piece.port or default for piece in pieces]
    if None in ports:
        return "whose scheme has no port that is known: write the port behind the host"
    found = [Address(piece.host, port or 0) for piece, port in zip(pieces, ports, strict=True)]
    spots = [Spot(name, piece.start, piece.end, (first + n,)) for n, piece in enumerate(pieces)]
    return Found(tuple(found), tuple(spots))


def _authority(value: str, start: int, end: int, web: bool) -> tuple[int, int]:
    """Where the hosts begin and end: behind the last @, before the path."""
    stop = min((at for each in "/?#" if (at := value.find(each, start, end)) >= 0), default=end)
    at = value.rfind("@", start, stop)
    if at < 0 and not web:
        _, colon, port = value[start:stop].partition(":")
        later = value.find("@", stop, end)
        if (
            colon and not port.isdigit() and later >= 0
        ):  # SQLAlchemy takes / and ? in a password as they are
            return _authority(value, later + 1, end, web)
    return (start if at < 0 else at + 1), stop


def _in_query(
    name: str, value: str, start: int, end: int, default: int | None, first: int
) -> Found | str:
    """`postgresql:///db?host=a&port=1`: as libpq has it, the query says where."""
    hosts = list(re.compile(r"[?&]host=([^&#]*)").finditer(value, start, end))
    port = re.compile(r"[?&]port=([^&#]*)").search(value, start, end)
    if not hosts:
        return "which names no host: no proxy can stand before it"
    if any(host[1].startswith(("/", "%2F", "%2f")) for host in hosts):
        return _SOCKET
    if len(hosts) == 1:
        return _apart(
            name, value, hosts[0].span(1), port.span(1) if port else None, default, "&", first
        )
    known: list[Address] = []
    spots: list[Spot] = []
    for host in hosts:
        pieces = _pieces(value, *host.span(1))
        if isinstance(pieces, str):
            return pieces
        if port or len(pieces) > 1 or not (pieces[0].port or default):
            return "which names several hosts in its query: write each as host=NAME:PORT"
        spots.append(Spot(name, pieces[0].start, pieces[0].end, (first + len(known),)))
        known.append(Address(pieces[0].host, pieces[0].port or default or 0))
    return Found(tuple(known), tuple(spots))


def is_dsn(value: str) -> bool:
    return _WORD.match(value.strip()) is not None


def in_dsn(name: str, value: str) -> Found | str:
    """`host=… port=… dbname=…`, with single quotes around what holds blanks."""
    words = list(_WORD.finditer(value))
    if _WORD.sub("", value).strip():
        return _FORMS
    spans = {match[1]: _inside(match) for match in words}
    host = spans.get("hostaddr") or spans.get("host")
    if host is None:
        return "which names no host: add host= and port="
    if value[host[0] :].startswith(("/", "@")):
        return _SOCKET
    return _apart(name, value, host, spans.get("port"), DEFAULT_PORTS["postgresql"], " ", 0)


def _inside(match: re.Match[str]) -> tuple[int, int]:
    start, end = match.span(2)
    return (start + 1, end - 1) if match[2].startswith("'") else (start, end)


def _apart(
    name: str,
    value: str,
    host: tuple[int, int],
    port: tuple[int, int] | None,
    default: int | None,
    separator: str,
    first: int,
) -> Found | str:
    """Hosts in one piece of the value and ports in another, one for each or one for all."""
    pieces = _pieces(value, *host)
    if isinstance(pieces, str):
        return pieces
    count = len(pieces)
    of = tuple(range(first, first + count))
    if all(piece.port for piece in pieces):
        found = tuple(Address(piece.host, piece.port or 0) for piece in pieces)
        spots = [
            Spot(name, each.start, each.end, (at,)) for each, at in zip(pieces, of, strict=True)
        ]
        return Found(found, tuple(spots))
    texts = value[slice(*port)].split(",") if port else [""]
    ports = [_port(text.strip(), default) for text in (texts * count if len(texts) == 1 else texts)]
    if None in ports:
        return _PORT
    if len(ports) != count:
        return f"which names {count} hosts and {len(ports)} ports: give one for each host, or one for all"
    end = host[1] + (value[host[1] : host[1] + 1] == "'")
    at = port or (end, end)
    return Found(
        tuple(
            Address(piece.host, number or 0) for piece, number in zip(pieces, ports, strict=True)
        ),
        (
            Spot(name, *host, of, "{host}", brackets=False),
            Spot(name, *at, of, "{port}", lead="" if port else f"{separator}port="),
        ),
    )


def in_pairs(name: str, value: str, env: Mapping[str, str]) -> Found | str:
    """`host:port`, a list of them, or a host whose port stands in the variable beside it."""
    if value.strip().startswith("/"):
        return _SOCKET
    pieces = _pieces(value, 0, len(value))
    if isinstance(pieces, str):
        return pieces
    if all(piece.port for piece in pieces):
        return Found(
            tuple(Address(piece.host, piece.port or 0) for piece in pieces),
            tuple(Spot(name, each.start, each.end, (n,)) for n, each in enumerate(pieces)),
        )
    beside = next(_beside(name), None)
    if beside is None:
        return _FORMS
    variable = next((each for each in _beside(name) if env.get(each, "").strip()), None)
    if len(pieces) > 1:
        return f"which names several hosts, not all with a port: write host:port for each, not {beside}"
    if variable is None:
        return f"and no {beside} says at which port: set it"
    text = env[variable]
    port = _port(text.strip(), None)
    if port is None:
        return f"and {variable} is {text!r}, which is no port from 1 to 65535: correct it"
    piece = pieces[0]
    start = text.index(text.strip())
    return Found(
        (Address(piece.host, port),),
        (
            Spot(name, piece.start, piece.end, (0,), "{host}", brackets=False),
            Spot(variable, start, start + len(text.strip()), (0,), "{port}"),
        ),
    )


def _beside(name: str) -> Iterator[str]:
    """What the variable with the port is called: DB_HOST has DB_PORT, pgHost has pgPort."""
    matches = list(_HOST_WORD.finditer(name))
    if matches:
        start, end = matches[-1].span()
        word = name[start:end]
        port = "PORT" if word.isupper() else "port" if word.islower() else "Port"
        yield f"{name[:start]}{port}{name[end:]}"


def _pieces(value: str, start: int, end: int) -> list[_Piece] | str:
    """The hosts between two places, or why they cannot be used."""
    pieces: list[_Piece] = []
    for match in _PIECES.finditer(value, start, end):
        text = match[0].strip()
        if not text:
            continue
        at = match.start() + match[0].index(text)
        if text.startswith(("%2F", "%2f")):
            return _SOCKET
        item = _ITEM.fullmatch(text)
        if item is None and _is_ipv6(text):
            pieces.append(_Piece(at, at + len(text), text, None))
            continue
        if item is None:
            return _FORMS
        port = _port(item[3], None) if item[3] else None
        if item[3] and port is None:
            return _PORT
        pieces.append(_Piece(at, at + len(text), item[1] or item[2], port))
    return pieces or _FORMS


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _port(text: str, default: int | None) -> int | None:
    if not text:
        return default
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 65536 else None
