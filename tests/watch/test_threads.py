"""How long work waited for a thread, told as what it is: a full pool and no blocked loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import anyio
import anyio.to_thread
import pytest
from anyio import CapacityLimiter
from fastapi import Depends, FastAPI

import unstall
from tests.support.measured import MS, Seen, client, only, pieces, watched
from unstall.explain.costs import thread_costs
from unstall.meters import METERS
from unstall.report.costs import thread_lines
from unstall.settings import Settings
from unstall.watch.monitor import Monitor

pytestmark = pytest.mark.frameworks

WORK_S = 0.1
ALL_HERE = threading.Event()
"""Until then whoever has a thread keeps it: those who come later, on a busy machine, find it taken."""


@pytest.fixture(autouse=True)
def nobody_is_waited_for() -> Iterator[None]:
    ALL_HERE.set()
    yield
    ALL_HERE.set()


def busy() -> None:
    ALL_HERE.wait(20)
    time.sleep(WORK_S)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.001)


def def_route() -> FastAPI:
    app = FastAPI()
    app.get("/")(busy)
    return app


def waiting(limiter: CapacityLimiter) -> int:
    return limiter.statistics().tasks_waiting


def at_once(
    app: FastAPI,
    times: int,
    tokens: int | None = None,
    queued: Callable[[], object] | None = None,
) -> Seen:
    """So many requests at the same time, on a default limiter of so many tokens.

    Who has a thread keeps it until all others have `queued`, by default for that limiter.
    """

    async def ask() -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        all_here = queued
        if tokens is not None:
            limiter.total_tokens = tokens
            all_here = all_here or (lambda: waiting(limiter) == times - tokens)
        if all_here is not None:
            ALL_HERE.clear()
        async with client(app) as http:
            asking = [asyncio.ensure_future(http.get("/")) for _ in range(times)]
            if all_here is not None:
                await until(all_here)
                ALL_HERE.set()
            answers = await asyncio.gather(*asking)
        assert {answer.status_code for answer in answers} == {200}

    return watched(ask)


# --- anyio's limiters -----------------------------------------------------------------------


def test_six_calls_on_two_tokens_are_told_as_what_they_are() -> None:
    seen = at_once(def_route(), 6, tokens=2)
    row = seen.pool("anyio default", ":busy")
    assert (row.calls, row.tokens, row.full, row.waiting_max) == (6, 2, 4, 4)
    assert row.worked.count == row.queued.count == 6
    assert row.worked.sum_ns >= 6 * WORK_S * 1e9
    # Two begin at once, two wait for one round, two for two.
    assert row.queued.max_ns >= 1.5 * WORK_S * 1e9
    assert row.queued.sum_ns >= (1.5 + 3) * WORK_S * 1e9
    endpoints = [only(request, "endpoint") for request in seen.slow]
    assert sum(piece.queued_ns for piece in endpoints) == row.queued.sum_ns
    for piece in endpoints:
        assert piece.waited_ns < piece.took_ns / 2, "it queued or it worked, it did not wait"
    for request in seen.slow:
        assert request.held_ns < request.took_ns / 2, "the loop was free"

    (line,) = thread_lines(thread_costs([row]))
    assert line.startswith("anyio default (2 threads): 6 calls of 1")
    assert "; 4 found every thread taken, and the longest wait for one was " in line
    assert line.endswith(":busy")


def test_nothing_is_said_of_a_pool_with_a_thread_for_everybody() -> None:
    seen = at_once(def_route(), 4)
    row = seen.pool("anyio default", ":busy")
    assert (row.calls, row.full, row.waiting_max) == (4, 0, 0)
    assert thread_lines(thread_costs(seen.threads)) == []


def test_a_named_limiter_has_its_name_and_another_its_size() -> None:
    app = FastAPI()
    limiters: dict[str, CapacityLimiter] = {}

    @app.get("/")
    async def work() -> None:
        if not limiters:
            limiters.update(named=CapacityLimiter(1), plain=CapacityLimiter(3))
            unstall.name_limiter(limiters["named"], "billing")
        for limiter in limiters.values():
            await anyio.to_thread.run_sync(busy, limiter=limiter)

    seen = at_once(app, 3, queued=lambda: limiters and waiting(limiters["named"]) == 2)
    billing = seen.pool("billing", ":busy")
    assert (billing.tokens, billing.calls, billing.full) == (1, 3, 2)
    assert seen.pool("limiter of 3", ":busy").full == 0
    assert [line.partition(" (")[0] for line in thread_lines(thread_costs(seen.threads))] == [
        "billing"
    ]


def test_a_limiter_may_be_named_after_it_was_used() -> None:
    async def work() -> None:
        limiter = CapacityLimiter(2)
        await anyio.to_thread.run_sync(busy, limiter=limiter)
        unstall.name_limiter(limiter, "late")
        await anyio.to_thread.run_sync(busy, limiter=limiter)

    assert {row.pool for row in watched(work).threads} == {"limiter of 2", "late"}


def test_the_default_limiter_is_known_when_it_is_named_by_the_caller() -> None:
    async def work() -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        await anyio.to_thread.run_sync(busy, limiter=limiter)

    assert watched(work).pool("anyio default", ":busy").calls == 1


def test_results_errors_and_cancellation_pass_as_they_are() -> None:
    error = LookupError("mine")

    def fails() -> None:
        raise error

    async def work() -> None:
        assert await anyio.to_thread.run_sync(sorted, [2, 1]) == [1, 2]
        with pytest.raises(LookupError) as caught:
            await anyio.to_thread.run_sync(fails)
        assert caught.value is error
        with anyio.move_on_after(0.01) as scope:
            await anyio.to_thread.run_sync(busy, abandon_on_cancel=True)
        assert scope.cancelled_caught
        assert await asyncio.to_thread(sorted, [2, 1], reverse=True) == [2, 1]

    rows = watched(work).threads
    assert {row.function.rpartition(":")[2].rpartition(".")[2] for row in rows} >= {
        "sorted",
        "fails",
    }


def test_a_dependency_in_a_thread_shows_how_long_it_queued() -> None:
    app = FastAPI()

    @app.get("/")
    async def work(_: Annotated[None, Depends(busy)]) -> None: ...

    seen = at_once(app, 2, tokens=1)
    queued = sorted(only(request, "dependency", ":busy").queued_ns for request in seen.slow)
    assert queued[1] >= WORK_S * 1e9 / 2
    assert seen.pool("anyio default", ":busy").full == 1


def test_the_exit_of_a_sync_generator_is_a_dependency_in_a_thread_of_its_own() -> None:
    app = FastAPI()

    def session() -> Iterator[None]:
        yield
        time.sleep(0.02)

    @app.get("/")
    async def work(_: Annotated[None, Depends(session)]) -> None: ...

    request = at_once(app, 1).request
    after = only(request, "dependency", "session (exit)")
    assert after.hops == 1
    assert after.worked_ns >= 20 * MS


# --- executors ------------------------------------------------------------------------------


def test_resolving_a_name_waits_behind_what_keeps_the_default_executor() -> None:
    """The loop's default executor also asks for addresses: a full one stops every new connection."""
    app = FastAPI()

    @app.get("/")
    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(2, thread_name_prefix="asyncio"))
        busy_ones = [asyncio.create_task(asyncio.to_thread(busy)) for _ in range(2)]
        await asyncio.sleep(0)
        await loop.getaddrinfo("localhost", 80)
        await asyncio.gather(*busy_ones)

    seen = at_once(app, 1)
    names = seen.pool("executor asyncio", "socket:getaddrinfo")
    assert (names.calls, names.full, names.tokens) == (1, 1, 2)
    assert names.queued.max_ns >= WORK_S * 1e9 / 2
    assert seen.pool("executor asyncio", ":busy").full == 0
    thread = only(seen.request, "thread", "getaddrinfo")
    assert thread.queued_ns == names.queued.max_ns
    (line,) = thread_lines(thread_costs(seen.threads))
    assert "executor asyncio (2 threads): 3 calls" in line
    assert "1 found every thread taken" in line


