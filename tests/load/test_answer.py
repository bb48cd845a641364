"""Answers are read to the byte, however they are cut, and what is ambiguous is refused."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.load.answer import Malformed, Reader

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;name=value\r\nlo\r\n0\r\nX-Sum: 12\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN
FOLDED = b"HTTP/1.1 200 OK\r\nX-Long: one\r\n  two\r\n\tthree\r\nContent-Length: 5\r\n\r\nhello"
TWICE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"
WORDLESS = b"HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello"

WHOLE = {
    "plain": PLAIN,
    "chunked": CHUNKED,
    "interim": INTERIM,
    "folded": FOLDED,
    "the same length twice": TWICE,
    "no reason": WORDLESS,
}


def read(*parts: bytes, bodiless: bool = False) -> tuple[Reader, list[bool]]:
    reader = Reader()
    reader.expect(bodiless=bodiless, keep=True)
    return reader, [reader.feed(part) for part in parts]


def summary(reader: Reader) -> tuple[int, bytes, bool]:
    assert reader.head is not None
    return reader.head.status, bytes(reader.body), reader.surplus


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_an_answer_is_the_same_wherever_it_is_cut(answer: bytes) -> None:
    whole, told = read(answer)
    assert told == [True]
    assert bytes(whole.body) == b"hello"
    for cut in range(1, len(answer)):
        reader, told = read(answer[:cut], answer[cut:])
        assert told == [False, True], cut
        assert summary(reader) == summary(whole), cut


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_an_answer_is_whole_with_its_last_byte_and_not_before(answer: bytes) -> None:
    reader, told = read(*(answer[at : at + 1] for at in range(len(answer))))
    assert told == [False] * (len(answer) - 1) + [True]
    assert bytes(reader.body) == b"hello"


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_what_comes_after_an_answer_is_surplus(answer: bytes) -> None:
    reader, told = read(answer + b"H")
    assert told == [True]
    assert reader.surplus
    assert bytes(reader.body) == b"hello"


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body_whatever_they_say(status: int) -> None:
    reader, told = read(b"HTTP/1.1 %d Fine\r\nContent-Length: 5\r\n\r\n" % status)
    assert told == [True]
    assert summary(reader) == (status, b"", False)


def test_an_answer_to_head_has_no_body() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", bodiless=True)[1] == [True]
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert read(chunked, bodiless=True)[1] == [True]


def test_the_same_head_means_something_else_to_a_get() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert read(head, bodiless=True)[1] == [True]
    assert read(head)[1] == [False]


def test_without_a_length_the_body_goes_on_until_the_server_closes() -> None:
    reader, told = read(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
    assert told == [False, False]
    assert reader.end()
    assert summary(reader) == (200, b"hello", False)
    assert reader.head is not None
    assert not reader.head.lasting


@pytest.mark.parametrize("answer", [PLAIN[:-1], CHUNKED[:-2], b"HTTP/1.1 200", b""])
def test_a_close_in_the_middle_is_no_end(answer: bytes) -> None:
    reader, _ = read(answer)
    assert not reader.end()


def test_a_coding_other_than_chunked_goes_on_until_the_server_closes() -> None:
    reader, told = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx")
    assert told == [False]
    assert reader.end()


@pytest.mark.parametrize(
    ("head", "lasting"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, close", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive", True),
        (b"HTTP/1.1 304 Not Modified", True),
    ],
)
def test_a_connection_lasts_as_http_says(head: bytes, lasting: bool) -> None:
    reader, _ = read(head + b"\r\n\r\n")
    assert reader.head is not None
    assert reader.head.lasting is lasting


def test_with_a_length_beside_chunks_the_connection_is_not_used_again() -> None:
    reader, told = read(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n", 1))
    assert told == [True]
    assert reader.head is not None
    assert not reader.head.lasting


BAD = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "one byte of another protocol": b"\x15",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "a carriage return inside": b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    "a null": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    "a folded line first": b"HTTP/1.1 200 OK\r\n X: a\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
    "an endless length": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
    "another protocol from here on": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
    "interim answers without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
}
BAD_CHUNKS = {
    "no size": b"x\r\n",
    "an empty size": b"\r\n",
    "a size with a sign": b"+3\r\nabc\r\n",
    "a size with a prefix": b"0x3\r\nabc\r\n",
    "more than its size": b"3\r\nabcd\r\n",
    "an endless size": b"f" * 20 + b"\r\n",
    "an endless line": b"3;" + b"a" * 5_000,
    "no trailer": b"0\r\nno header\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(Malformed):
        read(answer)


@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_chunks_that_are_none_are_refused(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(Malformed):
        read(head + body)
    with pytest.raises(Malformed):
        read(*(bytes([byte]) for byte in head + body))


def test_one_reader_reads_one_answer_after_the_other() -> None:
    reader = Reader()
    for answer in (PLAIN, CHUNKED, INTERIM, PLAIN):
        reader.expect(keep=True)
        begun = [reader.begun, reader.feed(answer[:9]), reader.begun]
        assert begun == [False, False, True]
        assert reader.feed(answer[9:])
        assert bytes(reader.body) == b"hello"


def test_a_body_that_nobody_wants_is_not_kept() -> None:
    reader = Reader()
    reader.expect()
    assert reader.feed(CHUNKED)
    assert not reader.body


pieces = st.lists(st.binary(max_size=40), max_size=6)


@given(body=pieces, cuts=st.lists(st.integers(0, 400), max_size=8), trailer=st.booleans())
def test_any_chunks_cut_anywhere_are_the_same_body(
    body: list[bytes], cuts: list[int], trailer: bool
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body if piece)
    answer += b"0\r\n" + b"X-Trailer: 1\r\n" * trailer + b"\r\n"
    at = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    parts = [answer[a:b] for a, b in itertools.pairwise(at) if a < b]
    reader, told = read(*parts)
    assert told == [False] * (len(parts) - 1) + [True]
    assert bytes(reader.body) == b"".join(body)


@given(noise=st.binary(max_size=200), cut=st.integers(0, 200))
def test_noise_never_makes_it_fail_in_another_way(noise: bytes, cut: int) -> None:
    for answer in (noise, PLAIN[:30] + noise, CHUNKED[:60] + noise):
        reader = Reader()
        reader.expect(keep=True)
        try:
            if not reader.feed(answer[:cut]):
                reader.feed(answer[cut:])
        except Malformed:
            pass


def test_whatever_a_parser_of_others_takes_as_whole_we_take_as_the_same() -> None:
    """Answers with a byte or two changed: what both take is whole to both, or to none, with one body."""
    httptools = pytest.importorskip("httptools")
    chance = Random(4)
    agreed = 0
    for _ in range(4_000):
        answer = _changed(chance.choice([PLAIN, CHUNKED, TWICE, FOLDED]), chance)
        told = Told()
        try:
            httptools.HttpResponseParser(told).feed_data(answer)
            reader, (whole,) = read(answer)
        except (httptools.HttpParserError, Malformed):
            continue
        assert whole == told.over, answer
        assert bytes(reader.body) == bytes(told.body), answer
        agreed += 1
    assert agreed > 500


class Told:
    """What a parser of others says."""

    def __init__(self) -> None:
        self.body, self.over = bytearray(), False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.over = True


def _changed(answer: bytes, chance: Random) -> bytes:
    changed = bytearray(answer)
    for _ in range(chance.randint(1, 2)):
        at, byte = chance.randrange(len(changed)), chance.choice(b"\r\n :;0159abcXH\t\0,-+/.")
        match chance.randrange(3):
            case 0:
                changed[at] = byte
            case 1:
                changed.insert(at, byte)
            case _:
                del changed[at]
    return bytes(changed)
