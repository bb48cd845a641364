"""Faults that are thrown for each HTTP request, through a real proxy."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.chaos.test_chaos import AN_HOUR, until
from tests.chaos.upstreams import Upstream, asked, connected, is_silent, received, serving
from unstall.chaos import Chaos
from unstall.chaos.framing import Requests

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def site(connection: socket.socket, upstream: Upstream) -> None:
    """Answers each request, pipelined ones too, as soon as its head is there."""
    requests = Requests()
    while data := connection.recv(65_536):
        upstream.seen += data
        list(requests.feed(data))
        while requests.methods:
            requests.methods.popleft()
            connection.sendall(OK)


@pytest.fixture
def chaos() -> Iterator[Chaos]:
    with Chaos(seed=7) as chaos:
        yield chaos


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_requests_on_a_kept_connection_are_counted_and_met(chaos: Chaos) -> None:
    with serving(site) as upstream:
        proxy = chaos.proxy("API", upstream.address)
        toxic = proxy.add("jitter", jitter=0, per="request", probability=0.5)
        with connected(proxy.addresses[0]) as client:
            for n in range(100):
                client.sendall(get(f"/{n}"))
                assert received(client, len(OK)) == OK
        counts = proxy.counts()
        assert (counts.requests, counts.exchanges, counts.thrown) == (100, 100, 100)
        assert 35 < counts.hit == toxic.hits < 65


def test_pipelined_requests_are_met_one_by_one(chaos: Chaos) -> None:
    with serving(site) as upstream:
        proxy = chaos.proxy("API", upstream.address)
        pipelined = b"".join(get(f"/{n}") for n in range(20))
        toxic = proxy.add("hang", seconds=AN_HOUR, per="request", probability=0.2)
        with connected(proxy.addresses[0]) as client:
            client.sendall(pipelined)
            until(lambda: toxic.thrown == 20)
            first = next(n for n in range(1, 21) if _is_hit(chaos.seed, n))
            assert received(client, len(OK) * (first - 1)) == OK * (first - 1)
            assert is_silent(client)
            toxic.remove()
            left = 21 - first
            assert received(client, len(OK) * left) == OK * left
        assert proxy.counts().requests == 20


def _is_hit(seed: int, number: int) -> bool:
    from unstall.chaos.dice import Dice

    return Dice(seed, "API", "hang_downstream", "hit").at(number) < 0.2


def test_a_request_in_many_segments_is_one(chaos: Chaos) -> None:
    with serving(site) as upstream:
        proxy = chaos.proxy("API", upstream.address)
        toxic = proxy.add("jitter", jitter=0, per="request")
        with connected(proxy.addresses[0]) as client:
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n")
            for n in range(6):
                client.sendall(b"x")
                until(lambda n=n: upstream.seen.endswith(b"\n" + b"x" * (n + 1)))  # type: ignore[misc]
            assert received(client, len(OK)) == OK
        assert toxic.thrown == toxic.hits == 1


def test_on_a_connection_that_is_open_requests_are_told_from_the_next_on(chaos: Chaos) -> None:
    with serving(site) as upstream:
        proxy = chaos.proxy("API", upstream.address)
        with connected(proxy.addresses[0]) as client:
            client.sendall(get("/"))
            received(client, len(OK))
            toxic = proxy.add("truncate", fraction=0.5, per="request")
            client.sendall(get("/"))
            assert received(client, len(OK)) == OK[: len(OK) // 2]
        assert toxic.hits == 1


def test_what_is_no_http_is_met_by_exchange_and_said_once(chaos: Chaos) -> None:
    with serving() as upstream:
        proxy = chaos.proxy("CACHE", upstream.address)
        toxic = proxy.add("jitter", jitter=0, per="request")
        for _ in range(2):
            with connected(proxy.addresses[0]) as client:
                for _ in range(5):
                    assert asked(client, b"*1\r\n$4\r\nPING\r\n") == b"*1\r\n$4\r\nPING\r\n"
        counts = proxy.counts()
        assert (counts.exchanges, counts.thrown, counts.requests) == (10, 10, 0)
        assert toxic.hits == 10
        (note,) = chaos.notes
        assert "is no HTTP/1.1 that can be read" in note


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000])
def test_an_answer_that_is_no_http_belongs_to_the_request_that_was_thrown_for(
    chaos: Chaos, answer: bytes
) -> None:
    def odd(connection: socket.socket, upstream: Upstream) -> None:
        while data := connection.recv(65_536):
            upstream.seen += data
            connection.sendall(answer)

    with serving(odd) as upstream:
        proxy = chaos.proxy("API", upstream.address)
        toxic = proxy.add("jitter", jitter=0, per="request")
        with connected(proxy.addresses[0]) as client:
            for number in (1, 2):
                client.sendall(get("/"))
                assert received(client, len(answer)) == answer
                assert (toxic.thrown, toxic.hits) == (number, number)
