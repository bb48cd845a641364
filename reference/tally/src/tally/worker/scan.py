"""Is it what it says, how large is it really, and is there malware in it.

Runs in a process of its own: unpacking and matching compute, and what a crafted file does to a parser in C
must not happen to the worker. It is ended when it takes too long, which a thread cannot be.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

import yara

from tally.worker.contents import Bounds, Kind, Piece, Refused, check_declared, kind_of, pieces

SEAM = 4096
"""Bytes of a piece that are looked at again with the next: more than any text of a rule."""
MATCH_S = 30
TALK_S = 30.0
"""With clamd: between two of its answers."""
CHUNK = 256 * 1024

# In pieces, so that no scanner takes this file, or a process that runs it, for the test file itself.
EICAR = (
    "X5O!P%@AP[4" + chr(92),
    "PZX54(P^)7CC)7}",
    "$EICAR-STANDARD-",
    "ANTIVIRUS-TEST-FILE!$H+H*",
)

RULES = """
rule eicar {{
    meta: description = "the file with which scanners are tested"
    strings: $text = "{eicar}"
    condition: $text
}}
rule windows_program {{
    strings: $mz = "MZ" $stub = "This program cannot be run in DOS mode"
    condition: $mz at 0 and $stub in (0..512)
}}
rule unix_program {{
    strings: $elf = {{ 7F 45 4C 46 }}
    condition: $elf at 0
}}
"""


class ScannerAway(OSError):
    """The scanner cannot say anything now, so nothing is let in."""


class _Match(Protocol):
    rule: str


@cache
def rules() -> yara.Rules:
    text = "".join(EICAR).replace("\\", "\\\\").replace('"', '\\"')
    return yara.compile(source=RULES.format(eicar=text))


def examine(path: Path, declared: Kind, bounds: Bounds, clamd: str = "") -> None:
    """Reads the whole upload. Raises Refused for what must not be loaded, ScannerAway to try again."""
    found = kind_of(path)
    check_declared(declared, found)
    if clamd:
        ask_clamd(path, clamd)
    for window in windows(pieces(path, found, bounds)):
        if not clamd:
            ask_yara(window)


def windows(found: Iterator[Piece]) -> Iterator[bytes]:
    """Each piece with the end of the one before it, so that nothing hides in the seam."""
    member, seam = -1, b""
    for piece in found:
        if piece.member != member:
            member, seam = piece.member, b""
        window = seam + piece.data
        seam = window[-SEAM:]
        yield window


def ask_yara(data: bytes) -> None:
    try:
        matches: list[_Match] = rules().match(data=data, timeout=MATCH_S)
    except yara.TimeoutError:
        raise Refused("scan", f"it could not be scanned within {MATCH_S} seconds") from None
    if matches:
        raise Refused("malware", f"the scanner found {matches[0].rule}")


def ask_clamd(path: Path, address: str) -> None:
    """The file as it is: clamd unpacks for itself."""
    try:
        with _connected(address) as clamd, path.open("rb") as file:
            clamd.sendall(b"zINSTREAM\0")
            _send(file.read, clamd.sendall)
            answer = _answer(clamd)
    except OSError as error:
        raise ScannerAway(f"clamd at {address} does not answer: {error}") from None
    if answer.endswith("FOUND"):
        raise Refused("malware", f"the scanner found {answer.split(': ', 1)[-1][: -len(' FOUND')]}")
    if not answer.endswith("OK"):
        raise ScannerAway(f"clamd at {address} said: {answer or 'nothing'}")


def _connected(address: str) -> socket.socket:
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        return socket.create_connection((host, int(port)), TALK_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TALK_S)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _send(read: Callable[[int], bytes], send: Callable[[bytes], None]) -> None:
    """Pieces with their lengths before them, and an empty one."""
    while data := read(CHUNK):
        send(struct.pack("!I", len(data)) + data)
    send(struct.pack("!I", 0))


def _answer(clamd: socket.socket) -> str:
    found = b""
    while not found.endswith(b"\0") and (part := clamd.recv(4096)):
        found += part
    return found.rstrip(b"\0").decode(errors="replace").strip()
