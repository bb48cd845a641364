"""From a number to the bytes of a request."""

from __future__ import annotations

import re
from typing import Any

import pytest

from unstall.errors import UsageError
from unstall.load.place import place_of
from unstall.load.recipe import InTurn, Recipe

PLACE = place_of("http://127.0.0.1:8000/api")


def recipe(**given: Any) -> Recipe:
    return Recipe.of(PLACE, **{"name": "orders", **given})


def lines(data: bytes) -> list[str]:
    return data.partition(b"\r\n\r\n")[0].decode().split("\r\n")


def test_a_request_says_what_it_is_and_whose() -> None:
    first = lines(recipe(path="items?all=1")(0))
    assert first[0] == "GET /api/items?all=1 HTTP/1.1"
    assert "Host: 127.0.0.1:8000" in first
    assert "X-Scenario: orders" in first
    assert "X-Request-ID: orders-1" in first


def test_each_request_has_a_trace_of_its_own_that_follows_from_the_seed() -> None:
    def traces(seed: int) -> list[str]:
        each = recipe(seed=seed)
        return [
            line for n in range(20) for line in lines(each(n)) if line.startswith("traceparent")
        ]

    assert len(set(traces(1))) == 20
    assert traces(1) == traces(1)
    assert not set(traces(1)) & set(traces(2))
    form = re.compile(r"traceparent: 00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01")
    assert all(form.fullmatch(trace) for trace in traces(1))


def test_what_the_user_gives_stands_in_place_of_ours() -> None:
    given = {"host": "shop.example", "x-request-id": "mine-${seq}", "TraceParent": "00-a-b-00"}
    head = "\n".join(lines(recipe(headers=given)(4)))
    assert "host: shop.example" in head
    assert "x-request-id: mine-5" in head
    assert "TraceParent: 00-a-b-00" in head
    assert "Host:" not in head
    assert "traceparent:" not in head


def test_a_body_has_its_length_whether_it_varies_or_not() -> None:
    assert recipe(method="POST", body="grün")(0).endswith(b"Content-Length: 5\r\n\r\ngr\xc3\xbcn")
    varies = recipe(method="POST", body="n=${seq}")
    assert varies(0).endswith(b"Content-Length: 3\r\n\r\nn=1")
    assert varies(99).endswith(b"Content-Length: 5\r\n\r\nn=100")


def test_an_empty_post_says_that_it_is_empty_and_a_get_says_nothing() -> None:
    assert b"Content-Length: 0\r\n" in recipe(method="POST")(0)
    assert b"Content-Length" not in recipe()(0)


def test_bytes_are_sent_as_they_are() -> None:
    assert recipe(method="PUT", body=b"\x00${seq}\xff")(0).endswith(b"\r\n\r\n\x00${seq}\xff")


def test_path_headers_and_body_have_chances_of_their_own() -> None:
    data = recipe(path="/${uuid}", headers={"X": "${uuid}"}, method="POST", body="${uuid}")(3)
    assert len(set(re.findall(rb"[0-9a-f]{8}-[0-9a-f-]{27}(?!-)", data))) == 3


def test_what_is_literal_is_no_template() -> None:
    data = recipe(path="/a", headers={"X": "${seq}"}, body=b"${seq}", literal=True)(0)
    assert b"X: ${seq}\r\n" in data
    assert data.endswith(b"${seq}")


def test_examples_are_sent_in_turn_each_with_an_id_of_its_own() -> None:
    turn = InTurn((recipe(path="/a", literal=True), recipe(path="/b", literal=True)))
    assert [lines(turn(n))[0] for n in range(3)] == [
        "GET /api/a HTTP/1.1", "GET /api/b HTTP/1.1", "GET /api/a HTTP/1.1",
    ]  # fmt: skip
    assert "X-Request-ID: orders-3" in lines(turn(2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "/a b"}, "as %20 does"),
        ({"path": "/grün"}, "as %20 does"),
        ({"path": "/${choice:a,b c}"}, "as %20 does"),
        ({"path": "/a\r\nX: y"}, "as %20 does"),
        ({"method": "GET /"}, "write it as in GET"),
        ({"headers": {"X": "a\r\nY: b"}}, "line break"),
        ({"headers": {"X": "${choice:a,b\nc}"}}, "line break"),
        ({"headers": {"X Y": "a"}}, "cannot be given"),
        ({"headers": {"Content-Length": "3"}}, "cannot be given"),
        ({"headers": {"transfer-encoding": "chunked"}}, "cannot be given"),
        ({"name": "a\nb"}, "no header can hold"),
        ({"path": "/${sec}"}, "the path of scenario 'orders'"),
        ({"headers": {"X": "${sec}"}}, "the header X of scenario 'orders'"),
        ({"body": "${sec}"}, "the body of scenario 'orders'"),
    ],
)
def test_what_makes_no_request_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        recipe(**given)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("url", "authority", "loopback"),
    [
        ("http://localhost", "localhost", True),
        ("http://127.0.0.9:80/x/", "127.0.0.9", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("https://shop.example:443", "shop.example", False),
        ("http://127.1:8000", "127.1:8000", True),
        ("http://localhost.:8000", "localhost.:8000", True),
        ("http://10.0.0.1:8000", "10.0.0.1:8000", False),
        ("http://localhost.example", "localhost.example", False),
    ],
)
def test_a_place_knows_its_name_and_whether_it_is_here(
    url: str, authority: str, loopback: bool
) -> None:
    place = place_of(url)
    assert (place.authority, place.loopback) == (authority, loopback)


@pytest.mark.parametrize(
    "url", ["ftp://a", "http://", "a:80", "http://[::1", "http://a:99999", "http://a b", "http://a/?x",
            "http://ada:secret@host"]
)  # fmt: skip
def test_what_is_no_place_is_refused_and_no_password_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="no request can be sent to") as refused:
        place_of(url)
    assert "secret" not in str(refused.value)
