"""Where HTTP messages begin, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.chaos.framing import Answers, Messages, NotHttp, Requests

ASKED = (
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /",
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nGET \r\n0\r\nT: 1\r\n\r\n",
    b"HEAD /d HTTP/1.1\r\n\r\n",
    b"DELETE /e HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
)
ANSWERED = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nHTTP/1.1 200 \n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
)


def messages(reader: Messages, segments: list[bytes]) -> list[bytes]:
    found: list[bytes] = []
    for segment in segments:
        parts = list(reader.feed(segment))
        assert b"".join(part for _, part in parts) == segment
        for begins, part in parts:
            found += [part] if begins else []
            if not begins:
                found[-1] += part
    return found


def segments_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.integers(0, 10_000), max_size=30), st.lists(st.integers(0, 10_000), max_size=30))
def test_messages_are_told_apart_however_they_are_cut(up: list[int], down: list[int]) -> None:
    requests = Requests()
    assert messages(requests, segments_of(b"".join(ASKED), up)) == list(ASKED)
    assert messages(Answers(requests), segments_of(b"".join(ANSWERED), down)) == list(ANSWERED)


def test_one_byte_at_a_time() -> None:
    data = b"".join(ASKED)
    assert messages(Requests(), [data[n : n + 1] for n in range(len(data))]) == list(ASKED)


def test_an_answer_without_a_length_goes_on_to_the_end() -> None:
    requests = Requests()
    list(requests.feed(ASKED[0]))
    answer = b"HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert messages(Answers(requests), [answer]) == [answer]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n"),
        (b"CONNECT db:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
def test_what_follows_an_upgrade_belongs_to_its_request(asked: bytes, answer: bytes) -> None:
    requests = Requests()
    answers = Answers(requests)
    assert messages(requests, [asked]) == [asked]
    assert messages(answers, [answer + b"\x81\x05hello"]) == [answer + b"\x81\x05hello"]
    assert list(requests.feed(b"\x81\x05hello")) == [(False, b"\x81\x05hello")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",  # TLS
        b"*1\r\n$4\r\nPING\r\n",  # Redis
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",  # PostgreSQL
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /" + b"x" * 70_000,
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_said_so(data: bytes) -> None:
    with pytest.raises(NotHttp):
        list(Requests().feed(data))


@pytest.mark.parametrize("data", [b"+PONG\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_an_answer_that_is_no_http_is_said_so(data: bytes) -> None:
    with pytest.raises(NotHttp):
        list(Answers(Requests()).feed(data))
