"""`Lane`: a named, bounded place for blocking work."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

import anyio

from unstall.errors import UsageError
from unstall.lanes import dependencies, streams
from unstall.lanes.calls import Calls, clock
from unstall.lanes.jobs import check
from unstall.lanes.limits import Backend, Limits, limits_of, tables_here
from unstall.lanes.metrics import LANES
from unstall.lanes.requests import HIDDEN
from unstall.lanes.slots import Reading
from unstall.lanes.statistics import Statistics, abandoned
from unstall.lanes.workers import interpreters

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")

DEFAULT_THREADS = 8


class Lane:
    """Runs blocking functions off the loop, no more than it has slots for.

    One of `threads`, `processes` and `interpreters` says what the slots are and how many; 8 threads
    unless said otherwise. `queue` calls may wait for a slot (twice the slots), no longer than
    `queue_timeout` seconds. `deadline` is the time in seconds from a call to its answer. All of them can be
    set from outside, in `[tool.unstall.lanes.NAME]` and by `UNSTALL_LANE_NAME_THREADS` and its like.

    A lane serves any number of loops and may be made before there is one. Raises UsageError.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int | None = None,
        processes: int | None = None,
        interpreters: int | None = None,
        queue: int | None = None,
        deadline: float | None = None,
        queue_timeout: float | None = None,
    ) -> None:
        kinds = {"threads": threads, "processes": processes, "interpreters": interpreters}
        self.name = name
        self._backend, count = _chosen(name, kinds)
        code = {"queue": queue, "deadline": deadline, "queue_timeout": queue_timeout}
        code[self._backend.value] = count
        limits = limits_of(name, self._backend, code, tables_here(), os.environ)
        self._calls = Calls(name, self._backend, limits)
        self._dependencies: dict[Callable[..., Any], Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<Lane {self.name!r} of {self._calls.slots.limits.workers} {self._backend}>"

    # --- calls --------------------------------------------------------------------------------

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns or raises.

        Raises LaneFull (LaneStuck), LaneTimeout and LaneClosed if it was not begun, LaneDeadline if it
        was, LaneBroken if its worker died, UsageError for what cannot run here.
        """
        check(function)
        calls = self._calls
        return await calls.take(calls.job(function, *args, **kwargs))  # type: ignore[no-any-return]

    def wrap(self, function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
        """The function as an asynchronous one that runs in this lane."""
        check(function)
        self._calls.needs(function)
        if self._backend is not Backend.THREADS and isinstance(function, FunctionType):
            setattr(function, HIDDEN, True)

        @functools.wraps(function)
        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.run(function, *args, **kwargs)

        return wrapped

    def depends(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as a FastAPI dependency that runs here; a generator's second half does so, too.

        The same function gives the same dependency, so FastAPI's cache and overrides work.
        """
        found = self._dependencies.get(function)
        if found is None:
            found = self._dependencies[function] = dependencies.dependency(self._calls, function)
        return found

    def map(self, function: Callable[[S], T], items: Iterable[S]) -> AsyncGenerator[T, None]:
        """Results in the order of the items, with no more under way than there are free slots."""
        check(function)
        return streams.mapped(self._calls, function, items)

    def iterate(self, iterable: Iterable[T], *, batch: int = 1) -> AsyncGenerator[T, None]:
        """The items of a blocking iterable; each hop to a thread brings up to `batch` of them."""
        self._calls.needs_threads("iterate")
        if batch < 1:
            raise UsageError(f"batch is {batch}: give how many items to take at a time, 1 or more")
        return streams.iterated(self._calls, iterable, batch)

    # --- the operator ---------------------------------------------------------------------------

    def resize(
        self,
        *,
        threads: int | None = None,
        processes: int | None = None,
        interpreters: int | None = None,
        queue: int | None = None,
    ) -> None:
        """From now on. Calls that run or wait stay; a smaller lane shrinks as they end. Raises UsageError."""
        kinds = {"threads": threads, "processes": processes, "interpreters": interpreters}
        now = self._calls.slots.limits
        given = {key: value for key, value in kinds.items() if value is not None}
        code = {self._backend.value: now.workers, "queue": now.queue if queue is None else queue}
        asked = limits_of(self.name, self._backend, code | given, {}, {})
        limits = Limits(asked.workers, asked.queue, now.deadline_ns, now.queue_timeout_ns)
        self._calls.resize(limits)

    async def warm(self, *functions: Callable[..., Any]) -> None:
        """Starts every worker now; processes import the functions' modules as they start."""
        for function in functions:
            self._calls.needs(function)
        self._calls.crew.fill()
        while self._calls.crew.warming:  # noqa: ASYNC110  it is threads that end it
            await anyio.sleep(0.01)

    def close(self) -> None:
        """Refuses new calls and those that wait; those that run go on. Threads and processes end idle."""
        self._calls.close()

    def __enter__(self) -> Lane:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reading(self) -> Reading:
        """The bare numbers, for meters."""
        return self._calls.slots.reading()

    def statistics(self) -> Statistics:
        """Safe from any thread, at any time."""
        reading = self._calls.slots.reading()
        limits = self._calls.slots.limits
        waited, worked = self._calls.durations.read()
        in_threads = self._backend is Backend.THREADS
        return Statistics(
            name=self.name,
            backend=self._backend.value,
            workers=limits.workers,
            queue=limits.queue,
            running=max(0, reading.held - len(reading.left)),
            queued=reading.queued,
            abandoned=abandoned(reading.left, clock(), in_threads=in_threads),
            stuck=reading.stuck,
            closed=self._calls.slots.closed,
            rejected=reading.rejected,
            timeouts=reading.timeouts,
            deadlines=reading.deadlines,
            cancelled=reading.cancelled,
            waited=waited,
            worked=worked,
        )


def _chosen(name: str, kinds: dict[str, int | None]) -> tuple[Backend, int]:
    given = {key: count for key, count in kinds.items() if count is not None}
    if len(given) > 1:
        raise UsageError(f"the lane {name!r} has {' and '.join(given)}: give one of them")
    key, count = next(iter(given.items()), ("threads", DEFAULT_THREADS))
    if key == Backend.INTERPRETERS:
        interpreters()
    return Backend(key), count


def _forked() -> None:
    for lane in list(LANES):
        lane.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
