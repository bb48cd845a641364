"""Uploads as people, and others, make them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

EICAR = "".join(
    ("X5O!P%@AP[4", chr(92), "PZX54(P^)7CC)7}", "$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*")
)
"""In pieces: no scanner shall take this repository for the test file."""


def ndjson(events: Iterable[bytes]) -> bytes:
    return b"".join(event + b"\n" for event in events)


def zipped(*members: bytes, level: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", level) as archive:
        for number, member in enumerate(members):
            archive.writestr(f"part-{number}.ndjson", member)
    return buffer.getvalue()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def overlapping(data: bytes) -> bytes:
    """A zip whose list names one file many times: it unpacks to many times its size."""
    honest = zipped(data)
    end = honest.rindex(b"PK\5\6")
    size, offset = struct.unpack_from("<LL", honest, end + 12)
    entry = honest[offset : offset + size]
    ending = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 50, 50, 50 * size, offset, 0)
    return honest[:offset] + entry * 50 + ending


def encrypted(data: bytes) -> bytes:
    """Marked so; nobody gets as far as the contents."""
    found = bytearray(zipped(data))
    directory = found.rindex(b"PK\1\2")
    found[6] |= 1
    found[directory + 8] |= 1
    return bytes(found)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
