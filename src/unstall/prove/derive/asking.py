"""One request and its answer, by the standard library: a trial is no load, and needs no client for one."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from unstall.errors import TargetError, UsageError
from unstall.model.plan import Example

_MOST_BYTES = 20_000_000
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """What the app said; status 0: nothing, and `why` says how."""

    status: int = 0
    body: Any = None
    """JSON taken apart, or else text."""
    why: str = ""


Ask = Callable[[str, Example], Awaitable[Answer]]
"""Of a method and the rest of a request."""


def asking(base_url: str, patience_s: float) -> Ask:
    """Asks over HTTP, each time on a new connection.

    Raises `UsageError` for a URL that cannot be used; what it returns raises `TargetError` when nobody
    listens any more.
    """
    parts = urlsplit(base_url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        raise UsageError(f"{base_url!r} cannot be asked: it must be an http:// or https:// URL")
    prefix = parts.path.rstrip("/")

    def at_once(method: str, example: Example) -> Answer:
        connection = kinds[parts.scheme](parts.netloc, timeout=patience_s)
        with closing(connection):
            try:
                connection.connect()
            except OSError as error:
                raise TargetError(
                    f"nobody accepts connections at {base_url} ({error.strerror or error}): if it ended "
                    f"by what it was asked, leave that alone with --skip; {method} {example.path} came "
                    "next"
                ) from None
            try:
                return _exchanged(connection, method, prefix, example, patience_s)
            except TimeoutError:
                return Answer(why=f"did not answer within {patience_s:g} s")
            except (OSError, http.client.HTTPException, ValueError) as error:
                return Answer(why=f"broke without an answer ({type(error).__name__})")

    async def ask(method: str, example: Example) -> Answer:
        return await asyncio.to_thread(at_once, method, example)

    return ask


def _exchanged(
    connection: http.client.HTTPConnection,
    method: str,
    prefix: str,
    example: Example,
    patience_s: float,
) -> Answer:
    headers = {"User-Agent": "unstall", "Accept": "*/*", "Connection": "close", **example.headers}
    content = example.content
    connection.request(
        method,
        prefix + example.path,
        body=content or None,
        headers={name: value.encode() for name, value in headers.items()},
    )
    end = time.monotonic() + patience_s
    response = connection.getresponse()
    pieces: list[bytes] = []
    while piece := response.read1(_CHUNK):
        pieces.append(piece)
        if time.monotonic() > end:
            return Answer(why=f"its answer did not end within {patience_s:g} s (a stream?)")
        if sum(map(len, pieces)) > _MOST_BYTES:
            return Answer(why=f"its answer is longer than {_MOST_BYTES:,} bytes (a stream?)")
    text = b"".join(pieces).decode(errors="replace")
    with suppress(ValueError, RecursionError):
        return Answer(response.status, json.loads(text))
    return Answer(response.status, text)
