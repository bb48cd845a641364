"""Asks an ASGI app in this process, or a server by its base address, and never waits for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeAlias

from unstall.errors import MissingExtra, UsageError

App: TypeAlias = Callable[..., Any] | str
"""An ASGI app, or the base address of a server."""
PATIENCE_S = 30.0
"""How long one answer is waited for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `options` go to the client's `request`: json, content, headers."""

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` is 0 where nothing did, and `error` says why."""

    status: int
    took_s: float
    """From when it should have been sent."""
    body: bytes = b""
    error: str = ""

    @property
    def told(self) -> str:
        return str(self.status) if self.status else self.error


def is_count(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 1


def asked_of(request: str | Asked) -> Asked:
    """From `GET /orders`; a path alone is a GET. Raises UsageError."""
    if isinstance(request, Asked):
        return request
    method, _, path = request.strip().rpartition(" ")
    if not path.startswith("/") or " " in method:
        raise UsageError(f"{request!r} is no request: give a method and a path, as 'GET /orders'")
    return Asked((method or "GET").upper(), path)


class Asker:
    """One client for many requests."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def ask(self, asked: Asked, due_s: float | None = None) -> Answer:
        """Its time counts from `due_s`, of `time.monotonic`, if it should have been sent earlier."""
        begun = time.monotonic() if due_s is None else due_s
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await self._client.request(asked.method, asked.path, **asked.options)
        except TimeoutError:
            return Answer(0, time.monotonic() - begun, error=f"no answer in {PATIENCE_S:.0f} s")
        except Exception as error:
            told = f"{type(error).__name__}: {error}".rstrip(": ")
            return Answer(0, time.monotonic() - begun, error=told)
        return Answer(found.status_code, time.monotonic() - begun, found.content)


@asynccontextmanager
async def asking(app: App, most: int) -> AsyncIterator[Asker]:
    """With room for `most` requests at once. The lifespan is not run, as in other test clients."""
    library = _library()
    limits = library.Limits(max_connections=most + 8, max_keepalive_connections=most + 8)
    if isinstance(app, str):
        client = library.AsyncClient(base_url=app, limits=limits, timeout=None, trust_env=False)
    else:
        transport = library.ASGITransport(app, raise_app_exceptions=False)
        client = library.AsyncClient(transport=transport, base_url="http://app", timeout=None)
    async with client:
        yield Asker(client)


def _library() -> Any:
    for name in ("httpx2", "httpx"):
        try:
            return import_module(name)
        except ImportError:
            continue
    raise MissingExtra("httpx2", "load")
