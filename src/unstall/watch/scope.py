"""Which request a step works for, found when a stall asks and at no cost before.

Every request passes through functions of its framework and server that hold its ASGI scope in a local
variable. A stalled step has them on its stack; a request in flight has them in its task's chain of awaited
coroutines. Only those frames of known libraries are read, never the host's own. All that is paid for each
request is a counter.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from types import CodeType, CoroutineType, FrameType, FunctionType, MethodType
from typing import Any

from unstall.model.observation import Request

ASGIScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[ASGIScope, Receive, Send], Awaitable[None]]
Call = Callable[[Any, ASGIScope, Receive, Send], Awaitable[None]]

CARRIERS = frozenset({"starlette", "fastapi", "uvicorn", "hypercorn", "unstall"})
"""Packages whose functions are known to hold a scope in a local variable of that name."""

_MOST_TASKS = 2_000
_DEEPEST = 24
_GENERATIONS = 4


class Requests:
    """How many requests of this process ever began. Loops on several threads may lose one now and then."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = 0


REQUESTS = Requests()


def counted(call: Call) -> Call:
    """The `__call__` of an ASGI app, with each request counted once however apps are nested.

    A scope with a router has passed an outer app of Starlette's already. The lifespan of an app counts
    like a request: to tell it apart would cost every request more than the rest of this.
    """

    def __call__(self: Any, scope: ASGIScope, receive: Receive, send: Send) -> Awaitable[None]:
        if "router" not in scope:
            REQUESTS.begun += 1
        return call(self, scope, receive, send)

    return __call__


class Scope:
    """Pure ASGI middleware for apps of other frameworks: their requests are counted and named."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        await _counted_app(self, scope, receive, send)


def _app(self: Scope, scope: ASGIScope, receive: Receive, send: Send) -> Awaitable[None]:
    return self.app(scope, receive, send)


_counted_app = counted(_app)


# --- what a stall asks ----------------------------------------------------------------------


def scope_of_step(innermost: FrameType, task: asyncio.Task[Any] | None) -> ASGIScope | None:
    """The scope of the request that a running step works for; through its parent for a spawned task."""
    frame: FrameType | None = innermost
    while frame is not None:
        found = _scope_in(frame)
        if found is not None:
            return found
        frame = frame.f_back
    return _scope_of_parents(task) if task is not None else None


def scopes_in_flight(loop: asyncio.AbstractEventLoop) -> list[ASGIScope]:
    """The scopes of HTTP requests whose tasks are suspended, each once.

    WebSockets are not among them: an open one mostly waits for its client, and would be counted as a
    victim of every stall.
    """
    scopes: dict[int, ASGIScope] = {}
    for task in list(asyncio.all_tasks(loop))[:_MOST_TASKS]:
        scope = _scope_of_task(task)
        if scope is not None and scope.get("type") == "http":
            scopes[id(scope)] = scope
    return list(scopes.values())


def describe(scope: ASGIScope) -> Request:
    headers = scope.get("headers", ())
    return Request(
        method=str(scope.get("method") or scope.get("type", "?")).upper(),
        route=route_template(scope),
        request_id=_header(headers, b"x-request-id"),
        scenario=_header(headers, b"x-scenario"),
    )


def route_template(scope: ASGIScope) -> str:
    """`/users/{id}` of the route that matched, with the path of the mounts above it; `?` before."""
    nested = scope.get("fastapi")  # FastAPI >= 0.137: routers are a tree, this is the whole path
    context = nested.get("effective_route_context") if isinstance(nested, dict) else None
    route = context or scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    mount = _mount_of(scope)
    if isinstance(path, str):
        return mount + path
    return mount + "/?" if mount else "?"


def _mount_of(scope: ASGIScope) -> str:
    """The part of the root path that mounts added; what the server was started with is no route."""
    root, served_under = str(scope.get("root_path", "")), str(scope.get("app_root_path", ""))
    if "app_root_path" not in scope:  # no mount has matched
        return ""
    return root.removeprefix(served_under)


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    for key, value in headers:
        if key.lower() == name:
            return value[:128].decode("latin-1")
    return None


# --- frames and tasks -----------------------------------------------------------------------


def _scope_in(frame: FrameType) -> ASGIScope | None:
    if not _carries(frame.f_code, frame.f_globals):
        return None
    scope = frame.f_locals.get("scope")
    if isinstance(scope, dict) and scope.get("type") in ("http", "websocket"):
        return scope
    return None


def _carries(code: CodeType, module_globals: dict[str, Any]) -> bool:
    name = module_globals.get("__name__")
    return (
        "scope" in code.co_varnames and isinstance(name, str) and name.partition(".")[0] in CARRIERS
    )


def _scope_of_task(task: asyncio.Task[Any]) -> ASGIScope | None:
    """The scope in the chain of coroutines that a suspended task awaits."""
    coroutine: object = task.get_coro()
    for _ in range(_DEEPEST):
        if type(coroutine) is not CoroutineType:
            return None
        frame = coroutine.cr_frame
        found = _scope_in(frame) if frame is not None else None
        if found is not None:
            return found
        coroutine = coroutine.cr_await
    return None


def _scope_of_parents(task: asyncio.Task[Any]) -> ASGIScope | None:
    """The scope of the task that waits for this one, or for the one that waits for it, and so on."""
    generation = [task]
    for _ in range(_GENERATIONS):
        generation = [parent for child in generation for parent in _parents(child)]
        for parent in generation:
            found = _scope_of_task(parent)
            if found is not None:
                return found
    return None


def _parents(future: asyncio.Future[Any], depth: int = 0) -> Iterator[asyncio.Task[Any]]:
    """The tasks that will be woken when a future is done, through gather and task groups.

    Kinds are told by exact type: asking an object of the host for its class may run its code.
    """
    for callback, _ in getattr(future, "_callbacks", None) or ():
        kind = type(callback)
        if kind is MethodType:
            yield from _hosts(callback.__self__)
        elif kind is FunctionType:  # gather's is a closure over its future, anyio's over its group
            for value in _closed_over(callback):
                if issubclass(type(value), asyncio.Future) and depth < _GENERATIONS:
                    yield from _parents(value, depth + 1)  # type: ignore[arg-type]
                else:
                    yield from _hosts(value)
        else:  # what wakes a task is C, and shows its task only to the garbage collector
            yield from _tasks(gc.get_referents(callback))


def _hosts(group: object) -> Iterator[asyncio.Task[Any]]:
    """The task in which a task group was entered."""
    module = str(type(group).__module__)
    if module == "asyncio.taskgroups":
        yield from _tasks((getattr(group, "_parent_task", None),))
    elif module.startswith("anyio."):
        scope = getattr(group, "cancel_scope", None)
        yield from _tasks((getattr(scope, "_host_task", None),))


def _tasks(values: Iterable[object]) -> Iterator[asyncio.Task[Any]]:
    yield from (value for value in values if issubclass(type(value), asyncio.Task))  # type: ignore[misc]


def _closed_over(function: FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
