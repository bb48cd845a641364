"""Many calls of one lane after and beside one another, without a task of their own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from unstall.lanes.calls import Calls
    from unstall.lanes.jobs import Job

T = TypeVar("T")
S = TypeVar("S")


async def mapped(
    calls: Calls, function: Callable[[S], T], items: Iterable[S]
) -> AsyncGenerator[T, None]:
    """The oldest call may wait in the queue; those after it only take slots that are free.

    So one `map` holds at most one place in the queue, and takes items no faster than it can use them.
    """
    pending = iter(items)
    drawn: list[S] = []
    under_way: deque[Job] = deque()

    def next_drawn() -> bool:
        if not drawn:
            drawn.extend(islice(pending, 1))
        return bool(drawn)

    try:
        while under_way or next_drawn():
            if not under_way:
                under_way.append(calls.start(function, drawn[0]))
                drawn.clear()
            while len(under_way) < calls.slots.limits.workers and next_drawn():
                job = calls.start_if_free(function, drawn[0])
                if job is None:
                    break
                drawn.clear()
                under_way.append(job)
            result = await calls.answer(under_way[0])
            under_way.popleft()
            yield result
    finally:
        for job in under_way:
            calls.leave(job)


async def iterated(calls: Calls, iterable: Iterable[T], batch: int) -> AsyncGenerator[T, None]:
    source = _Source(iterable, batch)
    fetching = None
    try:
        while True:
            fetching = calls.job(source.some)
            fetching.undo = source.close
            found = await calls.take(fetching)
            for item in found:
                yield item
            if len(found) < batch:
                return
    finally:
        if fetching is None or not fetching.goes_on:  # else its thread closes it, when it is back
            await calls.cleaned(source.close)


class _Source:
    """An iterable that threads take from, one at a time, and that is closed once."""

    def __init__(self, iterable: Iterable[Any], batch: int) -> None:
        self._iterable = iterable
        self._batch = batch
        self._iterator: Iterator[Any] | None = None
        self._open = threading.Lock()

    def some(self) -> list[Any]:
        if self._iterator is None:
            self._iterator = iter(self._iterable)
        return list(islice(self._iterator, self._batch))

    def close(self, _: Any = None) -> None:
        """Ends a generator; another iterator has what it needs in its own `close`, if there is one."""
        if self._open.acquire(blocking=False):
            end = getattr(self._iterator, "close", None)
            if end is not None:
                end()
