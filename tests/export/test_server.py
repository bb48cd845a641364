"""A server that nobody can keep waiting, and that finds itself a place."""

from __future__ import annotations

import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from unstall.errors import UsageError
from unstall.export import server as servers
from unstall.export.server import Place, Request, Response, Server, place_of

Start = Callable[..., Server]


def echo(request: Request) -> Response:
    return Response(200, "text/plain", f"{request.path} {request.accept}".encode())


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def start(said: list[str]) -> Iterator[Start]:
    started: list[Server] = []

    def start_one(place: Place = Place(), answer: Callable[[Request], Response] = echo) -> Server:  # noqa: B008
        started.append(Server(answer, place, said.append))
        started[-1].start()
        return started[-1]

    yield start_one
    for each in started:
        each.stop()
    deadline = time.monotonic() + 20
    while any(t.name == "unstall-metrics" for t in threading.enumerate()):
        assert time.monotonic() < deadline, "a server thread is left"
        time.sleep(0.01)


def port(server: Server) -> int:
    assert server.place is not None
    return server.place.port


def raw(server: Server, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port(server)), timeout=20) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(4_096):
            answer += piece
        return answer


def test_it_answers_on_loopback_unless_told_otherwise(start: Start) -> None:
    server = start()
    assert server.place is not None
    assert server.place.url() == f"http://127.0.0.1:{port(server)}/"
    asked = urllib.request.Request(f"{server.place.url()}metrics?x=1", headers={"Accept": "text/x"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert answer.read() == b"/metrics text/x"
        assert answer.headers["Connection"] == "close"
        assert answer.headers["Cache-Control"] == "no-store"


def test_head_is_answered_without_a_body(start: Start) -> None:
    connection = HTTPConnection("127.0.0.1", port(start()), timeout=20)
    connection.request("HEAD", "/metrics")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Length"), answer.read()) == (200, "9", b"")
    connection.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / FTP/1\r\n\r\n", b"400"),
        (b"\xff\xfe\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_what_is_no_question_gets_an_answer_all_the_same(
    start: Start, sent: bytes, status: bytes
) -> None:
    try:
        assert raw(start(), sent).split(b" ")[1] == status
    except ConnectionResetError:
        assert status == b"431"  # it was closed with some of that unread


def test_a_failure_of_ours_is_an_answer_and_the_next_one_works(start: Start) -> None:
    def fails(request: Request) -> Response:
        if request.path == "/bad":
            raise ZeroDivisionError
        return echo(request)

    server = start(answer=fails)
    assert b" 500 " in raw(server, b"GET /bad HTTP/1.1\r\n\r\n")
    assert b" 200 " in raw(server, b"GET /good HTTP/1.1\r\n\r\n")


def test_who_says_nothing_or_too_slowly_keeps_nobody_waiting(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_PATIENCE_S", 1.0)
    server = start()
    with socket.create_connection(("127.0.0.1", port(server)), timeout=20) as slow:
        slow.sendall(b"GET / HT")
        assert b" 200 " in raw(server, b"GET / HTTP/1.1\r\n\r\n")
        assert b" 408 " in slow.recv(4_096)


def test_more_at_once_than_it_serves_are_turned_away(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def waits(request: Request) -> Response:
        go_on.wait(20)
        return echo(request)

    server = start(answer=waits)
    waiting = [socket.create_connection(("127.0.0.1", port(server)), timeout=20) for _ in range(8)]
    for connection in waiting:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    try:
        deadline = time.monotonic() + 20
        while sum(t.name == "unstall-answer" for t in threading.enumerate()) < 8:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with socket.create_connection(("127.0.0.1", port(server)), timeout=20) as ninth:
            assert ninth.recv(1) == b""
    finally:
        go_on.set()
    for connection in waiting:
        assert b" 200 " in connection.recv(4_096)
        connection.close()
    assert b" 200 " in raw(server, b"GET / HTTP/1.1\r\n\r\n")


def test_a_taken_port_makes_it_try_the_next_and_say_so(start: Start, said: list[str]) -> None:
    first = start()
    assert first.place is not None
    second = start(first.place)
    assert second.place is not None
    assert second.place.port > first.place.port
    assert said == [
        f"{first.place.url()} is taken: the metrics that process {os.getpid()} serves are at "
        f"{second.place.url()}"
    ]
    assert b" 200 " in raw(second, b"GET / HTTP/1.1\r\n\r\n")


def test_a_port_is_free_again_after_stop(start: Start, said: list[str]) -> None:
    first = start()
    assert first.place is not None
    raw(first, b"GET / HTTP/1.1\r\n\r\n")
    first.stop()
    again = start(first.place)
    assert again.place == first.place
    assert said == []


@pytest.mark.parametrize("host", ["256.0.0.1", "192.0.2.1"])
def test_a_host_that_is_not_ours_is_said_in_one_sentence(
    start: Start, said: list[str], host: str
) -> None:
    assert start(Place(host, 9108)).place is None
    (sentence,) = said
    assert sentence.startswith(f"metrics cannot be served at http://{host}:9108/, because ")
    assert sentence.endswith(": give another port, host or socket")


def test_a_unix_socket_serves_as_well(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    server = start(Place(path=path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        connection.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        assert b"200 OK" in connection.recv(4_096)
    server.stop()
    assert not Path(path).exists()


def test_a_unix_socket_left_by_a_crash_is_taken_over_and_one_in_use_is_not(
    start: Start, tmp_path: Path, said: list[str]
) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    first = start(Place(path=str(path)))
    assert first.place == Place(path=str(path))
    second = start(Place(path=str(path)))
    assert second.place == Place(path=f"{path}.1")
    assert len(said) == 1


def test_a_file_that_is_no_socket_is_left_alone(
    start: Start, tmp_path: Path, said: list[str]
) -> None:
    path = tmp_path / "s"
    path.write_text("keep")
    assert start(Place(path=str(path))).place is None
    assert path.read_text() == "keep"
    assert len(said) == 1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("9108", Place("127.0.0.1", 9108)),
        ("0.0.0.0:80", Place("0.0.0.0", 80)),
        ("[::1]:80", Place("::1", 80)),
    ],
)
def test_a_place_may_name_its_host(text: str, place: Place) -> None:
    assert place_of(text, "--metrics") == place


@pytest.mark.parametrize("text", ["ninety", "70000", "-1", "80.5", "host:", "٣"])
def test_a_port_that_is_none_is_said_with_the_value_and_what_to_do(text: str) -> None:
    with pytest.raises(UsageError) as error:
        place_of(text, "UNSTALL_METRICS_PORT")
    assert str(error.value) == (
        f"UNSTALL_METRICS_PORT is {text!r}, which is no port: give a number up to 65535, for example 9108"
    )
