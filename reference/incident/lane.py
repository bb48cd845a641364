"""A place of its own for one blocking call: few threads, a short queue, and a clear no."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class LaneFull(Exception):
    """The lane takes no more work now; `retry_after` is in whole seconds."""

    def __init__(self, name: str, retry_after: int) -> None:
        super().__init__(f"the lane {name} is full")
        self.retry_after = retry_after


class Lane:
    """At most `threads` calls run, at most `queue` wait, each for at most `timeout` seconds.

    A slot is free again when the thread has really returned. A request that is cancelled or has
    run out of time does not free it: its thread is still busy, so the bound would be a lie.
    """

    def __init__(self, name: str, *, threads: int, queue: int, timeout: float) -> None:
        self.name = name
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._slots = threading.Semaphore(threads + queue)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` on a thread of this lane and return what it returns.

        Raises `LaneFull` at once when threads and queue are taken, or when no thread came free
        in time.
        """
        if not self._slots.acquire(blocking=False):
            raise self._full()
        job = self._threads.submit(function, *args, **kwargs)
        job.add_done_callback(lambda _: self._slots.release())
        answer = asyncio.wrap_future(job)
        try:
            done, _ = await asyncio.wait({answer}, timeout=self._timeout)
            if not done and job.cancel():  # only a job that no thread has begun can be cancelled
                raise self._full()
            return await answer
        finally:
            answer.cancel()

    def _full(self) -> LaneFull:
        return LaneFull(self.name, max(1, math.ceil(self._timeout)))

    def close(self) -> None:
        """Drop what waits; threads end with their calls."""
        self._threads.shutdown(wait=False, cancel_futures=True)
