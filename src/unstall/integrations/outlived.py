"""Threads that work on for a request whose time is over: in lanes, in anyio's pool, in an executor.

A thread is told by the context that it runs in. Only the frames of anyio's and the executor's own loops
are read, and only when a deadline was missed.
"""

from __future__ import annotations

import contextvars
import threading
from functools import partial
from types import FrameType
from typing import Any

from unstall.guard.budget import CURRENT, Budget
from unstall.lanes.calls import clock
from unstall.lanes.metrics import LANES
from unstall.lanes.statistics import abandoned
from unstall.model.place import Owner
from unstall.settings import working_folder
from unstall.threads import frames as thread_frames
from unstall.watch.stacks import Places
from unstall.watch.threads import Sent

_DEEPEST = 128


def outlived(budget: Budget) -> tuple[str, ...]:
    """Each with its function, its line and how long it has been at it."""
    return (*_in_lanes(budget), *_in_pools(budget))


def stuck(lanes: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the lanes of these names have every slot held by a call that outlived its caller."""
    return tuple(
        lane.name for lane in list(LANES) if lane.name in lanes and lane.slots.reading().stuck
    )


def _in_lanes(budget: Budget) -> list[str]:
    found: list[str] = []
    for lane in list(LANES):
        jobs = tuple(job for job in lane.slots.reading().left if job.context.get(CURRENT) is budget)
        for each in abandoned(jobs, clock(), in_threads=True):
            at = f" at {each.at}" if each.at else ""
            found.append(
                f"a thread of the lane {lane.name!r} is in {each.function}{at} since {each.running_s:.2f} s"
            )
    return found


def _in_pools(budget: Budget) -> list[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    places = Places(working_folder())
    found: list[str] = []
    for ident, frame in thread_frames().items():
        place: str | None = None
        at: FrameType | None = frame
        for _ in range(_DEEPEST):
            if at is None:
                break
            code = at.f_code
            if place is None:
                file, owner = places.locate(code.co_filename)
                if owner is Owner.APP:
                    place = f"{file}:{at.f_lineno} in {code.co_qualname}"
            if _works_for(at, budget):
                where = f" at {place}" if place else ""
                found.append(f"the thread {names.get(ident, ident)!r} works on{where}")
                break
            at = at.f_back
    return found


def _works_for(frame: FrameType, budget: Budget) -> bool:
    """Whether it is the loop of a worker, and what it runs belongs to that request."""
    context = context_of(frame)
    return context is not None and context.get(CURRENT) is budget


def context_of(frame: FrameType) -> contextvars.Context | None:
    """Of the loop of a worker: the context of what it runs, where that was given one."""
    module, name = frame.f_globals.get("__name__"), frame.f_code.co_name
    context: Any = None
    if name == "run" and module == "anyio._backends._asyncio":
        context = frame.f_locals.get("context")
    elif name == "run" and module == "concurrent.futures.thread":
        function = getattr(frame.f_locals.get("self"), "fn", None)
        while isinstance(function, partial | Sent):  # to_thread: partial(context.run, function)
            function = function.function if isinstance(function, Sent) else function.func
        context = getattr(function, "__self__", None)
    return context if isinstance(context, contextvars.Context) else None
