"""Answers in HTTP/1.1, byte by byte if they come so: strict, because what is guessed is measured wrong.

Heads repeat: within a second a server sends the same one again and again, to the byte. So each distinct
head is parsed once, which is faster than any parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_FOLDED = re.compile(rb"\r\n[ \t]+")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_BARE = re.compile(rb"(?<!\r)\n")
_DIGITS = re.compile(r"\d{1,18}")
_LONGEST_HEAD = 1 << 16
_LONGEST_LINE = 1 << 12
_MOST_INTERIM = 16


class Malformed(ValueError):
    """What came is no answer in HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Head:
    status: int
    fields: tuple[tuple[str, str], ...]
    """Names in lower case, in the order they came."""
    length: int | None
    """Bytes of the body; None: in chunks, or until the connection is closed."""
    chunked: bool
    lasting: bool
    """The connection can be used again."""


@lru_cache(maxsize=1024)
def head_of(block: bytes, bodiless: bool) -> Head:
    """From the lines before the empty one. `bodiless`: it answers a HEAD request. Raises Malformed."""
    first, _, rest = block.partition(b"\r\n")
    line = _STATUS.fullmatch(first)
    if line is None:
        raise Malformed(f"no status line: {first[:40]!r}")
    fields = _fields(rest)
    status = int(line[2])
    lasting = _lasting(_listed(fields, "connection"), newest=line[1] == b"1")
    if bodiless or status < 200 or status in (204, 304):
        return Head(status, fields, 0, False, lasting)
    codings = _listed(fields, "transfer-encoding")
    length = _length(fields)
    if codings:
        # With a length beside it somebody in between may have counted otherwise: not used again.
        chunked = codings[-1] == "chunked"
        return Head(status, fields, None, chunked, lasting and chunked and length is None)
    return Head(status, fields, length, False, lasting and length is not None)


def _fields(lines: bytes) -> tuple[tuple[str, str], ...]:
    if not lines:
        return ()
    if lines[:1] in (b" ", b"\t"):
        raise Malformed("a folded line that follows none")
    found = []
    for line in _FOLDED.sub(b" ", lines).split(b"\r\n"):
        field = _FIELD.fullmatch(line)
        if field is None:
            raise Malformed(f"no header: {line[:40]!r}")
        found.append((field[1].decode().lower(), field[2].decode("latin-1")))
    return tuple(found)


def _listed(fields: tuple[tuple[str, str], ...], name: str) -> list[str]:
    """All values of a header that is a list, in lower case."""
    values = ",".join(value for key, value in fields if key == name)
    return [part for each in values.split(",") if (part := each.strip(" \t").lower())]


def _length(fields: tuple[tuple[str, str], ...]) -> int | None:
    lines = [value for key, value in fields if key == "content-length"]
    if not lines:
        return None
    values = [each.strip(" \t") for each in ",".join(lines).split(",")]
    if len(set(values)) > 1 or not _DIGITS.fullmatch(values[0]):
        raise Malformed(f"no length: {', '.join(values)[:40]}")
    return int(values[0])


def _lasting(options: list[str], *, newest: bool) -> bool:
    return "close" not in options and (newest or "keep-alive" in options)


