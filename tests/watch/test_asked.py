"""Whom a call of a driver asked, read from the objects of real drivers."""

from __future__ import annotations

import http.client
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests

from unstall.watch.asked import READERS, asked_by
from unstall.watch.intent import ENTRY_POINTS

SEND = "requests.Session.send"


def prepared(url: str) -> Any:
    return requests.Request("GET", url).prepare()


@pytest.mark.parametrize(
    ("url", "peer"),
    [
        ("http://127.0.0.1:8000/x?key=s3cret", "127.0.0.1:8000"),
        ("http://u:s3cret@billing/x", "billing:80"),
        ("https://billing", "billing:443"),
        ("http://[::1]:8000/", "[::1]:8000"),
        ("other://billing", None),
    ],
)
def test_of_a_url_host_and_port_are_kept_and_nothing_else(url: str, peer: str | None) -> None:
    request = SimpleNamespace(url=url)
    assert asked_by(SEND, (object(), request), {}, None) == peer
    assert asked_by(SEND, (object(),), {"request": request}, None) == peer


def test_requests_httpx_and_the_standard_library_tell_it() -> None:
    assert asked_by(SEND, (None, prepared("http://a:1/")), {}, None) == "a:1"
    made = httpx.Request("GET", "https://a/x")
    assert asked_by("httpx.Client.send", (None, made), {}, None) == "a:443"
    response = "http.client.HTTPConnection.getresponse"
    connection = http.client.HTTPSConnection("a", 1)
    assert asked_by(response, (connection,), {}, None) == "a:1"
    connection.set_tunnel("b", 2)
    assert asked_by(response, (connection,), {}, None) == "b:2"


def test_redis_tells_it_of_its_pool() -> None:
    redis = pytest.importorskip("redis")
    call = "redis.Redis.execute_command"
    assert asked_by(call, (redis.Redis("cache", 1),), {}, None) == "cache:1"
    assert asked_by(call, (redis.Redis(unix_socket_path="/run/r.sock"),), {}, None) == "/run/r.sock"
    pipe = redis.Redis("cache", 1).pipeline()
    assert asked_by("redis.client.Pipeline.execute", (pipe,), {}, None) == "cache:1"


def test_drivers_of_databases_tell_it_of_their_connection() -> None:
    info = SimpleNamespace(info=SimpleNamespace(host="db", port=5432))
    local = SimpleNamespace(pgconn=SimpleNamespace(host=b"/run/postgresql", port=b"5432"))
    far = SimpleNamespace(pgconn=SimpleNamespace(host=b"db", port=b"5432"))
    execute, query = "psycopg2.extensions.cursor.execute", "pymysql.connections.Connection.query"
    assert asked_by("psycopg2.connect", ("host=a,db",), {}, info) == "db:5432"
    assert asked_by(execute, (SimpleNamespace(connection=info),), {}, None) == "db:5432"
    assert asked_by("psycopg.Connection.wait", (far,), {}, None) == "db:5432"
    assert asked_by("psycopg.Connection.wait", (local,), {}, None) == "/run/postgresql"
    mysql = SimpleNamespace(unix_socket=None, host="db", port=3306)
    assert asked_by(query, (mysql,), {}, None) == "db:3306"
    mysql = SimpleNamespace(unix_socket="/run/my.sock", host="localhost", port=3306)
    assert asked_by(query, (mysql,), {}, None) == "/run/my.sock"


@pytest.mark.parametrize("call", [*READERS, "no.such"])
def test_what_cannot_be_read_is_not_known_and_raises_nothing(call: str) -> None:
    assert asked_by(call, (), {}, None) is None
    assert asked_by(call, (object(), object()), {}, object()) is None


def test_every_entry_point_can_say_whom_it_asks() -> None:
    assert {call for *_, call in ENTRY_POINTS} <= set(READERS)
