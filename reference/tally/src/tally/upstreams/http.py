"""As much of an HTTP/1.1 server as the upstreams need: JSON in, JSON out, connections kept alive.

A server of a framework would take more of the machine than the service that is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

BACKLOG = 1024
LONGEST_BODY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Raises `ValueError` where the body is no JSON object."""
        found = json.loads(self.body or b"{}")
        if not isinstance(found, dict):
            raise ValueError("the body must be a JSON object")
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content: Mapping[str, Any]


Handler = Callable[[Request], Awaitable[Answer]]


async def open_pod(
    handler: Handler, delay: float = 0.0, host: str = "127.0.0.1", port: int = 0
) -> asyncio.Server:
    """Serve on a port, a free one if it is 0. Every answer waits `delay` seconds before it is worked out.

    Raises `OSError` when the port is taken.
    """
    return await asyncio.start_server(_Pod(handler, delay).talk, host, port, backlog=BACKLOG)


def url_of(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"http://{host}:{port}"


@dataclass(frozen=True, slots=True)
class _Pod:
    handler: Handler
    delay: float

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        # A client may leave, or the process end, at any await; neither is news here.
        with contextlib.suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError
        ):
            while (request := await _read(reader)) is not None:
                await asyncio.sleep(self.delay)
                writer.write(_encode(await self._answer(request)))
                await writer.drain()
        writer.close()

    async def _answer(self, request: Request) -> Answer:
        try:
            return await self.handler(request)
        except (KeyError, TypeError, ValueError) as error:
            return Answer(400, {"reason": f"cannot be read: {error}"})


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """None: this is no HTTP that we know, and the connection should end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    words = first.split(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    length = headers.get("content-length", "0")
    if len(words) != 3 or not length.isdecimal() or int(length) > LONGEST_BODY:
        return None
    return Request(
        words[0], words[1].partition("?")[0], headers, await reader.readexactly(int(length))
    )


def _encode(answer: Answer) -> bytes:
    body = json.dumps(answer.content).encode()
    head = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
