"""What an upload really is, and its bytes unpacked: a stream with bounds, never a file that grows.

Nothing that an upload says about itself is believed: not its type, not its sizes, not how many files
are in it. What is counted is what comes out.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

PIECE = 256 * 1024
"""Bytes that are unpacked at a time."""
MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark."""
GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
ENCRYPTED = 0x1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What zlib unpacks in bounded pieces, which is what everybody's zip writes."""

_END = struct.Struct(
    "<4s4H2LH"
)  # of central directory: PK\5\6, disks, entries, size, offset, comment
_END_MARK = b"PK\x05\x06"
_LONGEST_COMMENT = 0xFFFF
_HEADER = 30
"""Bytes before each member, at least."""


class Refused(ValueError):
    """The upload will not be loaded; `reason` is for programs."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Refused], tuple[str, str]]:
        return type(self), (self.reason, self.detail)  # it comes from another process


class Kind(StrEnum):
    NDJSON = "ndjson"
    GZIP = "gzip"
    ZIP = "zip"


MEDIA_TYPES = {
    "application/x-ndjson": Kind.NDJSON,
    "application/ndjson": Kind.NDJSON,
    "application/jsonl": Kind.NDJSON,
    "application/gzip": Kind.GZIP,
    "application/x-gzip": Kind.GZIP,
    "application/zip": Kind.ZIP,
    "application/x-zip-compressed": Kind.ZIP,
}
"""What may be uploaded."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Sizes are in bytes."""

    unpacked: int = 512 * 1024 * 1024
    members: int = 100
    ratio: int = 200
    """Unpacked to packed. Events as text come to 5 to 30, what is above 1,000 is a bomb."""
    judged_from: int = 4 * 1024 * 1024
    """The ratio of less than that says nothing: a line that repeats itself packs well."""
    directory: int = 1024 * 1024
    """Of a zip's list of its members, which is read whole."""


@dataclass(frozen=True, slots=True)
class Piece:
    member: int
    data: bytes


def kind_of(path: Path) -> Kind:
    """By what is in it. Raises Refused for what is none of ours."""
    with path.open("rb") as file:
        head = file.read(PIECE)
    if head.startswith(GZIP):
        return Kind.GZIP
    if head.startswith((ZIP, EMPTY_ZIP)):
        return Kind.ZIP
    check_text(head, cut=len(head) == PIECE)
    return Kind.NDJSON


def check_text(head: bytes, *, cut: bool) -> None:
    """Raises Refused for what cannot be lines of JSON; `cut` says that more follows."""
    if b"\x00" in head:
        raise Refused("not-text", "the upload is binary, and neither gzip nor zip")
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if not (cut and error.start >= len(head) - 3):  # a character on the edge is not to blame
            raise Refused("not-text", f"the upload is not UTF-8 at byte {error.start}") from None
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if first and first != b"{":
        raise Refused("not-ndjson", "the upload has no JSON object in its first line")


def check_declared(declared: Kind, found: Kind) -> None:
    if declared is not found:
        raise Refused("not-what-it-says", f"the upload says {declared} and is {found}")


def pieces(path: Path, kind: Kind, bounds: Bounds) -> Iterator[Piece]:
    """The contents, unpacked, in pieces of at most PIECE bytes. Raises Refused."""
    unpacked = 0
    packed = path.stat().st_size
    for piece in _PIECES[kind](path, bounds):
        unpacked += len(piece.data)
        if unpacked > bounds.unpacked:
            raise Refused("too-large", f"unpacked it has more than {bounds.unpacked} bytes")
        if unpacked > max(bounds.judged_from, packed * bounds.ratio):
            raise Refused(
                "bomb", f"{packed} bytes unpack to more than {bounds.ratio} times as many"
            )
        yield piece


def _plain(path: Path, _: Bounds) -> Iterator[Piece]:
    with path.open("rb") as file:
        while data := file.read(PIECE):
            yield Piece(0, data)


