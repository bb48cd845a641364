"""Which request a step works for, found when a stall asks and at no cost before.

Every request passes through functions of its framework and server that hold its ASGI scope in a local
variable. A stalled step has them on its stack; a request in flight has them in its task's chain of awaited
coroutines. Only those frames of known libraries are read, never the host's own. All that is paid for each
request is a counter.
"""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from inspect import isclass, isroutine
from types import CodeType, CoroutineType, FrameType, FunctionType, GeneratorType, MethodType
from typing import Any

from unstall.model.observation import Request
from unstall.watch.held import Followed, timed

ASGIScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[ASGIScope, Receive, Send], Awaitable[None]]
Call = Callable[[Any, ASGIScope, Receive, Send], Awaitable[None]]

CARRIERS = frozenset({"starlette", "fastapi", "uvicorn", "hypercorn", "unstall"})
"""Packages whose functions are known to hold a scope in a local variable of that name."""

_DEEPEST = 32
_GENERATIONS = 4
_MOST_FUTURES = 64


NEVER = (1 << 30) - 1
"""The largest number that CPython compares without a call; from there on `plainly` is asked each time."""


def plainly(call: Call, app: Any, scope: ASGIScope, receive: Receive, send: Send) -> Any:
    return call(app, scope, receive, send)


class Requests:
    """How many requests of this process ever began, which are measured, and by whom: a monitor sets that.

    For each request one number is touched, which counts down to the next that is measured. Loops on several
    threads may lose one now and then. Where none is measured, servers that count by themselves are
    believed instead.
    """

    __slots__ = ("_due", "_servers", "every", "left", "take")

    def __init__(self) -> None:
        self.left = self._due = NEVER
        self.every = 0
        """Each so-manieth request is measured, on average; 0 for none."""
        self.take: Callable[..., Any] = plainly
        self._servers: tuple[int, tuple[Callable[[], int], ...]] = 0, ()

    @property
    def begun(self) -> int:
        before, servers = self._servers
        if servers and not self.every:
            return before + sum(count() for count in servers)
        return self._due - self.left

    @property
    def due(self) -> int:
        """The number of the next one that is measured."""
        return self._due

    @due.setter
    def due(self, due: int) -> None:
        # No call in here, at which another thread could come in between.
        begun = self._due - self.left
        self._due = due
        self.left = due - begun

    def counted_by(self, servers: Sequence[Callable[[], int]]) -> None:
        """These count while none is measured."""
        self._go_on(servers, self.every, self._due, self.take)

    def choose(self, every: int, due: int, take: Callable[..., Any]) -> None:
        """From here on; with an `every` of 0 none."""
        self._go_on(self._servers[1], every, due, take)

    def _go_on(
        self, servers: Sequence[Callable[[], int]], every: int, due: int, take: Callable[..., Any]
    ) -> None:
        """From the number that has begun, whoever counts now."""
        begun = self.begun
        counted = begun - sum(count() for count in servers), tuple(servers)
        left = due - begun
        # From here no call, at which another thread could come in between.
        self._servers = counted
        self._due = due
        self.left = left
        self.every = every
        self.take = take


REQUESTS = Requests()


def counted(call: Call, requests: Requests = REQUESTS) -> Call:
    """The `__call__` of an ASGI app, with each request counted once however apps are nested.

    A scope with a router has passed an outer app of Starlette's already. The lifespan, which has no path, is
    no request: a server whose port is taken has run it, and served nobody.
    """

    def __call__(self: Any, scope: ASGIScope, receive: Receive, send: Send) -> Awaitable[None]:
        if "router" not in scope and "path" in scope:
            left = requests.left = requests.left - 1
            if left <= 0:
                return requests.take(call, self, scope, receive, send)  # type: ignore[no-any-return]
        return call(self, scope, receive, send)

    return __call__


