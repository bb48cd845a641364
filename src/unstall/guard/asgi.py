"""The shapes of ASGI, and a refusal as its messages: RFC 9457's problem+json."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PROBES = ("/livez", "/readyz", "/healthz", "/health", "/metrics", "/-/healthy", "/-/ready")
"""Paths that a guard lets through: who asks them decides whether the process lives."""
_TRY_AGAIN_LATER = 1013  # RFC 6455's registry of close codes
_TITLES = {
    400: "Bad Request",
    413: "Content Too Large",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal. `reason` is for programs, `detail` for people."""

    status: int
    reason: str
    detail: str
    retry_after: int | None = None
    """Seconds."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()

    def written(self) -> Written:
        body = json.dumps(
            {
                "type": "about:blank",
                "title": _TITLES[self.status],
                "status": self.status,
                "detail": self.detail,
                "reason": self.reason,
                **({} if self.retry_after is None else {"retry_after": self.retry_after}),
                **self.extra,
            }
        ).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            *((name.encode(), value.encode()) for name, value in self.headers),
        ]
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        return Written(self.reason, self.status, tuple(headers), body)


@dataclass(frozen=True, slots=True)
class Written:
    """A problem as it is sent. Who refuses thousands a second writes it once."""

    reason: str
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    async def send(self, scope: Scope, send: Send) -> None:
        """A WebSocket is closed with 1013, "try again later"."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": self.reason})
            return
        headers = list(self.headers)  # its own, because middleware outside may add to it
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


async def refuse(problem: Problem, scope: Scope, send: Send) -> None:
    await problem.written().send(scope, send)


def spread(seconds: int) -> int:
    """One to two times as long, so that those who were refused together do not come back together."""
    return seconds + random.randrange(seconds + 1)


def header(scope: Scope, name: bytes) -> str | None:
    """The first of that name, which is lower case."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None


def path_of(scope: Scope) -> str:
    """As routes see it: without what the app is mounted under."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) :][:1] in ("", "/"):
        return path[len(root) :] or "/"
    return path
