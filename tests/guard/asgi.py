"""One request to an ASGI app, as a server sends it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Got:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == self.status
        return found


def scope_of(request: str, headers: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    method, _, path = request.rpartition(" ")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method or "GET",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        "client": ("192.0.2.1", 1),
        **more,
    }


async def ask(
    app: App,
    request: str = "GET /",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | list[bytes] = b"",
    **more: Any,
) -> Got:
    parts = [body] if isinstance(body, bytes) else body
    pending = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return pending.pop(0) if pending else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope_of(request, headers, **more), receive, send)
    if not sent:
        return Got(0, {}, b"")
    assert sent[0]["type"] == "http.response.start"
    found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return Got(sent[0]["status"], found, b"".join(each.get("body", b"") for each in sent[1:]))


async def answer(send: Any, status: int = 200, body: bytes = b"ok") -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def ok(scope: Any, receive: Any, send: Any) -> None:
    await answer(send)
