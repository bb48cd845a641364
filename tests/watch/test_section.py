"""`section` does what its docstring says: in requests and outside, in threads, tasks and decorators."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

import unstall
from tests.support.measured import MS, Seen, away_ms, client, held_ms, only, pieces, spin, watched
from unstall import section
from unstall.meters import METERS
from unstall.settings import Settings
from unstall.watch.monitor import Monitor
from unstall.watch.scope import NEVER, REQUESTS

pytestmark = pytest.mark.frameworks


def in_handler(work: Callable[[], Awaitable[Any]]) -> Seen:
    """The work, done by an async route."""
    app = FastAPI()

    @app.get("/")
    async def handler() -> None:
        await work()

    async def ask() -> None:
        async with client(app) as http:
            (await http.get("/")).raise_for_status()

    return watched(ask)


def spun(ms: float) -> float:
    spin(ms)
    return ms


def sums(kind: str = "") -> dict[str, tuple[float, int]]:
    """Seconds and number of calls of each section, from the meters of a running monitor."""
    (family,) = [f for f in METERS.families() if f.name == f"unstall_section{kind}_seconds"]
    return {sample.labels[0]: (sample.value, sum(sample.buckets)) for sample in family.samples}


@pytest.fixture(autouse=True)
def from_zero() -> None:
    for meter in unstall.watch.section.SECTIONS:
        meter.renew()


# --- in a request ---------------------------------------------------------------------------


def test_a_block_knows_how_long_it_took_and_held_the_loop() -> None:
    async def work() -> None:
        spin(4)
        with section("part"):
            spin(5)
            await asyncio.sleep(0.03)
            spin(5)

    request = in_handler(work).request
    part, endpoint = only(request, "section", "part"), only(request, "endpoint")
    assert held_ms(part) >= 10
    assert away_ms(part) >= 30
    assert part.depth == endpoint.depth + 1
    assert endpoint.own_ns >= 4 * MS
    assert held_ms(endpoint) >= held_ms(part)
    assert endpoint.own_ns <= endpoint.took_ns - part.took_ns + MS


def test_nested_blocks_share_nothing_twice() -> None:
    async def work() -> None:
        with section("outer"):
            spin(3)
            with section("inner"):
                spin(4)
                await asyncio.sleep(0.01)
            with section("inner"):
                spin(4)

    request = in_handler(work).request
    outer = only(request, "section", "outer")
    inner = pieces(request, "section", "inner")
    assert [piece.depth for piece in inner] == [outer.depth + 1] * 2
    assert held_ms(outer) >= 11
    assert outer.own_ns >= 3 * MS
    together = sum(held_ms(piece) for piece in inner)
    assert together + outer.own_ns / MS == pytest.approx(held_ms(outer), abs=0.5)


def test_a_block_that_raises_is_measured_and_the_next_is_not_inside_it() -> None:
    async def work() -> None:
        with pytest.raises(ZeroDivisionError), section("breaks"):
            _ = [spun(2), 1 // 0]
        with section("next"):
            spin(1)

    request = in_handler(work).request
    assert held_ms(only(request, "section", "breaks")) >= 2
    assert only(request, "section", "next").depth == only(request, "section", "breaks").depth


def test_a_block_in_a_worker_thread_does_not_hold_the_loop() -> None:
    def report() -> None:
        with section("in a thread"):
            time.sleep(0.02)
            with section("deeper"):
                time.sleep(0.01)

    async def work() -> None:
        await asyncio.to_thread(report)

    request = in_handler(work).request
    thread = only(request, "thread", "report")
    part, deeper = only(request, "section", "in a thread"), only(request, "section", "deeper")
    assert (part.depth, deeper.depth) == (thread.depth + 1, thread.depth + 2)
    assert held_ms(part) == held_ms(deeper) == 0
    assert part.worked_ns >= 30 * MS
    assert deeper.worked_ns >= 10 * MS


def test_a_block_in_a_task_is_charged_for_that_task_alone() -> None:
    async def child() -> None:
        with section("child"):
            spin(5)
            await asyncio.sleep(0.01)

    async def work() -> None:
        task = asyncio.create_task(child())
        with section("waits"):
            await asyncio.sleep(0.05)
        with section("joins"):
            await asyncio.gather(task, child())

    request = in_handler(work).request
    children = pieces(request, "section", "child")
    assert [held_ms(child) >= 5 for child in children] == [True, True]
    assert held_ms(only(request, "section", "waits")) < 5, "it did not start the task"
    assert held_ms(only(request, "section", "joins")) >= 5, "it started the second"


def test_a_block_in_a_callback_belongs_to_the_request_and_says_only_how_long_it_took() -> None:
    async def work() -> None:
        with section("schedules"):
            done = asyncio.Event()

            def callback() -> None:
                with section("callback"):
                    spin(3)
                done.set()

            asyncio.get_running_loop().call_soon(callback)
            await done.wait()

    request = in_handler(work).request
    callback = only(request, "section", "callback")
    assert callback.depth == 1
    assert callback.took_ns >= 3 * MS
    assert callback.held_ns is None


def test_a_decorated_function_is_a_section_with_each_call() -> None:
    @section("async part")
    async def asynchronous(value: int) -> int:
        spin(3)
        await asyncio.sleep(0.01)
        return value

    @section("plain part")
    def synchronous(value: int) -> int:
        spin(3)
        return value

    async def work() -> None:
        assert await asynchronous(1) == 1
        assert await asynchronous(value=2) == 2
        assert synchronous(3) == 3

    assert asynchronous.__name__ == "asynchronous"
    assert asyncio.iscoroutinefunction(asynchronous)
    request = in_handler(work).request
    for part in pieces(request, "section", "async part"):
        assert held_ms(part) >= 3
        assert away_ms(part) >= 10
    assert len(pieces(request, "section", "async part")) == 2
    assert held_ms(only(request, "section", "plain part")) >= 3


def test_a_decorated_function_may_call_itself() -> None:
    @section("down")
    def down(n: int) -> int:
        return n if n == 0 else down(n - 1)

    async def work() -> None:
        down(3)

    parts = pieces(in_handler(work).request, "section", "down")
    assert [part.depth - parts[0].depth for part in parts] == [0, 1, 2, 3]


def test_an_error_of_a_decorated_function_passes_as_it_is() -> None:
    error = LookupError("mine")

    @section("breaks")
    async def breaks() -> None:
        raise error

    async def work() -> None:
        with pytest.raises(LookupError) as caught:
            await breaks()
        assert caught.value is error

    only(in_handler(work).request, "section", "breaks")


def test_a_generator_function_cannot_be_decorated_and_is_told_why() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for generator in (numbers, later):
        with pytest.raises(TypeError, match=r"use `with section\(...\)` inside it"):
            section("numbers")(generator)


# --- elsewhere ------------------------------------------------------------------------------


def test_outside_of_requests_a_block_knows_how_long_it_took_and_a_coroutine_also_what_it_held() -> (
    None
):
    @section("decorated")
    async def decorated() -> None:
        spin(3)
        await asyncio.sleep(0.02)

    async def main() -> None:
        with section("block"):
            await asyncio.sleep(0.02)
        await decorated()

    with Monitor(Settings()):
        asyncio.run(main())
        took, held = sums(), sums("_held")
    assert took["block"][0] >= 0.019
    assert took["decorated"][0] >= 0.022
    assert set(held) == {"decorated"}
    assert 0.003 <= held["decorated"][0] <= took["decorated"][0] - 0.01


def test_the_meters_count_every_call_once() -> None:
    async def work() -> None:
        for _ in range(100):  # more than one path shows
            with section("many"):
                pass

    with Monitor(Settings()):
        in_handler(work)
        assert sums()["many"][1] == 100


def test_while_requests_are_sampled_a_measured_one_stands_for_all_and_no_other_is_counted() -> None:
    @section("decorated")
    async def decorated() -> None: ...

    app = FastAPI()

    @app.get("/")
    async def work() -> None:
        with section("block"):
            await decorated()

    async def ask() -> None:
        async with client(app) as http:
            REQUESTS.every, REQUESTS.due = 5, NEVER
            await http.get("/")
            await http.get("/")
            REQUESTS.due = 0
            await http.get("/")

    monitor = Monitor(Settings())
    monitor._measure.adapt = lambda now: None  # type: ignore[method-assign]
    with monitor:
        asyncio.run(ask())
        counted = {name: calls for name, (_, calls) in sums().items()}
    assert counted == {"block": 3, "decorated": 3}


def test_without_a_monitor_nothing_is_done() -> None:
    @section("decorated")
    async def decorated() -> int:
        with section("inside"):
            return 1

    assert asyncio.run(decorated()) == 1
    assert all(not meter.family().samples for meter in unstall.watch.section.SECTIONS)
    assert not [f for f in METERS.families() if "section" in f.name]


def test_a_monitor_that_starts_or_stops_inside_a_block_does_no_harm() -> None:
    with section("begun before"):
        monitor = Monitor(Settings()).start()
        inside = section("begun inside")
        inside.__enter__()
        monitor.stop()
    inside.__exit__(None, None, None)
