"""Requests in flight, counted a little at each look, and never more than there are."""

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref
from typing import Any

from unstall.watch.census import Census
from unstall.watch.held import Path, timed
from unstall.watch.scope import ASGIScope, Scope

ENOUGH_NS = 60_000_000_000


async def waits(*_: Any) -> Any:
    await asyncio.sleep(60)


def http(path: str = "/") -> ASGIScope:
    return {"type": "http", "method": "GET", "path": path, "headers": []}


async def served(scope: ASGIScope) -> None:
    await Scope(waits)(scope, waits, waits)


def with_tasks(scopes: list[ASGIScope], look: Any) -> Any:
    """What `look` finds on a loop where these requests are in flight."""

    async def main() -> Any:
        tasks = [asyncio.create_task(served(scope)) for scope in scopes]
        await asyncio.sleep(0.01)
        found = look(asyncio.get_running_loop())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found

    return asyncio.run(main())


def counted(loop: Any, culprits: ASGIScope | None = None) -> tuple[int, bool]:
    census = Census(loop, culprits)
    census.go_on(ENOUGH_NS)
    return census.counted, census.cut


def test_http_requests_whose_tasks_are_suspended_are_in_flight_and_websockets_are_not() -> None:
    socket: ASGIScope = {"type": "websocket", "path": "/ws"}
    assert with_tasks([http("/a"), http("/b"), socket], counted) == (2, False)


def test_the_culprits_own_request_is_no_victim() -> None:
    mine = http("/a")
    assert with_tasks([mine, http("/b")], lambda loop: counted(loop, mine)) == (1, False)


def test_tasks_of_another_loop_are_not_counted() -> None:
    other = asyncio.new_event_loop()
    try:
        assert with_tasks([http()], lambda _: counted(other)) == (0, False)
    finally:
        other.close()


def test_one_look_at_thousands_of_requests_takes_its_time_and_no_more_and_the_next_goes_on() -> (
    None
):
    def look(loop: Any) -> list[tuple[int, bool]]:
        ticks = itertools.count(step=100)
        census = Census(loop, None, clock=lambda: next(ticks))  # 100 ns for each handful of tasks
        seen = []
        for _ in range(1_000):
            census.go_on(budget_ns=1_000)
            seen.append((census.counted, census.cut))
            if not census.cut:
                break
        return seen

    seen = with_tasks([http() for _ in range(2_500)], look)
    first, last = seen[0], seen[-1]
    assert 0 < first[0] <= 100
    assert first[1]
    assert last == (2_500, False)
    assert [n for n, _ in seen] == sorted(n for n, _ in seen)


def test_a_request_that_is_measured_is_found_behind_what_measures_it() -> None:
    async def measured(scope: ASGIScope) -> None:
        await timed(served(scope), Path(scope, 1, lambda _: None).root)

    async def main() -> tuple[int, bool]:
        task = asyncio.create_task(measured(http()))
        await asyncio.sleep(0.01)
        found = counted(asyncio.get_running_loop())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    assert asyncio.run(main()) == (1, False)


def test_a_task_that_ends_between_two_looks_is_not_kept_alive() -> None:
    async def main() -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(served(http()))
        await asyncio.sleep(0.01)
        census = Census(loop, None)
        gone = weakref.ref(task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del task
        await asyncio.sleep(0)
        gc.collect()
        alive = gone()
        census.go_on(ENOUGH_NS)
        return alive, census.counted

    assert asyncio.run(main()) == (None, 0)
