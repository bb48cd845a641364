"""Which request a step works for: a plain ASGI middleware, and the register of requests under way.

The middleware costs one object and one dictionary entry a request. Everything a reader wants to know
(route template, request id, scenario) is read from the ASGI scope only when a stall asks for it.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from types import CodeType, FrameType
from typing import Any

from unstall.model.observation import Request

ASGIScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[ASGIScope, Receive, Send], Awaitable[None]]

_KEY = "unstall.request"


class Served:
    """One request while it is served."""

    __slots__ = ("ended", "number", "prefix", "scope")

    def __init__(self, number: int, scope: ASGIScope) -> None:
        self.number = number
        self.scope = scope
        self.prefix = len(scope.get("root_path", ""))
        self.ended = False

    def describe(self) -> Request:
        scope = self.scope
        headers = scope.get("headers", ())
        return Request(
            method=str(scope.get("method") or scope.get("type", "?")).upper(),
            route=route_template(scope, self.prefix),
            request_id=_header(headers, b"x-request-id") or f"#{self.number}",
            scenario=_header(headers, b"x-scenario"),
            ended=self.ended,
        )


def route_template(scope: ASGIScope, root_prefix: int = 0) -> str:
    """`/users/{id}` of the route that matched, with the path of the mounts above it; `?` before."""
    nested = scope.get("fastapi")  # FastAPI >= 0.137: routers are a tree, this is the whole path
    context = nested.get("effective_route_context") if isinstance(nested, dict) else None
    route = context or scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    mount = str(scope.get("root_path", ""))[root_prefix:]
    if isinstance(path, str):
        return mount + path
    return mount + "/?" if mount else "?"


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    for key, value in headers:
        if key.lower() == name:
            return value[:128].decode("latin-1")
    return None


class Requests:
    """The requests of one process: those under way, and how many ever began.

    WebSockets begin and are named like requests, and are not under way: an open one mostly waits for
    its client, and would be counted as a victim of every stall.
    """

    __slots__ = ("_numbers", "begun", "under_way")

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.begun = 0
        self.under_way: dict[int, Served] = {}

    def enter(self, scope: ASGIScope) -> Served:
        number = self.begun = next(self._numbers)
        served = Served(number, scope)
        if scope["type"] == "http":
            self.under_way[number] = served
        return served

    def leave(self, served: Served) -> None:
        served.ended = True
        self.under_way.pop(served.number, None)


REQUESTS = Requests()
"""One per process, as the loops of a process share its interpreter lock and so its stalls."""

_current: contextvars.ContextVar[Served | None] = contextvars.ContextVar(
    "unstall_request", default=None
)


Call = Callable[[Any, ASGIScope, Receive, Send], Awaitable[None]]
Registered = Callable[[Any, ASGIScope, Receive, Send], Coroutine[Any, Any, None]]


def registered(call: Call) -> Registered:
    """The `__call__` of an ASGI app, with its requests registered; one coroutine, for it is on every path.

    A scope that is registered already, and any that is no request, passes through.
    """

    async def __call__(self: Any, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _KEY in scope:
            await call(self, scope, receive, send)
            return
        unstall_request = REQUESTS.enter(scope)
        scope[_KEY] = (
            unstall_request.number
        )  # not the object, which holds the scope: a cycle costs GC
        before = _current.get()
        _current.set(unstall_request)
        try:
            await call(self, scope, receive, send)
        finally:
            _current.set(before)  # servers reuse one context for every request of a connection
            REQUESTS.leave(unstall_request)

    return __call__


class Scope:
    """Pure ASGI middleware that marks the request a task works for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    @registered
    def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.app(scope, receive, send)


_REGISTERED_CODE: CodeType = registered(Scope.__call__).__code__


def request_of_frame(innermost: FrameType) -> Served | None:
    """The request whose registered call is on this stack."""
    frame: FrameType | None = innermost
    while frame is not None:
        if frame.f_code is _REGISTERED_CODE:
            served = frame.f_locals.get("unstall_request")
            return served if isinstance(served, Served) else None
        frame = frame.f_back
    return None


def request_of_task(task: asyncio.Task[Any]) -> Served | None:
    """The request a task was created for, however deep: context variables are inherited."""
    context = _context_of(task)
    served = context.get(_current) if context is not None else None
    return served if isinstance(served, Served) else None


def _context_of(task: asyncio.Task[Any]) -> contextvars.Context | None:
    if sys.version_info >= (3, 12):
        return task.get_context()
    # 3.11 has no accessor; the collector's view of the task shows its context without running code.
    return next((c for c in gc.get_referents(task) if type(c) is contextvars.Context), None)
