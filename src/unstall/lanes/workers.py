"""What does the work of one slot. Each lives on a thread of the lane, which waits for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from unstall.errors import UsageError
from unstall.lanes.requests import request_of, result_of

if TYPE_CHECKING:
    from unstall.lanes.jobs import Job


class Worker(Protocol):
    """Everything but `end` and `forked` is called by its own thread only."""

    def ready(self) -> None:
        """Makes itself ready for the next call; may take its time. What fails here fails in `call`."""
        ...

    def call(self, job: Job) -> Any: ...

    def end(self) -> bool:
        """Ends the call that runs, from any thread, at once; False where that is impossible."""
        ...

    def close(self) -> None: ...

    def forked(self) -> None:
        """In a child of `fork`: lets go of what belongs to the parent."""
        ...


class ThreadWorker:
    """The thread itself."""

    __slots__ = ()

    def ready(self) -> None: ...

    def call(self, job: Job) -> Any:
        return job.here()

    def end(self) -> bool:
        return False  # Python cannot end a thread

    def close(self) -> None: ...

    def forked(self) -> None: ...


class NoWorker:
    """Where no thread can be had."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def ready(self) -> None: ...

    def call(self, job: Job) -> Any:
        raise self._error

    def end(self) -> bool:
        return False

    def close(self) -> None: ...

    def forked(self) -> None: ...


class InterpreterWorker:
    """A subinterpreter of its own, with an interpreter lock of its own."""

    __slots__ = ("_interpreter", "_lane")

    def __init__(self, lane: str) -> None:
        self._lane = lane
        self._interpreter: Any = None

    def ready(self) -> None:
        if self._interpreter is None:
            interpreter = interpreters()()
            path = f"import sys; sys.path[:] = {sys.path!r}"
            interpreter.call(exec, (path, {}))  # it begins with the path of a bare start
            self._interpreter = interpreter

    def call(self, job: Job) -> Any:
        from unstall.lanes.child import answer

        self.ready()
        request = request_of(job, self._lane)
        return result_of(self._interpreter.call(answer, (request,)), job, self._lane)

    def end(self) -> bool:
        return False  # it runs on a thread

    def close(self) -> None:
        interpreter, self._interpreter = self._interpreter, None
        if interpreter is not None:
            interpreter.destroy()

    def forked(self) -> None:
        self._interpreter = None


def interpreters() -> Any:
    """anyio's handle of a subinterpreter, which knows the ways of 3.13 and of 3.14."""
    if sys.version_info >= (3, 13):
        try:
            from anyio.to_interpreter import _Worker

            return _Worker
        except ImportError:
            pass
    version = ".".join(map(str, sys.version_info[:2]))
    raise UsageError(
        f"this Python {version} has no subinterpreters that unstall can use: take Python 3.13 or newer "
        "and anyio 4.11 or newer, or give the lane processes"
    )
