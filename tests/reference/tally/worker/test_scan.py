"""Nothing is loaded that a scanner would not let through."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tally.worker import contents, scan
from tally.worker.contents import Bounds, Kind, Piece, Refused
from tally.worker.scan import ScannerAway, examine, windows
from tests.reference.tally.worker.archives import EICAR, gzipped, ndjson, written, zipped

CLEAN = ndjson(
    b'{"event_id": "%d", "properties": {"note": "MZ is Mozambique"}}' % n for n in range(500)
)
DIRTY = CLEAN + b'{"note": "' + EICAR.encode() + b'"}\n'


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return tmp_path / "upload"


@pytest.mark.parametrize(
    ("data", "kind"),
    [(CLEAN, Kind.NDJSON), (gzipped(CLEAN), Kind.GZIP), (zipped(CLEAN, CLEAN), Kind.ZIP)],
)
def test_what_is_clean_passes(upload: Path, data: bytes, kind: Kind) -> None:
    examine(written(upload, data), kind, Bounds())


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (DIRTY, Kind.NDJSON),
        (gzipped(DIRTY), Kind.GZIP),
        (zipped(CLEAN, EICAR.encode()), Kind.ZIP),
    ],
)
def test_the_test_file_is_found_however_it_is_packed(upload: Path, data: bytes, kind: Kind) -> None:
    with pytest.raises(Refused, match="eicar") as refused:
        examine(written(upload, data), kind, Bounds())
    assert refused.value.reason == "malware"


def test_a_program_inside_an_archive_is_found(upload: Path) -> None:
    program = b"MZ" + bytes(76) + b"This program cannot be run in DOS mode" + bytes(100)
    with pytest.raises(Refused, match="windows_program"):
        examine(written(upload, zipped(CLEAN, program)), Kind.ZIP, Bounds())


def test_nothing_hides_where_two_pieces_meet() -> None:
    text = EICAR.encode()
    pieces = [Piece(0, b"a" * 10_000 + text[:30]), Piece(0, text[30:] + b"b")]
    first, second = windows(iter(pieces))
    scan.ask_yara(first)
    with pytest.raises(Refused, match="eicar"):
        scan.ask_yara(second)


def test_two_files_are_not_read_as_one() -> None:
    text = EICAR.encode()
    for window in windows(iter([Piece(0, text[:30]), Piece(1, text[30:])])):
        scan.ask_yara(window)


def test_an_upload_must_be_what_it_says(upload: Path) -> None:
    with pytest.raises(Refused, match="says ndjson and is zip") as refused:
        examine(written(upload, zipped(CLEAN)), Kind.NDJSON, Bounds())
    assert refused.value.reason == "not-what-it-says"


# --- clamd ----------------------------------------------------------------------------------------


class Clamd(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Speaks clamd's INSTREAM, finds the test file, and remembers what it was sent."""

    daemon_threads = True
    answer: bytes | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.sent = b""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Talk(socketserver.StreamRequestHandler):
    server: Clamd

    def handle(self) -> None:
        assert self.rfile.read(10) == b"zINSTREAM\0"
        while size := struct.unpack("!I", self.rfile.read(4))[0]:
            self.server.sent += self.rfile.read(size)
        found = EICAR.encode() in self.server.sent
        said = b"stream: Eicar-Signature FOUND\0" if found else b"stream: OK\0"
        self.wfile.write(said if self.server.answer is None else self.server.answer)


@contextmanager
def clamd(answer: bytes | None = None) -> Iterator[Clamd]:
    with Clamd() as server:
        server.answer = answer
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_clamd_is_sent_the_file_as_it_is(upload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "CHUNK", 1000)
    data = zipped(CLEAN)
    with clamd() as server:
        examine(written(upload, data), Kind.ZIP, Bounds(), server.address)
    assert server.sent == data


def test_what_clamd_finds_is_refused(upload: Path) -> None:
    with clamd() as server, pytest.raises(Refused, match="found Eicar-Signature"):
        examine(written(upload, DIRTY), Kind.NDJSON, Bounds(), server.address)


@pytest.mark.parametrize("answer", [b"", b"INSTREAM size limit exceeded. ERROR\0"])
def test_what_clamd_could_not_look_at_is_tried_again(upload: Path, answer: bytes) -> None:
    written(upload, CLEAN)
    with clamd(answer) as server, pytest.raises(ScannerAway):
        examine(upload, Kind.NDJSON, Bounds(), server.address)


def test_without_clamd_nothing_is_let_in(upload: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
        for address in (nobody, str(tmp_path / "clamd.sock")):
            with pytest.raises(ScannerAway, match="does not answer"):
                examine(written(upload, CLEAN), Kind.NDJSON, Bounds(), address)


def test_bombs_are_refused_with_clamd_too(upload: Path) -> None:
    written(upload, gzipped(bytes(64_000_000)))
    with clamd() as server, pytest.raises(Refused) as refused:
        examine(upload, Kind.GZIP, Bounds(), server.address)
    assert refused.value.reason == "bomb"


def test_the_seam_holds_any_text_of_a_rule() -> None:
    assert contents.PIECE > scan.SEAM > max(map(len, scan.RULES.splitlines()))
