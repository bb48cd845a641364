"""One call that a lane was asked to do, from the asking to its end."""

from __future__ import annotations

import contextvars
import functools
import sys
from collections.abc import Callable, Mapping
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from unstall.errors import UsageError

if TYPE_CHECKING:
    from unstall.lanes.limits import Limits
    from unstall.lanes.tickets import Ticket
    from unstall.lanes.workers import Worker

WAITING: Final = 0
"""In the queue."""
ASSIGNED: Final = 1
"""Has a slot; its thread has not begun yet."""
RUNNING: Final = 2
DONE: Final = 3
LEFT: Final = 4
"""Its caller has gone; if it had begun, it still holds its slot."""
LATE: Final = 5
"""Its turn came after its time; nothing was begun."""
CLOSED: Final = 6
"""The lane was closed before its turn came."""

_NOT_PLAIN = CO_COROUTINE | CO_GENERATOR | CO_ASYNC_GENERATOR


class Job:
    """Written by the lane under its lock, except `result` and `error`, which are the worker's until DONE."""

    __slots__ = (
        "args", "aside", "asked_ns", "begun_ns", "context", "due_ns", "error", "function", "give_up_ns",
        "left_ns", "named", "result", "state", "thread", "ticket", "undo", "worker",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        named: Mapping[str, Any],
        ticket: Ticket | None,
        asked_ns: int,
        limits: Limits | None,
    ) -> None:
        self.function = function
        self.args = args
        self.named = named
        self.ticket = ticket
        """None when nobody waits for it."""
        self.asked_ns = asked_ns
        self.due_ns: int | None = None
        self.give_up_ns: int | None = None
        """When it is too late to begin."""
        self.aside = limits is None
        """Cleans up after another: is never refused, and takes no slot."""
        if limits is not None:
            if limits.deadline_ns is not None:
                self.due_ns = self.give_up_ns = asked_ns + limits.deadline_ns
            if limits.queue_timeout_ns is not None:
                give_up = asked_ns + limits.queue_timeout_ns
                self.give_up_ns = give_up if self.due_ns is None else min(give_up, self.due_ns)
        self.context = _context()
        self.state = WAITING
        self.begun_ns = 0
        self.left_ns = 0
        self.thread = 0
        self.worker: Worker | None = None
        self.undo: Callable[[Any], object] | None = None
        """Called with the result, None after an error, when nobody took it."""
        self.result: Any = None
        self.error: BaseException | None = None

    @property
    def overdue_ns(self) -> int:
        """Of one whose caller has gone: when it should have ended."""
        return self.left_ns if self.due_ns is None else self.due_ns

    @property
    def goes_on(self) -> bool:
        """Whether it had begun when its caller left; then `undo` is called when it has ended."""
        return self.state == LEFT and self.begun_ns > 0

    def here(self) -> Any:
        """Does it in this thread."""
        result = self.context.run(self.function, *self.args, **self.named)
        if type(result) is CoroutineType:
            result.close()
            raise UsageError(
                f"{name_of(self.function)} returned a coroutine, which would run on the loop: "
                "await it there, or give the lane a plain function"
            )
        return result


def _context() -> contextvars.Context:
    """The caller's context variables, but not that of sniffio: no async library runs in a thread."""
    context = contextvars.copy_context()
    sniffio = sys.modules.get("sniffio")
    if sniffio is not None and context.get(sniffio.current_async_library_cvar) is not None:
        context.run(sniffio.current_async_library_cvar.set, None)
    return context


def check(function: Callable[..., Any]) -> None:
    """Raises UsageError for what does nothing, or not enough, when it is called in a worker."""
    plain = _plain(function)
    code = getattr(plain, "__code__", None)
    if code is None:
        if not callable(plain):
            raise UsageError(f"{plain!r} is not callable: give a function and its arguments apart")
        code = getattr(getattr(type(plain), "__call__", None), "__code__", None)  # noqa: B004
        if code is None:
            return
    if not code.co_flags & _NOT_PLAIN:
        return
    if code.co_flags & CO_GENERATOR:
        raise UsageError(
            f"{name_of(function)} is a generator function, whose body would run on the loop: "
            "use lane.iterate(generator()), or lane.depends(function) for a FastAPI dependency"
        )
    raise UsageError(
        f"{name_of(function)} is asynchronous, and a lane runs plain functions: await it on the loop"
    )


def name_of(function: Callable[..., Any]) -> str:
    """`module:qualname`, without addresses."""
    plain = _plain(function)
    named = plain if hasattr(plain, "__qualname__") else type(plain)
    return f"{module_of(function)}:{named.__qualname__}"


def module_of(function: Callable[..., Any]) -> str:
    return getattr(_plain(function), "__module__", None) or "builtins"


def _plain(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function
