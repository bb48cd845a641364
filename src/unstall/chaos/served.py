"""A small HTTP/1.1 server on the proxies' own loop: whole requests in, JSON out, one after the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple

_MOST_HEAD = 16_384
_MOST_BODY = 1_048_576
_PATIENCE_S = 15.0


class Asked(NamedTuple):
    method: str
    path: str
    fields: dict[str, str]
    body: bytes


class Told(NamedTuple):
    status: int
    value: Any = None
    """None: no body."""


class Refused(Exception):
    """What cannot be answered, with the status that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why

    def told(self) -> Told:
        return Told(self.status, {"error": self.why, "status": self.status})


Answer = Callable[[Asked], Awaitable[Told]]


async def conversation(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer
) -> None:
    """All requests of one connection."""
    try:
        while True:
            async with asyncio.timeout(_PATIENCE_S):
                try:
                    asked = await _read(reader)
                except Refused as refused:
                    writer.write(written(refused.told(), close=True))
                    await writer.drain()
                    return
                if asked is None:
                    return
                writer.write(written(await _told(answer, asked)))
                await writer.drain()
            if asked.fields.get("connection", "").lower() == "close":
                return
    except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
        return  # who asked has gone, or says nothing
    finally:
        writer.close()


async def _told(answer: Answer, asked: Asked) -> Told:
    try:
        return await answer(asked)
    except Refused as refused:
        return refused.told()
    except Exception as error:  # it is ours, and nobody's connection should break for it
        return Refused(500, f"{type(error).__name__}: {error}").told()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    """None when there are no more. Raises Refused."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise Refused(431, "the head of the request is too long") from None
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise Refused(400, "bad request line")
    pairs = (line.partition(":") for line in lines if line)
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if "transfer-encoding" in fields:
        raise Refused(411, "give a Content-Length")
    length = fields.get("content-length", "0")
    if not length.isdecimal() or int(length) > _MOST_BODY:
        raise Refused(413, f"the body has {length} bytes: give up to {_MOST_BODY}")
    body = await reader.readexactly(int(length))
    return Asked(parts[0], parts[1].partition("?")[0], fields, body)


def written(told: Told, *, close: bool = False) -> bytes:
    body = b"" if told.value is None else json.dumps(told.value).encode() + b"\n"
    phrase = HTTPStatus(told.status).phrase
    lines = [f"HTTP/1.1 {told.status} {phrase}", "Cache-Control: no-store"]
    if told.status != HTTPStatus.NO_CONTENT:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


async def listening(answer: Answer, sock: Any) -> asyncio.Server:
    def begun(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Awaitable[None]:
        return conversation(reader, writer, answer)

    return await asyncio.start_server(begun, sock=sock, limit=_MOST_HEAD)
