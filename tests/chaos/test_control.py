"""toxiproxy's HTTP interface, spoken with the client of the standard library."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.chaos.upstreams import Upstream, asked, connected, received, serving
from unstall.chaos import Chaos
from unstall.errors import UsageError


class Client:
    """One kept connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=20)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self._connection.request(method, path, data, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def chaos() -> Iterator[Chaos]:
    with Chaos(seed=7) as chaos:
        yield chaos


@pytest.fixture
def client(chaos: Chaos) -> Iterator[Client]:
    client = Client(chaos.serve("127.0.0.1:0"))
    yield client
    client.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving() as upstream:
        yield upstream


@pytest.fixture
def redis(client: Client, upstream: Upstream) -> tuple[str, int]:
    """A proxy of that name, made over HTTP; where it listens."""
    host, port = upstream.address
    given = {"name": "redis", "listen": "127.0.0.1:0", "upstream": f"{host}:{port}"}
    status, told = client.ask("POST", "/proxies", given)
    assert status == 201
    assert told["listen"].startswith("127.0.0.1:")
    return "127.0.0.1", int(told["listen"].rpartition(":")[2])


def test_the_version_is_that_of_the_interface(client: Client) -> None:
    status, told = client.ask("GET", "/version")
    assert status == 200
    assert told["version"].startswith("2.")


def test_a_proxy_is_made_shown_and_deleted(
    client: Client, redis: tuple[str, int], upstream: Upstream
) -> None:
    with connected(redis) as connection:
        assert asked(connection, b"x") == b"x"
    status, told = client.ask("GET", "/proxies/redis")
    assert status == 200
    assert {key: told[key] for key in ("name", "listen", "upstream", "enabled", "toxics")} == {
        "name": "redis", "listen": f"127.0.0.1:{redis[1]}", "enabled": True, "toxics": [],
        "upstream": f"127.0.0.1:{upstream.address[1]}",
    }  # fmt: skip
    assert told["counts"]["exchanges"] == 1
    assert client.ask("GET", "/proxies") == (200, {"redis": told})
    assert client.ask("DELETE", "/proxies/redis") == (204, None)
    assert client.ask("GET", "/proxies") == (200, {})
    with pytest.raises(ConnectionRefusedError):
        connected(redis)


def test_a_toxic_is_added_changed_and_removed(client: Client, redis: tuple[str, int]) -> None:
    given = {"type": "limit_data", "toxicity": 1.0, "attributes": {"bytes": 3}}
    status, told = client.ask("POST", "/proxies/redis/toxics", given)
    assert status == 200
    expected = {
        "name": "limit_data_downstream", "type": "limit_data", "stream": "downstream",
        "toxicity": 1.0, "attributes": {"bytes": 3},
    }  # fmt: skip
    assert {key: told[key] for key in expected} == expected
    assert told["per"] == "connection"
    with connected(redis) as connection:
        connection.sendall(b"abcdef")
        assert received(connection, 6) == b"abc"
    path = "/proxies/redis/toxics/limit_data_downstream"
    for method, number in (("POST", 4), ("PATCH", 5)):
        status, told = client.ask(method, path, {"attributes": {"bytes": number}})
        assert (status, told["attributes"], told["toxicity"]) == (200, {"bytes": number}, 1.0)
        assert client.ask("GET", path)[1]["attributes"] == {"bytes": number}
    with connected(redis) as connection:
        connection.sendall(b"abcdef")
        assert received(connection, 6) == b"abcde"
    assert client.ask("DELETE", path) == (204, None)
    assert client.ask("GET", "/proxies/redis/toxics") == (200, [])
    with connected(redis) as connection:
        assert asked(connection, b"abcdef") == b"abcdef"


def test_our_kinds_and_units_are_there_too(client: Client, redis: tuple[str, int]) -> None:
    given = {"name": "h", "type": "hang", "attributes": {"seconds": 0.001}, "per": "exchange"}
    assert client.ask("POST", "/proxies/redis/toxics", given)[0] == 200
    with connected(redis) as connection:
        for _ in range(3):
            asked(connection, b"x")
    status, told = client.ask("GET", "/proxies/redis/toxics/h")
    assert (status, told["per"], told["thrown"], told["hit"]) == (200, "exchange", 3, 3)


def test_a_proxy_is_switched_off_and_on(client: Client, redis: tuple[str, int]) -> None:
    status, told = client.ask("POST", "/proxies/redis", {"enabled": False})
    assert (status, told["enabled"]) == (200, False)
    with pytest.raises(ConnectionRefusedError):
        connected(redis)
    status, told = client.ask("PATCH", "/proxies/redis", {"enabled": True})
    assert (status, told["enabled"]) == (200, True)
    with connected(redis) as connection:
        assert asked(connection, b"x") == b"x"


def test_another_upstream_cuts_what_is_open_and_keeps_the_toxics(
    client: Client, redis: tuple[str, int]
) -> None:
    client.ask("POST", "/proxies/redis/toxics", {"type": "latency", "attributes": {"latency": 1}})
    with serving() as other, connected(redis) as connection:
        asked(connection, b"x")
        to = f"127.0.0.1:{other.address[1]}"
        status, told = client.ask("POST", "/proxies/redis", {"upstream": to})
        assert (status, told["upstream"], told["listen"]) == (200, to, f"127.0.0.1:{redis[1]}")
        assert [toxic["name"] for toxic in told["toxics"]] == ["latency_downstream"]
        assert _ended(connection)
        with connected(redis) as again:
            assert asked(again, b"y") == b"y"
        assert bytes(other.seen) == b"y"


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_reset_takes_all_toxics_away_and_switches_everything_on(
    client: Client, redis: tuple[str, int]
) -> None:
    client.ask("POST", "/proxies/redis/toxics", {"type": "timeout"})
    client.ask("POST", "/proxies/redis", {"enabled": False})
    assert client.ask("POST", "/reset") == (204, None)
    assert client.ask("GET", "/proxies/redis/toxics") == (200, [])
    with connected(redis) as connection:
        assert asked(connection, b"x") == b"x"


def test_populate_makes_what_is_not_there_and_leaves_the_rest(
    client: Client, redis: tuple[str, int], upstream: Upstream
) -> None:
    client.ask("POST", "/proxies/redis/toxics", {"type": "latency"})
    to = f"127.0.0.1:{upstream.address[1]}"
    given = [
        {"name": "redis", "listen": f"localhost:{redis[1]}", "upstream": to},
        {"name": "other", "upstream": to, "enabled": False},
    ]
    status, told = client.ask("POST", "/populate", given)
    assert status == 201
    shown = {each["name"]: (each["enabled"], len(each["toxics"])) for each in told["proxies"]}
    assert shown == {"redis": (True, 1), "other": (False, 0)}


def test_populate_replaces_what_differs(
    client: Client, redis: tuple[str, int], upstream: Upstream
) -> None:
    client.ask("POST", "/proxies/redis/toxics", {"type": "latency"})
    with serving() as other:
        to = f"127.0.0.1:{other.address[1]}"
        given = [{"name": "redis", "listen": f"127.0.0.1:{redis[1]}", "upstream": to}]
        status, told = client.ask("POST", "/populate", given)
        assert (status, told["proxies"][0]["upstream"]) == (201, to)
        assert told["proxies"][0]["toxics"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "why"),
    [
        ("POST", "/proxies", {"name": ""}, 400, "missing required field: name"),
        ("POST", "/proxies", {"name": "x"}, 400, "missing required field: upstream"),
        ("POST", "/proxies", b"{", 400, "bad request body"),
        ("POST", "/proxies", [1], 400, "bad request body"),
        ("POST", "/proxies", {"name": "redis", "upstream": "h:1"}, 409, "proxy already exists"),
        ("POST", "/proxies", {"name": "x", "upstream": "h"}, 400, "upstream of x is 'h', which"),
        (
            "POST", "/proxies", {"name": "x", "upstream": "h:1", "listen": "0.0.0.0:0"}, 400,
            "listen of x is 0.0.0.0:0, which other machines can reach",
        ),
        ("POST", "/populate", [{"name": ""}], 400, "missing required field: name at proxy 1"),
        ("POST", "/populate", {}, 400, "bad request body"),
        ("GET", "/proxies/none", None, 404, "proxy not found"),
        ("DELETE", "/proxies/none", None, 404, "proxy not found"),
        ("GET", "/proxies/redis/toxics/none", None, 404, "toxic not found"),
        ("POST", "/proxies/redis/toxics", {"type": "nope"}, 400, "invalid toxic type"),
        (
            "POST", "/proxies/redis/toxics", {"type": "latency", "stream": "side"}, 400,
            "stream was invalid",
        ),
        (
            "POST", "/proxies/redis/toxics", {"type": "latency", "toxicity": 2}, 400,
            "probability is 2 of 'latency'",
        ),
        (
            "POST", "/proxies/redis/toxics", {"type": "latency", "attributes": {"latency": "1"}},
            400, "bad request body: attributes are numbers",
        ),
        (
            "POST", "/proxies/redis/toxics", {"type": "latency", "per": "hour"}, 400,
            "bad request body",
        ),
        ("GET", "/nothing", None, 404, "there is no GET /nothing"),
        ("PUT", "/proxies", {}, 404, "there is no PUT /proxies"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(
    method: str, path: str, body: Any, status: int, why: str,
    client: Client, redis: tuple[str, int],
) -> None:  # fmt: skip
    got, told = client.ask(method, path, body)
    assert (got, told["status"]) == (status, status)
    assert told["error"].startswith(why)
    assert client.ask("GET", "/version")[0] == 200


def test_the_same_toxic_twice_is_a_conflict(client: Client, redis: tuple[str, int]) -> None:
    given = {"type": "latency"}
    assert client.ask("POST", "/proxies/redis/toxics", given)[0] == 200
    status, told = client.ask("POST", "/proxies/redis/toxics", given)
    assert (status, told["error"]) == (409, "toxic already exists")


def test_a_change_that_cannot_be_made_leaves_the_toxic_as_it_was(
    client: Client, redis: tuple[str, int]
) -> None:
    client.ask("POST", "/proxies/redis/toxics", {"type": "latency", "attributes": {"latency": 5}})
    path = "/proxies/redis/toxics/latency_downstream"
    assert client.ask("POST", path, {"toxicity": 7})[0] == 400
    assert client.ask("GET", path)[1]["attributes"] == {"latency": 5, "jitter": 0}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8474"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_in_a_browser_are_refused(
    headers: dict[str, str], client: Client, redis: tuple[str, int]
) -> None:
    assert client.ask("DELETE", "/proxies/redis", None, **headers)[0] == 403
    assert client.ask("GET", "/proxies/redis")[0] == 200


def test_what_is_no_http_is_told_and_hung_up_on(chaos: Chaos) -> None:
    with connected(chaos.serve("127.0.0.1:0")) as connection:
        connection.sendall(b"hello\r\n\r\n")
        answer = received(connection, 100_000)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_off_loopback_it_is_served_only_when_asked(chaos: Chaos) -> None:
    with pytest.raises(
        UsageError, match=r"^control is 0\.0\.0\.0:0, which other machines can reach"
    ):
        chaos.serve("0.0.0.0:0")


@pytest.mark.parametrize("name", ["a/b", "a?b", "..", "a%2Fb", "a\nb", 5, {"a": 1}])
def test_a_name_that_no_path_can_hold_is_refused_for_proxies_and_toxics(
    client: Client, redis: tuple[str, int], name: object
) -> None:
    given = {"name": name, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
    toxic = {"name": name, "type": "latency", "attributes": {"latency": 1}}
    for path, body in (
        ("/proxies", given),
        ("/populate", [given]),
        ("/proxies/redis/toxics", toxic),
    ):
        status, told = client.ask("POST", path, body)
        assert status == 400
        assert "give a text that a path can hold" in told["error"]
    assert set(client.ask("GET", "/proxies")[1]) == {"redis"}


@pytest.mark.parametrize("name", ["Größe", "a b", "a.b", "...", "a:b"])
def test_a_name_that_a_path_can_hold_is_found_again(client: Client, name: str) -> None:
    given = {"name": name, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
    assert client.ask("POST", "/proxies", given)[0] == 201
    assert client.ask("GET", f"/proxies/{quote(name)}")[1]["name"] == name