def _gzip(path: Path, _: Bounds) -> Iterator[Piece]:
    """All members one after the other, as gzip itself does."""
    with path.open("rb") as file:
        rest = b""
        while rest or (rest := file.read(PIECE)):
            unpacker = zlib.decompressobj(wbits=31)
            while True:
                for data in _inflate(unpacker, rest):
                    yield Piece(0, data)
                if unpacker.eof:
                    break
                if not (rest := file.read(PIECE)):
                    raise Refused("broken", "the gzip file ends too early")
            rest = unpacker.unused_data.lstrip(b"\x00")  # padding is allowed


def _inflate(unpacker: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    try:
        while data and not unpacker.eof:
            if out := unpacker.decompress(data, PIECE):
                yield out
            data = unpacker.unconsumed_tail
    except zlib.error as error:
        raise Refused("broken", f"it cannot be unpacked: {error}") from None


def _zip(path: Path, bounds: Bounds) -> Iterator[Piece]:
    with path.open("rb") as file:
        room = _check_directory(file, bounds)
        try:
            with zipfile.ZipFile(file) as archive:
                for number, member in enumerate(_members(archive, room, bounds)):
                    with archive.open(member) as unpacked:
                        head = True
                        while data := unpacked.read(PIECE):
                            if head and data.startswith((GZIP, ZIP)):
                                raise Refused("nested", "an archive is inside the archive")
                            head = False
                            yield Piece(number, data)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise Refused("broken", f"it cannot be unpacked: {error}") from None


def _members(archive: zipfile.ZipFile, room: int, bounds: Bounds) -> list[zipfile.ZipInfo]:
    members = [each for each in archive.infolist() if not each.is_dir()]
    if len(members) > bounds.members:
        raise Refused(
            "too-many-files", f"it has {len(members)} files, not {bounds.members} at most"
        )
    if sum(_HEADER + each.compress_size for each in members) > room:
        raise Refused("bomb", "its files share bytes with each other")
    for each in members:
        if each.flag_bits & ENCRYPTED:
            raise Refused("encrypted", "a file in it is encrypted, so nobody can look inside")
        if each.compress_type not in METHODS:
            raise Refused("broken", "a file in it is packed in a way that is not taken")
    return members


def _check_directory(file: BinaryIO, bounds: Bounds) -> int:
    """How many bytes its members can have in all. Raises Refused if their list is too long to be read."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size - _LONGEST_COMMENT))
    tail = file.read()
    at = tail.rfind(_END_MARK)
    if at < 0 or at + _END.size > len(tail):
        raise Refused("broken", "the zip file has no end")
    *_, entries, directory, offset, _ = _END.unpack_from(tail, at)
    if directory > bounds.directory or entries == 0xFFFF:
        raise Refused("too-many-files", f"its list of files has {directory} bytes")
    return int(offset)


_PIECES = {Kind.NDJSON: _plain, Kind.GZIP: _gzip, Kind.ZIP: _zip}


def lines(found: Iterator[Piece], longest: int) -> Iterator[bytes]:
    """Without their ends; empty ones too, so that their numbers are those of an editor.

    One that is longer than `longest` bytes comes cut, one byte too long, so that whoever reads it sees that.
    A member ends its last line, and may begin with the mark that some editors write.
    """
    member, rest, skipping = -1, bytearray(), False
    for piece in found:
        data = piece.data
        if piece.member != member:
            data = data.removeprefix(MARK)
            if rest and not skipping:
                yield bytes(rest)
            rest.clear()
            member, skipping = piece.member, False
        *whole, last = data.split(b"\n")
        for line in whole:
            if skipping:
                skipping = False
                continue
            rest += line
            yield bytes(rest[: longest + 1]).removesuffix(b"\r")
            rest.clear()
        if skipping:
            continue
        rest += last
        if len(rest) > longest:
            yield bytes(rest[: longest + 1])
            rest.clear()
            skipping = True
    if rest and not skipping:
        yield bytes(rest)
