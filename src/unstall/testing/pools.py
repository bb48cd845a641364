"""Threads of pools that are at work, whatever they do: also where no line of the application runs on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import Context
from types import FrameType
from typing import Any

from unstall.integrations.outlived import context_of
from unstall.lanes.jobs import Job
from unstall.model.place import Owner
from unstall.watch.threads import Sent

Locate = Callable[[str], tuple[str, Owner]]
"""From the name of a file to what it is called and whose it is."""
_RUNS: dict[str, dict[str, str]] = {
    "concurrent.futures.thread": {"_WorkItem.run": "self"},
    "anyio._backends._asyncio": {"WorkerThread.run": "future"},
    "unstall.lanes.jobs": {"Job.here": "self"},
}
"""What is on the stack of a thread that has work to do, and where it keeps that; anyio's function is also
there when it waits for some."""
_DEEPEST = 128
_OURS = "unstall.testing"
_WATCH = "unstall.watch."


def at_work(frame: FrameType, locate: Locate) -> str | None:
    """Where it is; None if it waits for work, is in no pool, or works for these tests themselves.

    The innermost line of a library is told, else the function of the standard library that was called.
    """
    below: list[FrameType] = []
    for each in _outwards(frame):
        module = str(each.f_globals.get("__name__"))
        if module.startswith(_OURS):
            return None
        if _keeps(each) is not None:
            return None if _waits(each, below) else _told(each, below, locate)
        if not is_watch(each):
            below.append(each)
    return None


def is_watch(frame: FrameType) -> bool:
    """Whether it is of a monitor that the application itself has switched on."""
    return str(frame.f_globals.get("__name__")).startswith(_WATCH)


def work_of(frame: FrameType) -> object | None:
    """What a pool has told the thread to do, one object for each time; None of other threads."""
    run = _run(frame)
    return None if run is None else _kept(run)


def context_of_work(frame: FrameType) -> Context | None:
    """That of whoever asked for it; None of what came without one, and of other threads."""
    run = _run(frame)
    if run is None:
        return None
    job = _kept(run)
    return job.context if isinstance(job, Job) else context_of(run)


def _run(frame: FrameType) -> FrameType | None:
    """Where a pool does what it was told."""
    return next((each for each in _outwards(frame) if _keeps(each) is not None), None)


def _keeps(frame: FrameType) -> str | None:
    """By which name; None if it is no such function."""
    return _RUNS.get(str(frame.f_globals.get("__name__")), {}).get(frame.f_code.co_qualname)


def _kept(run: FrameType) -> object | None:
    return run.f_locals.get(_keeps(run) or "")


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    for _ in range(_DEEPEST):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _waits(run: FrameType, below: list[FrameType]) -> bool:
    """Whether it asks for the next thing to do."""
    queue = getattr(run.f_locals.get("self"), "queue", None)
    return queue is not None and bool(below) and below[-1].f_locals.get("self") is queue


def _told(run: FrameType, below: list[FrameType], locate: Locate) -> str:
    for each in below:
        file, owner = locate(each.f_code.co_filename)
        if owner is Owner.LIBRARY:
            return _line(file, each)
    if below:
        return _line(locate(below[-1].f_code.co_filename)[0], below[-1])
    function = _function(run.f_locals)
    return getattr(function, "__qualname__", None) or "a function in C"


def _line(file: str, frame: FrameType) -> str:
    return f"{file}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def _function(known: dict[str, Any]) -> Any:
    """What the pool was asked to call; of `asyncio.to_thread`, what that was asked to."""
    function = known.get("func") or getattr(known.get("self"), "fn", None)
    if isinstance(function, Sent):
        function = function.function
    arguments = getattr(function, "args", ())
    return arguments[0] if arguments else function