class Reader:
    """The answers on one connection, one after the other.

    After `feed` or `end` has returned True, `head`, `body` and `surplus` are those of a whole answer,
    until the next `expect`.
    """

    __slots__ = (
        "_bodiless",
        "_buffer",
        "_ending",
        "_interim",
        "_keep",
        "_left",
        "_step",
        "body",
        "head",
        "surplus",
    )

    def __init__(self) -> None:
        self.head: Head | None = None
        self.body = bytearray()
        self.surplus = False
        """More came than the answer has."""
        self._bodiless = self._keep = self._ending = False
        self._left = self._interim = 0
        self._buffer = b""
        self._step: Callable[[bytes], bool] = self._read_head

    def expect(self, *, bodiless: bool = False, keep: bool = False) -> None:
        """A new answer. `bodiless`: to a HEAD request; `keep`: its body is wanted."""
        self.head = None
        self.surplus = False
        self._bodiless, self._keep = bodiless, keep
        self._interim = 0
        self._buffer = b""
        self._step = self._read_head
        if keep:
            self.body = bytearray()

    @property
    def begun(self) -> bool:
        """Whether anything of the answer has come."""
        return self.head is not None or bool(self._buffer) or bool(self._interim)

    def feed(self, data: bytes) -> bool:
        """True when the answer is whole. Raises Malformed."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        return self._step(data)

    def end(self) -> bool:
        """The server has closed: True if that was the end of the answer."""
        return self._step == self._read_rest

    def _read_head(self, data: bytes) -> bool:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            _check_beginning(data)
            self._buffer = data
            return False
        head = head_of(data[:end], self._bodiless)
        rest = data[end + 4 :]
        if head.status < 200:
            return self._read_interim(head, rest)
        self.head = head
        if head.length is not None:
            self._left = head.length
            self._step = self._read_counted
        else:
            self._left, self._ending = 0, False
            self._step = self._read_chunks if head.chunked else self._read_rest
        return self._step(rest)

    def _read_interim(self, head: Head, rest: bytes) -> bool:
        """`100 Continue` and its like come before the answer."""
        self._interim += 1
        if head.status == 101 or self._interim > _MOST_INTERIM:
            raise Malformed(f"an answer of {head.status} that nobody asked for")
        return bool(rest) and self._read_head(rest)

    def _read_counted(self, data: bytes) -> bool:
        left = self._left
        if self._keep:
            self.body += data[:left]
        self._left = left - len(data)
        self.surplus = self._left < 0
        return self._left <= 0

    def _read_rest(self, data: bytes) -> bool:
        if self._keep:
            self.body += data
        return False

    def _read_chunks(self, data: bytes) -> bool:
        """In a loop over positions: there may be thousands in one piece."""
        at = 0
        while True:
            if self._left:
                body = data[at : at + self._left]
                if self._keep:
                    self.body += body
                at += len(body)
                self._left -= len(body)
                if self._left:
                    return False
                self._ending = True
            if self._ending:
                ending = data[at : at + 2]
                if not b"\r\n".startswith(ending):
                    raise Malformed("a chunk that goes on beyond its size")
                if len(ending) < 2:
                    self._buffer = ending
                    return False
                at += 2
                self._ending = False
            end = data.find(b"\r\n", at)
            if end < 0:
                self._wait_for_line(data[at:])
                return False
            size = _SIZE.fullmatch(data, at, end)
            if size is None:
                raise Malformed(f"no size of a chunk: {data[at : min(end, at + 40)]!r}")
            at = end + 2
            self._left = int(size[1], 16)
            if not self._left:
                self._step = self._read_trailers
                return self._read_trailers(data[at:])

    def _read_trailers(self, data: bytes) -> bool:
        while (end := data.find(b"\r\n")) > 0:
            line, data = data[:end], data[end + 2 :]
            if line[:1] not in (b" ", b"\t") and not _FIELD.fullmatch(line):
                raise Malformed(f"no header: {line[:40]!r}")
        if end < 0:
            self._wait_for_line(data)
            return False
        self.surplus = len(data) > 2
        return True

    def _wait_for_line(self, data: bytes) -> None:
        if len(data) > _LONGEST_LINE:
            raise Malformed("a line of a chunk that does not end")
        self._buffer = data


def _check_beginning(data: bytes) -> None:
    """What can never become a head is refused at once, and not waited for."""
    if not data.startswith(b"HTTP/1.") and not b"HTTP/1.".startswith(data):
        raise Malformed(f"no HTTP/1: {data[:40]!r}")
    if len(data) > _LONGEST_HEAD:
        raise Malformed(f"a head of more than {_LONGEST_HEAD} bytes")
    if _BARE.search(data):
        raise Malformed("lines that do not end in CRLF")
