"""What a lane's refusal looks like to a client: 503 or 504, when to come back, and why."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from unstall.errors import LaneDeadline, LaneError, LaneFull, LaneTimeout

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ANSWERED = (LaneFull, LaneTimeout, LaneDeadline)
"""What overload and slowness raise; the other errors of lanes are bugs, and stay what they are."""
_TRY_AGAIN_LATER = 1013  # RFC 6455's registry of close codes
_TITLES = {503: "Service Unavailable", 504: "Gateway Timeout"}


class LaneErrors:
    """Pure ASGI middleware: answers for whatever of a lane's errors reaches it before an answer has begun.

    A WebSocket is closed with 1013, "try again later".
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] in ("http.response.start", "websocket.close")
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            found = lane_error_in(error)
            if found is None or begun:
                raise
            if scope["type"] == "websocket":
                await send(
                    {"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": found.slug}
                )
                return
            status, headers, body = answer_to(found)
            raw = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": raw})
            await send({"type": "http.response.body", "body": body})


def lane_error_response(request: Request, error: Exception) -> Response:
    """For `app.add_exception_handler(LaneError, lane_error_response)`; raises what it cannot answer."""
    from starlette.responses import Response

    found = lane_error_in(error)
    if found is None:
        raise error
    status, headers, body = answer_to(found)
    return Response(body, status, headers)


def lane_error_in(error: BaseException) -> LaneError | None:
    """The error itself, or the first of a group that holds nothing else."""
    if isinstance(error, BaseExceptionGroup):
        found = [lane_error_in(each) for each in error.exceptions]
        return found[0] if all(found) else None
    return error if isinstance(error, ANSWERED) else None


def answer_to(error: LaneError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and an RFC 9457 body. The error's own words, with the function, stay inside."""
    status = 504 if isinstance(error, LaneDeadline) else 503
    seconds = math.ceil(error.retry_after)
    problem = {
        "type": "about:blank",
        "title": _TITLES[status],
        "status": status,
        "detail": _detail(error, seconds),
        "reason": error.slug,
        "lane": error.lane,
        "retry_after": seconds,
    }
    body = json.dumps(problem).encode()
    headers = {"content-type": "application/problem+json", "content-length": str(len(body))}
    if status == 503:
        headers["retry-after"] = str(seconds)
    return status, headers, body


def _detail(error: LaneError, seconds: int) -> str:
    if isinstance(error, LaneDeadline):
        return "The work took longer than it may; it may have been done all the same."
    return f"Too much of this work is under way. Nothing was begun; try again in {seconds} s."
