"""Who makes a call, asked while it is made: its stack, its task, its request, and a number for its place."""

from __future__ import annotations

import asyncio
from types import FrameType
from typing import Any, NamedTuple

from unstall.model.observation import Request
from unstall.watch.scope import describe, scope_of_step
from unstall.watch.stacks import Glimpse, glimpse_of

_DEEPEST = 40


class Caller(NamedTuple):
    glimpse: Glimpse
    task: str | None
    request: Request | None


def caller_of(frame: FrameType) -> Caller:
    """Of a call that `frame` makes now, on its thread."""
    frames = _frames(frame)
    task = _current_task()
    scope = scope_of_step(frames, task)
    return Caller(
        glimpse_of(frames),
        _name_of(task),
        describe(scope) if scope is not None else None,
    )


def place_of(call: str, frame: FrameType) -> int:
    """Equal for the same call from the same lines; a stack is told by its innermost frames."""
    key: list[object] = [call]
    at: FrameType | None = frame
    while at is not None and len(key) < 2 * _DEEPEST:
        key.append(id(at.f_code))
        key.append(at.f_lasti)
        at = at.f_back
    return hash(tuple(key))


def task_name() -> str | None:
    """The name of the coroutine of the task that runs on this thread."""
    return _name_of(_current_task())


def _name_of(task: asyncio.Task[Any] | None) -> str | None:
    return getattr(task.get_coro(), "__qualname__", None) if task is not None else None


def _frames(innermost: FrameType) -> list[FrameType]:
    frames: list[FrameType] = []
    frame: FrameType | None = innermost
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
