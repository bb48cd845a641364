"""uvicorn with the guard's doorstep: who is refused there, and who comes in as ever."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import anyio
import pytest

from tests.support.serving import served
from unstall import Guard
from unstall.guard.doorstep import Doorman, Doorstep
from unstall.integrations.uvicorn import HttpTools

PATIENCE_S = 20.0
GET = b"GET %b HTTP/1.1\r\nHost: t\r\n\r\n"
POST = b"POST /new HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n"


class Client:
    """One connection that stays."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE_S)
        self._held = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        while b"\r\n\r\n" not in self._held:
            self._more()
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        length = int(headers["content-length"])
        while len(self._held) < length:
            self._more()
        body, self._held = self._held[:length], self._held[length:]
        return int(first.split()[1]), headers, body

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError
        self._held += data

    def get(self, path: str = "/") -> tuple[int, dict[str, str], bytes]:
        self.send(GET % path.encode())
        return self.answer()

    def is_closed(self, within_s: float) -> bool:
        self.socket.settimeout(within_s)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(PATIENCE_S)


@dataclass
class House:
    """A server whose requests to `/` stay inside until `go`, with a guard before them."""

    limit: int = 2
    made: Counter[str] = field(default_factory=Counter)
    """Requests that the server made, by path; also those that the guard then refused."""
    bodies: list[bytes] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    inside: int = 0
    most: int = 0
    address: str = ""
    clients: list[Client] = field(default_factory=list)
    logs: bool = False

    def __post_init__(self) -> None:
        self.guard = Guard(self._app, in_flight=self.limit)
        doormen: WeakSet[Doorman] = WeakSet()
        doormen.add(self.guard)
        self.step = Doorstep(doormen)
        house = self

        class Ours(HttpTools):
            step = house.step

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.access_log = house.logs

        self.protocol = Ours

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.made[scope["path"]] += 1
        await self.guard(scope, receive, send)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.inside += 1
        self.most = max(self.most, self.inside)
        if scope["path"] == "/":
            while not self.go.is_set():
                await anyio.sleep(0.002)
        self.inside -= 1
        self.bodies.append(body)
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    def sheds(self, full: int) -> None:
        """Counted at the end of the turn in which it was."""
        wait_until(lambda: self.guard.statistics().shed == {"full": full})

    def client(self) -> Client:
        self.clients.append(Client(self.address))
        return self.clients[-1]

    def fill(self) -> list[Client]:
        """All slots, by requests that stay; the path has been seen by then."""
        clients = [self.client() for _ in range(self.limit)]
        for number, client in enumerate(clients, 1):
            client.send(GET % b"/")
            wait_until(lambda number=number: self.inside == number)  # type: ignore[misc]
        return clients


