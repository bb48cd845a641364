"""Counts requests where a server begins them, without a Python frame more for each."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, CoroutineType, FunctionType, ModuleType
from typing import Any

from unstall.watch.census import references
from unstall.watch.scope import REQUESTS

_HTTP, _WEBSOCKETS = "uvicorn.protocols.http", "uvicorn.protocols.websockets"

BEGINS = (
    (f"{_HTTP}.h11_impl", "RequestResponseCycle", "run_asgi"),
    (f"{_HTTP}.httptools_impl", "RequestResponseCycle", "run_asgi"),
    (f"{_HTTP}.zttp_impl", "RequestResponseCycle", "run_asgi"),
    (f"{_HTTP}.zttp_h2_impl", "RequestResponseCycle", "run_asgi"),
    (f"{_WEBSOCKETS}.websockets_impl", "WebSocketProtocol", "run_asgi"),
    (f"{_WEBSOCKETS}.websockets_sansio_impl", "WebSocketsSansIOProtocol", "run_asgi"),
    (f"{_WEBSOCKETS}.wsproto_impl", "WSProtocol", "run_asgi"),
)
"""Module, class, and the method that it calls once for each request or websocket, and for nothing else."""


_MOST_TASKS = 5_000


class Servers:
    """One for the process: methods are wrapped for the first who counts, and restored after the last.

    Until a server begins a request nothing changes: where it is merely imported, others bring the requests.
    """

    def __init__(self) -> None:
        self._users: dict[object, Callable[[], None]] = {}
        self._wrapped: dict[type, _Wrapped] = {}
        self._serving = False

    def wrap(
        self, module: ModuleType, name: str, method: str, user: object, served: Callable[[], None]
    ) -> None:
        """From the first request that a server begins, at which `served` is called, until `user` leaves."""
        cls = getattr(module, name, None)
        original = vars(cls).get(method) if isinstance(cls, type) else None
        if cls is None or original is None:
            return  # of another version
        self._users[user] = served
        if cls not in self._wrapped:
            self._wrapped[cls] = each = _Wrapped(cls, method, original, self._begins)
            each.put(each.first)
        if self._serving:
            self._switch()

    def leave(self, user: object) -> None:
        self._users.pop(user, None)
        if self._wrapped and not self._users:
            for each in self._wrapped.values():
                each.put(each.original)
            self._wrapped.clear()
            self._serving = False
            REQUESTS.counted_by(())

    def unstarted(self, loop: asyncio.AbstractEventLoop) -> int:
        """Of the requests that were counted on this loop, those whose first step is still to come.

        A loop that stood still may read all who waited in one turn, before its timers; their tasks run in the
        next. Of more than `_MOST_TASKS` tasks some are not looked at.
        """
        if not self._serving or REQUESTS.every:
            return 0  # they do not count
        codes = {each.code for each in self._wrapped.values()}
        tasks = (reference() for reference in references(loop)[:_MOST_TASKS])
        return sum(1 for task in tasks if task is not None and _is_unstarted(task, loop, codes))

    def _begins(self) -> None:
        """A server begins a request, perhaps the first."""
        if self._users and not self._serving:
            self._serving = True
            self._switch()

    def _switch(self) -> None:
        for each in self._wrapped.values():
            each.put(each.counted)
        REQUESTS.counted_by([each.count for each in self._wrapped.values()])
        for served in reversed(list(self._users.values())):  # the last has wrapped the others
            served()


class _Wrapped:
    """One method of a server's class, and what is put in its place: `first`, then `counted`."""

    def __init__(self, cls: Any, method: str, original: Any, begins: Callable[[], None]) -> None:
        self._cls, self._method = cls, method
        self._inside = original
        self.original = original
        # Of zero results it keeps none, calls what it wraps and counts that, all of it in C.
        self.counted = counted = functools.lru_cache(maxsize=0)(_plain(original))

        self.code = getattr(original, "__code__", None)

        def first(self: Any, *args: Any, **named: Any) -> Any:
            with suppress(Exception):  # the request is the host's
                begins()
            return counted(self, *args, **named)

        self.first = functools.update_wrapper(first, original, updated=())
        look_asynchronous(self.first)
        look_asynchronous(counted)

    def put(self, function: Any) -> None:
        """Unless somebody has wrapped it again: ours stays inside of his then."""
        if vars(self._cls).get(self._method) is self._inside:
            setattr(self._cls, self._method, function)
            self._inside = function

    def count(self) -> int:
        return self.counted.cache_info().misses


def _is_unstarted(
    task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop, codes: set[CodeType | None]
) -> bool:
    coroutine = task.get_coro()
    return (
        type(coroutine) is CoroutineType
        and coroutine.cr_code in codes
        and not coroutine.cr_suspended
        and not coroutine.cr_running
        and coroutine.cr_frame is not None
        and task.get_loop() is loop
    )


def _plain(method: Any) -> Callable[..., Any]:
    """What somebody else has put there may be no function, and want to be bound as any attribute is."""
    if isinstance(method, FunctionType):
        return method

    def run_asgi(self: Any, *args: Any, **named: Any) -> Any:
        bound = method.__get__(self, type(self)) if hasattr(method, "__get__") else method
        return bound(*args, **named)

    return functools.update_wrapper(run_asgi, method, updated=())


SERVERS = Servers()


def look_asynchronous(function: Any) -> None:
    """It returns a coroutine without being a coroutine function: who asks must hear that it is one."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:  # what `asyncio.iscoroutinefunction` looks for
        function._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)
