"""How many requests are in flight on a loop that stands still: looked at for a moment at a time.

To find the request of a task takes some microseconds with the interpreter lock held, and a busy service has
thousands of tasks. The loop stands, so what was not reached in one look is found unchanged by the next.
"""

from __future__ import annotations

import asyncio
import sys
import time
import weakref
from collections.abc import Callable

from unstall.watch.scope import ASGIScope, scope_of_task

BUDGET_NS = 1_000_000
"""For each look, with the interpreter lock held."""
MOST_TASKS = 20_000
_AT_ONCE = 8


class Census:
    """Of one stretch. The tasks are those of its first look, and none is kept alive by it.

    WebSockets are not counted: an open one mostly waits for its client, and would be a victim of every
    stall.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        culprits: ASGIScope | None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._loop = loop
        self._clock = clock
        tasks = references(loop)
        self._cut = len(tasks) > MOST_TASKS
        self._left = tasks[:MOST_TASKS]
        self._seen = {id(culprits)}

    @property
    def counted(self) -> int:
        """Requests in flight so far, without the culprit's."""
        return len(self._seen) - 1

    @property
    def cut(self) -> bool:
        """Not all tasks were looked at: there may be more."""
        return self._cut or bool(self._left)

    def go_on(self, budget_ns: int = BUDGET_NS) -> None:
        until = self._clock() + budget_ns
        while self._left:
            for reference in self._left[-_AT_ONCE:]:
                self._look_at(reference())
            del self._left[-_AT_ONCE:]
            if self._clock() >= until:
                return

    def _look_at(self, task: asyncio.Task[object] | None) -> None:
        if task is None or task.get_loop() is not self._loop:
            return
        scope = scope_of_task(task)
        if scope is not None and scope.get("type") == "http":
            self._seen.add(id(scope))


def references(loop: asyncio.AbstractEventLoop) -> list[weakref.ref[asyncio.Task[object]]]:
    """To all tasks, those of other loops among them.

    `asyncio.all_tasks` looks into each: the table it reads is copied at a fiftieth of its cost.
    """
    if sys.version_info < (3, 14):
        for name in ("_scheduled_tasks", "_all_tasks"):  # 3.12 and 3.13, 3.11
            data = getattr(getattr(asyncio.tasks, name, None), "data", None)
            if isinstance(data, set):
                return list(data)
    return [weakref.ref(task) for task in asyncio.all_tasks(loop)]