class Scope:
    """Pure ASGI middleware for apps of other frameworks: their requests are counted and named."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        await _counted_app(self, scope, receive, send)


async def _app(self: Scope, scope: ASGIScope, receive: Receive, send: Send) -> None:
    await self.app(scope, receive, send)


_counted_app = counted(_app)


# --- what a stall asks ----------------------------------------------------------------------


def scope_of_step(frames: Iterable[FrameType], task: asyncio.Task[Any] | None) -> ASGIScope | None:
    """The scope of the request that a running step works for; of a task, also that of who waits for it.

    `frames` are those of the step, innermost first.
    """
    for frame in frames:
        found = _scope_in(frame)
        if found is not None:
            return found
    return _scope_of_parents(task) if task is not None else None


def scope_of_task(task: asyncio.Task[Any]) -> ASGIScope | None:
    """The scope in the chain of coroutines that a suspended task awaits."""
    for coroutine in awaited_by(task):
        frame = coroutine.cr_frame
        found = _scope_in(frame) if frame is not None else None
        if found is not None:
            return found
    return None


def awaited_by(task: asyncio.Task[Any]) -> Iterator[CoroutineType[Any, Any, Any]]:
    """The coroutines of a suspended task, the outermost first, with those inside of what is ours."""
    awaited: object = task.get_coro()
    for _ in range(_DEEPEST):
        if type(awaited) is Followed:
            awaited = awaited.coroutine
        elif type(awaited) is CoroutineType:
            yield awaited
            awaited = awaited.cr_await
        elif type(awaited) is GeneratorType and awaited.gi_code is timed.__code__:
            # Ours, around a piece that is measured. While it runs nothing is known of what is inside.
            frame = awaited.gi_frame
            awaited = frame.f_locals.get("coroutine") if frame is not None else None
        else:
            return


def describe(scope: ASGIScope, *, spawned: bool = False) -> Request:
    headers = scope.get("headers", ())
    return Request(
        method=str(scope.get("method") or scope.get("type", "?")).upper(),
        route=route_template(scope),
        request_id=_header(headers, b"x-request-id"),
        scenario=_header(headers, b"x-scenario"),
        spawned=spawned,
    )


def remembered(scope: ASGIScope) -> ASGIScope:
    """What names a request that is over, and nothing else of it."""
    kept = ("type", "method", "root_path", "app_root_path", "endpoint")
    headers = [(k, v) for k, v in scope.get("headers", ()) if k.lower() in _NAMING]
    return {
        **{key: scope[key] for key in kept if key in scope},
        "headers": headers,
        "route": _route_of(scope),
    }


_NAMING = (b"x-request-id", b"x-scenario")


def route_template(scope: ASGIScope) -> str:
    """`/users/{id}` of the route that matched, with the path of the mounts above it; `?` before.

    Of a Starlette that does not say which route matched, `module:function` of what it serves.
    """
    route = _route_of(scope)
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    mount = _mount_of(scope)
    if isinstance(path, str):
        return mount + path
    endpoint = scope.get("endpoint")
    if isroutine(endpoint) or isclass(endpoint):
        return f"{endpoint.__module__}:{endpoint.__qualname__}"
    return mount + "/?" if mount else "?"


def _route_of(scope: ASGIScope) -> Any:
    nested = scope.get("fastapi")  # FastAPI >= 0.137: routers are a tree, this is the whole path
    context = nested.get("effective_route_context") if isinstance(nested, dict) else None
    return context or scope.get("route")


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


def _scope_of_parents(task: asyncio.Task[Any]) -> ASGIScope | None:
    """The scope of the task that waits for this one, or for the one that waits for it, and so on."""
    generation = [task]
    for _ in range(_GENERATIONS):
        generation = [parent for child in generation for parent in parents_of(child)]
        for parent in generation:
            found = scope_of_task(parent)
            if found is not None:
                return found
    return None


def parents_of(future: asyncio.Future[Any]) -> Iterator[asyncio.Task[Any]]:
    """The tasks that a future wakes when it is done, through gather, shield, wait_for and task groups."""
    futures, seen = [future], {id(future)}
    while futures and len(seen) <= _MOST_FUTURES:
        for callback, _ in getattr(futures.pop(), "_callbacks", None) or ():
            wakes = type(callback) not in _TOLD
            for value in _reached(callback):
                if not issubclass(type(value), asyncio.Future):
                    yield from _hosts(value)
                elif wakes and issubclass(type(value), asyncio.Task):
                    yield value
                elif id(value) not in seen:
                    seen.add(id(value))
                    futures.append(value)


_TOLD = frozenset({FunctionType, functools.partial})
"""Kinds of callbacks that set another future; what wakes a task is C, or the method of a task in Python."""


def _reached(callback: Any) -> Iterable[Any]:
    """What a callback of a future will set, tell or wake.

    Kinds are told by exact type: asking an object of the host for its class may run its code.
    """
    kind = type(callback)
    if kind is MethodType:
        return (callback.__self__,)
    if kind is FunctionType:  # gather's is a closure over its future, anyio's over its group
        return _closed_over(callback)
    if kind is functools.partial:  # wait_for's before 3.12
        return callback.args  # type: ignore[no-any-return]
    return gc.get_referents(callback)  # only the garbage collector is shown the task


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
