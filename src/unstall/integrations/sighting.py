"""What is seen of a request that holds a slot and asks for another: its stack, its task, its route."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from types import FrameType
from typing import Any

from unstall.explain.blame import LOOP_MODULES, entry_of, reach_of, site_of
from unstall.gates.flow import HOP, Flow, Where, line_of, outside_greenlet
from unstall.gates.nested import Nested, finding_of
from unstall.model.finding import Finding, Site
from unstall.model.observation import Request
from unstall.watch.scope import awaited_by, describe, parents_of, scope_of_step, scope_of_task
from unstall.watch.stacks import Glimpse, Line, StackReader, glimpse_of

_GENERATIONS = 4


@dataclass(frozen=True, slots=True)
class Sighting:
    """What can only be seen where it happens; the rest is read on another thread."""

    nested: Nested
    glimpse: Glimpse
    request: Request | None
    task: str | None


def sighting_of(nested: Nested) -> Sighting:
    """On the thread that asks, while it asks."""
    task = _current_task()
    frames = _step(sys._getframe(1), outside_greenlet())
    scope = scope_of_step(frames, task)
    if task is not None and nested.inherited and nested.first.flow is not None:
        frames += _suspended(*_between(task, nested.first.flow))
    flow = HOP.get() if task is None else None
    if flow is not None and flow.task is not None:
        task = flow.task  # it waits for this thread
        scope = scope or scope_of_task(task)
        frames += _suspended(task)
    return Sighting(
        nested,
        glimpse_of(frames),
        describe(scope) if scope is not None else None,
        task.get_name() if task is not None else None,
    )


def waits_for(flow: Flow) -> bool:
    """Whether the task of a flow is waiting for the current one, directly or through others."""
    task = _current_task()
    return task is not None and bool(_between(task, flow))


def _between(task: asyncio.Task[Any], flow: Flow) -> tuple[asyncio.Task[Any], ...]:
    """Who waits for a task, who for that one, and so on up to the flow's; none if it does not wait."""
    paths: list[tuple[asyncio.Task[Any], ...]] = [(task,)]
    for _ in range(_GENERATIONS):
        paths = [(*path, parent) for path in paths for parent in _waiting(path[-1])]
        for path in paths:
            if id(path[-1]) == flow.key:
                return path[1:]
    return ()


def _waiting(task: asyncio.Task[Any]) -> Iterator[asyncio.Task[Any]]:
    yield from parents_of(task)
    for callback, _ in getattr(task, "_callbacks", None) or ():
        if type(callback) is partial:  # `wait_for` before Python 3.12
            for value in callback.args:
                if issubclass(type(value), asyncio.Future):
                    yield from parents_of(value)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs on this thread
        return None


def _step(*innermost: FrameType | None) -> list[FrameType]:
    """Without what the loop and its starter have on the stack. All of it: who reads it has to know whether
    it was cut."""
    frames = (frame for each in innermost for frame in _outward(each))
    return list(
        takewhile(lambda frame: frame.f_globals.get("__name__") not in LOOP_MODULES, frames)
    )


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _suspended(*tasks: asyncio.Task[Any]) -> list[FrameType]:
    """Of what tasks await, the innermost first."""
    found: list[FrameType] = []
    for task in tasks:
        awaited = [coroutine.cr_frame for coroutine in awaited_by(task)]
        frames = [frame for frame in awaited if frame is not None]
        found += frames[::-1]
    return found


# --- afterwards, on another thread ----------------------------------------------------------


def explained(sighting: Sighting, reader: StackReader) -> Finding:
    """May read source files."""
    stack = reader.read(sighting.glimpse)
    known = sighting.request is not None or sighting.task is not None
    return finding_of(
        sighting.nested,
        _site(sighting.nested.first.where, reader),
        site_of(stack),
        entry_of(stack, sighting.request, sighting.task) if known else None,
        reach_of(stack),
    )


def _site(at: Where | None, reader: StackReader) -> Site | None:
    if at is None:
        return None
    code, lasti, module_globals = at
    line = Line(code, lasti, line_of(at), module_globals)
    return site_of(reader.read(Glimpse((line,), 0)))
