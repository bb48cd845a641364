"""Refuses a body by its size before it is read whole, and JSON by its shape before it is parsed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from unstall.clock import NS_PER_MS
from unstall.errors import UsageError
from unstall.guard.asgi import App, Message, Problem, Receive, Scope, Send, header, refuse
from unstall.guard.json_scan import SLICE, Excess, JsonLimits, JsonScan
from unstall.guard.metrics import REJECTED

_TURN_NS: Final = 3 * NS_PER_MS
"""After so much scanning the loop has its turn."""
_BODYLESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True)
class PayloadLimits:
    """`body` is in bytes; where FastAPI's `max_body_size` is set, that counts instead. None for no limit."""

    body: int | None = 10_000_000
    json: JsonLimits | None = field(default_factory=JsonLimits)

    def __post_init__(self) -> None:
        size: object = self.body
        whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        if size is not None and not whole:
            raise UsageError(f"body of the payload limits is {size!r}: give bytes, or None")
        limits: object = self.json
        if limits is not None and not isinstance(limits, JsonLimits):
            raise UsageError(
                f"json of the payload limits is {limits!r}: give JsonLimits(), or None"
            )


class _Gone(Exception):
    """The client left in the middle of its body."""


class Payload:
    """Pure ASGI middleware. 413 for what is too much, 422 for what is wrong, with limit, value and place."""

    def __init__(self, app: App, limits: PayloadLimits | None = None) -> None:
        self.app = app
        self.limits = limits or PayloadLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        most = _most(scope, self.limits.body)
        length = _length(scope)
        if most is not None and length is not None and length > most:
            await _reject(_too_large(most, str(length)), scope, send)
        elif self.limits.json is not None and _is_json(scope):
            await self._scanned(self.limits.json, most, scope, receive, send)
        elif most is not None:
            await self._counted(most, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    # --- JSON: the whole body is looked at before the app sees any of it ---------------------------

    async def _scanned(
        self, limits: JsonLimits, most: int | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        scan = JsonScan(limits)
        parts: list[bytes] = []
        size = 0
        excess: Excess | None = None
        turn = time.perf_counter_ns() + _TURN_NS
        try:
            async for part in _body(receive):
                size += len(part)
                if most is not None and size > most:
                    await _reject(_too_large(most, f"more than {most}"), scope, send)
                    return
                parts.append(part)
                for at in range(0, len(part), SLICE):
                    excess = excess or scan.feed(part[at : at + SLICE])
                    if time.perf_counter_ns() > turn:
                        await asyncio.sleep(0)
                        turn = time.perf_counter_ns() + _TURN_NS
                if excess is not None:
                    break
        except _Gone:
            return
        excess = excess or scan.end()
        if excess is not None:
            await _reject(_told(excess), scope, send)
            return
        await self.app(scope, _replayed(b"".join(parts), receive), send)

    # --- everything else: counted as it passes ----------------------------------------------------

    async def _counted(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        begun = refused = False

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if size > most:
                    raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            """An app may make an answer of its own out of the error; the client gets ours."""
            nonlocal begun, refused
            if size > most and not begun:
                if not refused:
                    refused = True
                    await _reject(_too_large(most, f"more than {most}"), scope, send)
                return
            begun = True
            await send(message)

        try:
            await self.app(scope, counted, watched)
        except _TooLarge:
            if begun:
                raise
        if size > most and not begun and not refused:
            await _reject(_too_large(most, f"more than {most}"), scope, send)


class _TooLarge(Exception):
    """The body has more bytes than it may."""


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _replayed(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _has_body(scope: Scope) -> bool:
    if header(scope, b"content-length") not in (None, "0"):
        return True
    if header(scope, b"transfer-encoding") is not None:
        return True
    return scope.get("http_version", "1.1")[:1] != "1" and scope["method"] not in _BODYLESS


def _is_json(scope: Scope) -> bool:
    """Also without a content type: frameworks have taken that for JSON."""
    kind = header(scope, b"content-type")
    if kind is None:
        return True
    name = kind.partition(";")[0].strip().lower()
    return name == "application/json" or name.endswith("+json")


def _length(scope: Scope) -> int | None:
    text = header(scope, b"content-length")
    return int(text) if text is not None and text.isdecimal() else None


def _most(scope: Scope, ours: int | None) -> int | None:
    theirs: Any = getattr(scope.get("app"), "max_body_size", None)
    return theirs if isinstance(theirs, int) else ours


def _too_large(most: int, value: str) -> Problem:
    detail = f"The body has {value} bytes; at most {most} are allowed."
    return Problem(413, "body", detail, extra={"limit": "body", "most": most, "value": value})


def _told(excess: Excess) -> Problem:
    status = 422 if excess.limit in ("duplicate_keys", "encoding") else 413
    place = {"limit": excess.limit, "most": excess.most, "value": excess.value, "at": excess.at}
    return Problem(status, f"json-{excess.limit.replace('_', '-')}", str(excess), extra=place)


async def _reject(problem: Problem, scope: Scope, send: Send) -> None:
    REJECTED.add((problem.reason,))
    await refuse(problem, scope, send)