def test_an_executor_of_the_application_is_named_by_its_prefix() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="reports") as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, busy) for _ in range(2)))

    row = watched(work).pool("executor reports", ":busy")
    assert (row.calls, row.tokens, row.full) == (2, 1, 1)


def test_futures_of_an_executor_are_what_they_were() -> None:
    error = LookupError("mine")

    def fails() -> None:
        raise error

    with Monitor(Settings()), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        assert pool.submit(dict, a=1).result() == {"a": 1}
        assert pool.submit(fails).exception() is error


def test_work_sent_on_by_a_thread_is_inside_it() -> None:
    app = FastAPI()

    def outer() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(busy).result()

    @app.get("/")
    async def work() -> None:
        await asyncio.to_thread(outer)

    request = at_once(app, 1).request
    first, second = only(request, "thread", ".outer"), only(request, "thread", ":busy")
    assert second.depth == first.depth + 1
    assert first.worked_ns >= second.worked_ns >= WORK_S * 1e9
    assert request.held_ns < WORK_S * 1e9


# --- meters and bounds ----------------------------------------------------------------------


def test_threads_have_meters_while_the_monitor_runs() -> None:
    read: dict[str, dict[tuple[str, ...], float]] = {}

    async def work() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 2
        calls = [anyio.to_thread.run_sync(busy) for _ in range(3)]
        ALL_HERE.clear()
        running = asyncio.gather(*calls)
        limiter = anyio.to_thread.current_default_thread_limiter()
        await until(lambda: waiting(limiter) == 1)
        for family in METERS.families():
            read[family.name] = {sample.labels: sample.value for sample in family.samples}
        ALL_HERE.set()
        await running

    watched(work)
    pool = ("anyio default",)
    assert read["unstall_thread_tokens"][pool] == 2
    assert read["unstall_thread_busy"][pool] == 2
    assert read["unstall_thread_waiting"][pool] == 1
    assert not [f for f in METERS.families() if f.name.startswith("unstall_thread")]


