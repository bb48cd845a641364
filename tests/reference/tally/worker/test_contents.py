"""What an upload is, and what comes out of it."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally.worker import contents
from tally.worker.contents import Bounds, Kind, Piece, Refused, kind_of, lines, pieces
from tests.reference.tally.worker.archives import (
    encrypted,
    gzipped,
    ndjson,
    overlapping,
    written,
    zipped,
)

LINES = [b'{"event_id": "a"}', b'{"event_id": "b"}']
TEXT = ndjson(LINES)


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return tmp_path / "upload"


def unpacked(path: Path, bounds: Bounds | None = None) -> bytes:
    return b"".join(each.data for each in pieces(path, kind_of(path), bounds or Bounds()))


def reason_of(path: Path, bounds: Bounds | None = None) -> str:
    with pytest.raises(Refused) as refused:
        unpacked(path, bounds)
    return refused.value.reason


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (TEXT, Kind.NDJSON),
        (b"\xef\xbb\xbf" + TEXT, Kind.NDJSON),
        ('{"name": "größe"}\n'.encode(), Kind.NDJSON),
        (gzipped(TEXT), Kind.GZIP),
        (zipped(TEXT), Kind.ZIP),
    ],
)
def test_the_kind_is_read_from_the_contents(upload: Path, data: bytes, kind: Kind) -> None:
    assert kind_of(written(upload, data)) is kind


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x7fELF\x02\x01\x01\x00" + bytes(64), "not-text"),
        (b"\x89PNG\r\n\x1a\n", "not-text"),
        ("{}".encode("utf-16"), "not-text"),
        (b"<html></html>", "not-ndjson"),
        (b"event_id,name\n1,2\n", "not-ndjson"),
        (b'[{"event_id": "a"}]', "not-ndjson"),
    ],
)
def test_what_is_none_of_ours_is_refused(upload: Path, data: bytes, reason: str) -> None:
    assert reason_of(written(upload, data)) == reason


def test_a_character_that_the_first_look_cuts_is_not_to_blame(upload: Path) -> None:
    before = b'{"name": "' + b"a" * (contents.PIECE - 11)
    data = before + "é".encode() + b'"}\n'
    assert len(before) == contents.PIECE - 1
    assert kind_of(written(upload, data)) is Kind.NDJSON


@pytest.mark.parametrize("pack", [bytes, gzipped, zipped])
def test_what_was_packed_comes_out(upload: Path, pack: type[bytes]) -> None:
    data = ndjson(b'{"n": %d}' % number for number in range(100_000))
    assert unpacked(written(upload, pack(data))) == data


def test_a_gzip_file_may_have_several_parts(upload: Path) -> None:
    assert unpacked(written(upload, gzipped(TEXT) + gzipped(TEXT) + bytes(512))) == TEXT * 2


def test_pieces_are_small_whatever_they_are_packed_in(upload: Path) -> None:
    data = gzip.compress(bytes(3_000_000))
    found = list(pieces(written(upload, data), Kind.GZIP, Bounds()))
    assert max(len(each.data) for each in found) <= contents.PIECE
    assert sum(len(each.data) for each in found) == 3_000_000


@pytest.mark.parametrize("pack", [gzipped, zipped])
def test_a_bomb_is_refused_long_before_it_is_unpacked(upload: Path, pack: type[bytes]) -> None:
    path = written(upload, pack(bytes(64_000_000)))
    out: list[int] = []
    with pytest.raises(Refused) as refused:
        out.extend(
            len(each.data) for each in pieces(path, kind_of(path), Bounds())
        )  # as far as it comes
    assert refused.value.reason == "bomb"
    assert sum(out) < 20_000_000


def test_what_packs_well_and_stays_small_is_no_bomb(upload: Path) -> None:
    same = ndjson([b'{"event_id": "a"}'] * 100_000)
    assert unpacked(written(upload, gzipped(same))) == same


def test_files_that_share_their_bytes_are_a_bomb(upload: Path) -> None:
    assert reason_of(written(upload, overlapping(TEXT * 100))) == "bomb"


@pytest.mark.parametrize(
    ("data", "bounds", "reason"),
    [
        (TEXT * 1000, Bounds(unpacked=1000), "too-large"),
        (zipped(*[TEXT] * 4), Bounds(members=3), "too-many-files"),
        (zipped(*[TEXT] * 4), Bounds(directory=100), "too-many-files"),
        (zipped(zipped(TEXT)), Bounds(), "nested"),
        (zipped(gzipped(TEXT)), Bounds(), "nested"),
        (encrypted(TEXT), Bounds(), "encrypted"),
        (zipped(TEXT, level=14), Bounds(), "broken"),
        (zipped(TEXT)[:-30], Bounds(), "broken"),
        (zipped(TEXT * 1000)[:40] + b"x" * 200, Bounds(), "broken"),
        (gzipped(TEXT)[:-9], Bounds(), "broken"),
        (gzipped(TEXT) + b"garbage", Bounds(), "broken"),
    ],
)
def test_what_cannot_be_trusted_is_refused(
    upload: Path, data: bytes, bounds: Bounds, reason: str
) -> None:
    assert reason_of(written(upload, data), bounds) == reason


def test_a_refusal_crosses_between_processes() -> None:
    refused = pickle.loads(pickle.dumps(Refused("bomb", "too much")))
    assert (refused.reason, refused.detail, str(refused)) == ("bomb", "too much", "too much")


# --- lines ----------------------------------------------------------------------------------------


def in_pieces(data: bytes, size: int) -> Iterator[Piece]:
    for at in range(0, len(data), size):
        yield Piece(0, data[at : at + size])


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.integers(1, 9))
def test_lines_come_whole_wherever_they_are_cut(given_lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in given_lines)
    assert list(lines(in_pieces(data, size), 100)) == [
        line.removesuffix(b"\r") for line in given_lines
    ]


@given(st.integers(1, 30), st.integers(1, 9))
def test_a_line_that_is_too_long_comes_cut_and_counts_once(length: int, size: int) -> None:
    data = b"first\n" + b"x" * length + b"\nlast"
    first, long, last = lines(in_pieces(data, size), 5)
    assert (first, last) == (b"first", b"last")
    assert long == b"x" * min(length, 6)


def test_the_end_of_a_file_ends_its_last_line() -> None:
    found = lines(iter([Piece(0, b"a\nb"), Piece(1, b"c\nd")]), 100)
    assert list(found) == [b"a", b"b", b"c", b"d"]


def test_the_mark_that_some_editors_write_is_no_part_of_a_line() -> None:
    """In each file of an archive; anywhere else it is what it is."""
    mark = b"\xef\xbb\xbf"
    found = lines(
        iter([Piece(0, mark + b"a\n" + mark + b"b"), Piece(0, mark), Piece(1, mark + b"c\n")]), 100
    )
    assert list(found) == [b"a", mark + b"b" + mark, b"c"]