def wait_until(so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not so():
        assert time.monotonic() < until
        time.sleep(0.002)


@contextmanager
def house(loop: str = "uvloop", limit: int = 2, **options: Any) -> Iterator[House]:
    built = House(limit)
    with served(built, http=built.protocol, loop=loop, lifespan="off", **options) as built.address:
        try:
            yield built
        finally:
            built.go.set()
            for client in built.clients:
                client.socket.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_who_finds_no_room_is_refused_before_it_is_made_and_may_come_back(loop: str) -> None:
    with house(loop) as here:
        inside = here.fill()
        client = here.client()
        status, headers, body = client.get()
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert int(headers["retry-after"]) in (1, 2)
        assert json.loads(body)["reason"] == "full"
        assert {"date", "server"} <= headers.keys()
        assert here.made == {"/": 2}
        here.sheds(1)
        here.go.set()
        assert [each.answer()[0] for each in inside] == [200, 200]
        assert client.get()[0] == 200
        assert here.made == {"/": 3}


def test_the_guard_itself_says_the_same() -> None:
    with house() as here:
        here.fill()
        ours = here.client().get()
        here.step.fail(RuntimeError("switched off for this test"))
        its = here.client().get()
        assert here.made["/"] == 3
        assert ours[0] == its[0] == 503
        assert ours[1].keys() == its[1].keys()
        assert json.loads(ours[2]).keys() == json.loads(its[2]).keys()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_while_there_is_room_all_are_made_and_none_is_refused(loop: str) -> None:
    with house(loop, limit=4) as here:
        here.go.set()
        for _ in range(20):
            client = here.client()
            assert [client.get()[0] for _ in range(10)] == [200] * 10
        assert here.made["/"] == 200
        assert here.guard.statistics().shed == {}


def test_probes_and_paths_that_nobody_asked_for_yet_come_to_the_guard() -> None:
    with house() as here:
        here.fill()
        client = here.client()
        assert client.get("/livez")[0] == 200
        assert client.get("/livez")[0] == 200
        assert client.get("/new")[0] == 503
        assert here.made == {"/": 2, "/livez": 2, "/new": 1}
        assert client.get("/new")[0] == 503
        assert here.made["/new"] == 1


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_of_many_that_come_in_one_turn_as_many_come_in_as_there_is_room_for(loop: str) -> None:
    with house(loop, limit=10) as here:
        first = [here.client() for _ in range(5)]
        for client in first:
            client.send(GET % b"/")
        wait_until(lambda: here.inside == 5)
        crowd = [here.client() for _ in range(40)]
        for client in crowd:
            client.send(GET % b"/")
        wait_until(lambda: here.inside + here.guard.statistics().shed.get("full", 0) == 45)
        assert here.inside == 10
        here.go.set()
        statuses = Counter(client.answer()[0] for client in (*first, *crowd))
        assert statuses == {200: 10, 503: 35}
        assert here.most == 10


def test_a_body_in_pieces_that_reads_like_a_request_is_a_body() -> None:
    hidden = GET % b"/"
    with house() as here:
        client = here.client()
        client.send(POST % len(hidden))
        wait_until(lambda: here.made["/new"] == 1)
        held = here.client()
        held.send(GET % b"/")
        wait_until(lambda: here.inside == 1)
        client.send(hidden)
        assert client.answer()[0] == 200
        assert here.bodies == [hidden]
        assert here.guard.statistics().shed == {}


def test_the_rest_of_a_body_that_was_answered_early_is_no_request_either() -> None:
    hidden = GET % b"/"
    with house() as here:
        here.fill()
        client = here.client()
        client.send(POST % len(hidden))
        assert client.answer()[0] == 503  # by the guard, which does not wait for the body
        client.send(hidden)
        client.send(GET % b"/")
        assert client.answer()[0] == 503
        here.sheds(2)
        assert not client.is_closed(0.1)  # nor is there a third answer


def test_the_rest_of_a_request_that_came_with_the_end_of_another_is_none_of_its_own() -> None:
    hidden = GET % b"/"
    with house() as here:
        here.fill()
        client = here.client()
        client.send(GET % b"/livez" + POST % len(hidden))
        assert [client.answer()[0] for _ in range(2)] == [200, 503]
        client.send(hidden)
        client.send(GET % b"/livez" + b"GET /livez HTTP/1.1\r\nX-A: ")
        assert client.answer()[0] == 200
        client.send(hidden)
        assert client.answer()[0] == 200
        assert not client.is_closed(0.1)
        here.sheds(1)


def test_a_head_that_is_asked_for_is_answered_without_a_body() -> None:
    with house() as here:
        here.fill()
        client = here.client()
        for _ in range(2):
            client.send(b"HEAD / HTTP/1.1\r\nHost: t\r\n\r\n")
            wait_until(lambda: b"503" in client.socket.recv(65_536, socket.MSG_PEEK))
            time.sleep(0.05)
            assert client.socket.recv(65_536).endswith(b"\r\n\r\n")


def test_requests_one_behind_the_other_are_answered_in_turn() -> None:
    with house() as here:
        here.fill()
        client = here.client()
        client.send(GET % b"/livez" + GET % b"/")
        assert [client.answer()[0] for _ in range(2)] == [200, 503]


def test_a_refused_connection_is_kept_as_long_as_any_and_no_longer() -> None:
    with house(timeout_keep_alive=1) as here:
        here.fill()
        served, refused = here.client(), here.client()
        assert served.get("/livez")[0] == 200
        time.sleep(0.6)
        assert [client.get()[0] for client in (served, refused)] == [503, 503]
        assert not served.is_closed(0.55), "its timer is older than its last request"
        assert served.is_closed(PATIENCE_S)
        assert refused.is_closed(PATIENCE_S)


def test_what_fails_at_the_step_passes_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with house() as here, caplog.at_level(logging.WARNING, "unstall.guard"):
        here.fill()

        def fails(*_: object) -> None:
            raise AttributeError("uvicorn has changed")

        here.step.answer = fails  # type: ignore[assignment]
        assert here.client().get()[0] == 503
        assert here.client().get()[0] == 503
        assert here.made["/"] == 4
    said = [
        record.getMessage()
        for record in caplog.records
        if "before the guard" in record.getMessage()
    ]
    assert said == [
        "nobody is refused before the guard any more: AttributeError: uvicorn has changed"
    ]


def test_the_access_log_has_who_was_refused(caplog: pytest.LogCaptureFixture) -> None:
    with house(limit=1) as here:
        here.fill()
        client = here.client()
        assert client.get()[0] == 503
        here.logs = True
        logger = logging.getLogger("uvicorn.access")
        logger.addHandler(caplog.handler)
        logger.setLevel(logging.INFO)
        try:
            assert here.client().get("/?a=b")[0] == 503
        finally:
            logger.removeHandler(caplog.handler)
            logger.setLevel(logging.NOTSET)
    (said,) = [each.getMessage() for each in caplog.records if each.name == "uvicorn.access"]
    assert said.partition(" - ")[2] == '"GET /?a=b HTTP/1.1" 503'