def test_rows_are_bounded_and_no_call_is_lost() -> None:
    def named(n: int) -> Callable[[], None]:
        def function() -> None: ...

        function.__qualname__ = f"function_{n}"
        return function

    with Monitor(Settings()) as monitor, ThreadPoolExecutor(1) as pool:
        for n in range(400):
            pool.submit(named(n))
    rows = monitor._threads.taken(0) or monitor.recording().threads
    assert len(rows) <= 201
    assert sum(row.calls for row in rows) == 400
    assert next(row for row in rows if row.function == "other").calls >= 199


def test_an_executor_we_cannot_read_still_works() -> None:
    class Odd(ThreadPoolExecutor):
        def submit(self, *args: Any, **named: Any) -> Any:
            queue, self._work_queue = self._work_queue, None  # type: ignore[assignment]
            try:
                return super().submit(*args, **named)
            finally:
                self._work_queue = queue

    with Monitor(Settings()) as monitor:
        pool = Odd(1)
        with pytest.raises(AttributeError, match="put"):  # as without us
            pool.submit(busy)
        pool.shutdown()
    assert monitor.statistics().dropped == {"internal AttributeError": 1}


def test_a_piece_of_each_thread_is_there_even_when_many_are_sent() -> None:
    app = FastAPI()

    def quick() -> None: ...

    @app.get("/")
    async def work() -> None:
        await asyncio.gather(*(asyncio.to_thread(quick) for _ in range(20)))

    request = at_once(app, 1).request
    assert len(pieces(request, "thread", ".quick")) == 20
