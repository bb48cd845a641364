"""Bodies that are too large or too complex, refused before anybody parses them."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Body, FastAPI, Request

from tests.guard.asgi import Got, answer, ask
from tests.support.serving import served
from unstall import Guard
from unstall.errors import UsageError
from unstall.guard.json_scan import JsonLimits
from unstall.guard.payload import Payload, PayloadLimits


class Reader:
    """Reads what it is given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        await answer(send)


def sent(
    body: bytes | list[bytes],
    limits: PayloadLimits,
    kind: str | None = "application/json",
    **more: Any,
) -> tuple[Got, list[bytes]]:
    reader = Reader()
    headers = {"transfer-encoding": "chunked"} if "headers" not in more else more.pop("headers")
    if kind is not None:
        headers["content-type"] = kind
    got = asyncio.run(ask(Payload(reader, limits), "POST /", body=body, headers=headers, **more))
    return got, reader.bodies


SMALL = PayloadLimits(body=100, json=JsonLimits(depth=3))


def test_a_body_that_says_how_large_it_is_is_not_even_read() -> None:
    got, bodies = sent(b"", SMALL, headers={"content-length": "101"})
    assert got.status == 413
    assert got.problem["detail"] == "The body has 101 bytes; at most 100 are allowed."
    assert bodies == []


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream"])
def test_a_body_that_does_not_say_is_counted(kind: str) -> None:
    part = b" " * 60
    assert sent([part], SMALL, kind)[1] == [part]
    got, bodies = sent([part, part], SMALL, kind)
    assert (got.status, got.problem["limit"], bodies) == (413, "body", [])


@pytest.mark.parametrize(
    "kind", ["application/json", "application/problem+json; charset=utf-8", None]
)
def test_json_is_scanned_and_arrives_whole(kind: str | None) -> None:
    body = json.dumps({"a": [1, {"b": 2}]}).encode()
    assert sent([body[:5], body[5:]], SMALL, kind)[1] == [body]
    got, bodies = sent(b"[[[[]]]]", SMALL, kind)
    assert bodies == []
    assert got.status == 413
    place = {key: got.problem[key] for key in ("limit", "most", "value", "at")}
    assert place == {"limit": "depth", "most": 3, "value": "4", "at": 3}


def test_what_is_wrong_and_not_too_much_is_422() -> None:
    assert sent(b'{"a":1,"a":2}', SMALL)[0].problem["reason"] == "json-duplicate-keys"
    assert sent("[1]".encode("utf-16"), SMALL)[0].status == 422


def test_what_is_no_json_is_not_scanned_and_what_is_none_at_all_is_left_to_the_parser() -> None:
    assert sent(b"[[[[]]]]", SMALL, "text/plain")[1] == [b"[[[[]]]]"]
    assert sent(b'{"a": nonsense', SMALL)[1] == [b'{"a": nonsense']


def test_requests_without_a_body_are_let_through() -> None:
    async def main() -> None:
        reader = Reader()
        for headers in ({}, {"content-length": "0"}):
            assert (await ask(Payload(reader, SMALL), "GET /", headers=headers)).status == 200

    asyncio.run(main())


def test_a_client_that_leaves_in_the_middle_begins_nothing() -> None:
    async def main() -> None:
        reader = Reader()
        messages = [
            {"type": "http.request", "body": b"[", "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return messages.pop(0)

        from tests.guard.asgi import scope_of

        scope = scope_of("POST /", {"content-type": "application/json", "content-length": "9"})
        await Payload(reader, SMALL)(scope, receive, None)  # type: ignore[arg-type]
        assert reader.bodies == []

    asyncio.run(main())


def test_while_a_large_body_is_scanned_others_have_their_turn() -> None:
    body = b"[" + b'{"key": "value"},' * 600_000 + b"1]"

    async def main() -> int:
        turns = 0

        async def beside() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(beside())
        payload = Payload(Reader(), PayloadLimits(body=None, json=JsonLimits(items=10**7)))
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        assert (await ask(payload, "POST /", body=body, headers=headers)).status == 200
        task.cancel()
        return turns

    assert asyncio.run(main()) > 2


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="body of the payload limits is -1"):
        PayloadLimits(body=-1)
    for body in ("x", True, 1.5):
        with pytest.raises(UsageError, match=r"body of the payload limits is .* give bytes"):
            PayloadLimits(body=body)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="json of the payload limits is 3"):
        PayloadLimits(json=3)  # type: ignore[arg-type]


@pytest.mark.live
def test_fastapis_own_limit_counts_where_it_is_set() -> None:
    app = FastAPI(max_body_size=50)

    @app.post("/echo")
    async def echo(value: Annotated[list[Any], Body()]) -> list[Any]:
        return value

    @app.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(Guard, payload=PayloadLimits(body=10_000))

    with served(app) as url, httpx2.Client(base_url=url) as client:
        assert client.post("/echo", json=[1, 2]).json() == [1, 2]
        assert client.post("/echo", json=["x" * 60]).status_code == 413
        assert client.post("/raw", content=iter([b"x" * 40, b"x" * 40])).status_code == 413
        assert client.post("/raw", content=b"x" * 40).json() == 40
        deep = client.post("/echo", content=b"[" * 40, headers={"content-type": "application/json"})
        assert (deep.status_code, deep.json()["limit"]) == (413, "depth")
