"""Steps are clocked exactly: who held the loop, who waited, and who is charged for whom."""

from __future__ import annotations

import asyncio
import gc
import inspect
import types
import warnings
import weakref
from collections.abc import Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from tests.support.measured import MS, spin
from unstall.watch.held import (
    HERE,
    MOST_SPANS,
    SWAP,
    Followed,
    LoopTasks,
    Path,
    Span,
    Swap,
    timed,
)


def a_path() -> Path:
    return Path({}, 1, lambda _: None)


def piece(path: Path, outer: Span | None = None, name: str = "piece") -> Span:
    span = path.open("section", name, outer or path.root)
    assert span is not None
    return span


async def in_path(path: Path, work: Coroutine[Any, Any, Any]) -> Any:
    return await timed(work, path.root)


@types.coroutine
def pause() -> Iterator[None]:
    yield


@pytest.fixture(autouse=True)
def nothing_is_left_on_this_thread() -> Iterator[None]:
    yield
    assert HERE.span is None


# --- one coroutine --------------------------------------------------------------------------


def test_what_a_coroutine_computes_is_held_and_what_it_waits_for_is_not() -> None:
    path = a_path()

    async def work() -> str:
        spin(5)
        await asyncio.sleep(0.05)
        spin(5)
        return "done"

    assert asyncio.run(in_path(path, work())) == "done"
    assert path.held_ns >= 10 * MS
    assert path.root.took_ns - path.held_ns >= 40 * MS


def test_a_piece_inside_is_charged_to_itself_and_to_all_around_it() -> None:
    path = a_path()
    inner = piece(path)

    async def inside() -> None:
        spin(6)

    async def work() -> None:
        spin(2)
        await timed(inside(), inner)

    asyncio.run(in_path(path, work()))
    assert inner.own_ns >= 6 * MS
    assert path.held_ns >= 8 * MS
    assert path.root.own_ns == path.held_ns - inner.steps_ns
    assert path.root.own_ns >= 2 * MS


def test_a_coroutine_that_raises_is_clocked_and_its_error_passes_as_it_is() -> None:
    path, error = a_path(), ValueError("mine")

    async def work() -> None:
        spin(2)
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        asyncio.run(in_path(path, work()))
    assert caught.value is error
    assert error.__context__ is None
    assert path.held_ns >= 2 * MS
    assert path.root.took_ns >= 0


def test_an_error_does_not_keep_itself_alive() -> None:
    """As without us: who handled it is rid of it, and of all that its frames hold."""

    class Mine(Exception):
        pass

    def handled(thrown: bool) -> weakref.ref[Mine]:
        async def work() -> None:
            await pause()
            raise Mine

        coroutine = in_path(a_path(), work())
        coroutine.send(None)
        try:
            coroutine.throw(Mine()) if thrown else coroutine.send(None)
        except Mine as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        assert [handled(thrown)() for thrown in (False, True)] == [None, None]
    finally:
        gc.enable()


def test_a_cancelled_coroutine_sees_the_cancellation_where_it_waits() -> None:
    path = a_path()
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            spin(2)
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise

    async def main() -> None:
        task = asyncio.ensure_future(in_path(path, work()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["cancelled", "cleaned up"]
    assert path.held_ns >= 2 * MS


def test_a_coroutine_that_is_closed_ends_its_piece() -> None:
    path = a_path()
    closed: list[bool] = []

    async def work() -> None:
        try:
            await pause()
        except GeneratorExit:
            closed.append(True)
            raise

    coroutine = in_path(path, work())
    coroutine.send(None)
    coroutine.close()
    assert closed == [True]
    assert path.root.took_ns >= 0


def test_a_coroutine_that_refuses_to_be_closed_is_told_so_as_without_us() -> None:
    async def work() -> None:
        try:
            await pause()
        except GeneratorExit:
            await pause()

    path = a_path()
    coroutine = in_path(path, work())
    coroutine.send(None)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        coroutine.close()
    assert path.root.took_ns >= 0


# --- tasks ----------------------------------------------------------------------------------


def followed(work: Coroutine[Any, Any, Any], span: Span) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(Followed(work, span))


def test_a_task_is_charged_to_itself_and_to_all_who_started_it() -> None:
    path = a_path()
    starter = piece(path, name="starter")
    task = piece(path, starter, "task")

    async def child() -> str:
        spin(5)
        await asyncio.sleep(0.02)
        spin(5)
        return "from the task"

    async def start() -> str:
        result: str = await followed(child(), task)
        return result

    async def work() -> str:
        result: str = await timed(start(), starter)
        return result

    assert asyncio.run(in_path(path, work())) == "from the task"
    for span in (task, starter, path.root):
        assert span.held_ns is not None
        assert span.held_ns >= 10 * MS
    assert task.took_ns - task.steps_ns >= 10 * MS
    assert starter.own_ns < task.own_ns, "the steps of the task are the task's own"
    assert path.held_ns >= task.steps_ns + path.root.steps_ns


def test_a_bystander_task_is_charged_to_nobody() -> None:
    path = a_path()

    async def bystander() -> None:
        spin(30)

    async def work() -> None:
        await asyncio.sleep(0.05)

    async def main() -> None:
        other = asyncio.ensure_future(bystander())
        await in_path(path, work())
        await other

    asyncio.run(main())
    assert path.held_ns < 30 * MS
    assert path.root.took_ns >= 40 * MS


def test_a_task_that_outlives_its_request_is_no_longer_clocked() -> None:
    path = a_path()
    span = piece(path)

    async def lives_on() -> None:
        await asyncio.sleep(0)
        path.over = True
        await asyncio.sleep(0)
        spin(5)

    async def main() -> None:
        await followed(lives_on(), span)

    asyncio.run(main())
    assert span.steps_ns < 5 * MS


def test_a_task_that_is_cancelled_before_its_first_step_ends_without_a_word() -> None:
    async def never_begins() -> None:
        raise AssertionError

    async def main() -> None:
        task = followed(never_begins(), piece(a_path()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()


def test_a_followed_task_looks_like_what_it_is() -> None:
    async def named_work() -> None:
        await asyncio.sleep(0.01)

    async def main() -> None:
        task = followed(named_work(), piece(a_path()))
        await asyncio.sleep(0)
        coroutine: Any = task.get_coro()
        assert coroutine.__qualname__.endswith("named_work")
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_SUSPENDED
        assert "named_work" in repr(task)
        assert [frame.f_code.co_name for frame in task.get_stack()] == ["named_work"]
        await task

    asyncio.run(main())


def test_a_followed_coroutine_can_be_awaited_and_closed() -> None:
    path = a_path()
    span, other = piece(path), piece(path)

    async def two() -> int:
        await asyncio.sleep(0)
        return 2

    async def main() -> int:
        result: int = await Followed(two(), span)
        return result

    assert asyncio.run(main()) == 2
    assert span.took_ns >= 0
    Followed(two(), other).close()
    assert other.took_ns >= 0


# --- what is replaced while a step runs -----------------------------------------------------


def test_a_function_is_replaced_while_a_measured_step_runs_and_at_no_other_time() -> None:
    host = SimpleNamespace(call="original")
    entry = (host, "call", "original", "ours")
    SWAP.add(entry)
    seen: list[str] = []

    async def bystander() -> None:
        seen.append(host.call)

    async def work() -> None:
        seen.append(host.call)
        await asyncio.sleep(0.01)
        seen.append(host.call)

    async def main() -> None:
        other = asyncio.ensure_future(bystander())
        await in_path(a_path(), work())
        await other
        seen.append(host.call)

    try:
        asyncio.run(main())
    finally:
        SWAP.remove([entry])
    assert seen == ["ours", "original", "ours", "original"]


def test_what_the_host_replaces_itself_is_left_alone() -> None:
    host = SimpleNamespace(call="original")
    swap = Swap()
    entry = (host, "call", "original", "ours")
    swap.add(entry)
    host.call = "the host's"
    swap.on(())
    assert host.call == "the host's"
    host.call = "original"
    swap.on(())
    host.call = "the host's, in the middle of a step"
    swap.off(())
    assert host.call == "the host's, in the middle of a step"


def test_only_the_layers_of_the_app_that_runs_are_replaced() -> None:
    mine, other = SimpleNamespace(app=1), SimpleNamespace(app=2)
    swap = Swap()
    swap.on(((mine, "app", 1, "layer"),))
    assert (mine.app, other.app) == ("layer", 2)
    swap.off(((mine, "app", 1, "layer"),))
    assert mine.app == 1


def test_what_is_removed_in_the_middle_of_a_step_is_put_back() -> None:
    host = SimpleNamespace(a="a", b="b")
    swap = Swap()
    first, second = (host, "a", "a", "ours"), (host, "b", "b", "ours")
    swap.add(first, second)
    swap.on(())
    swap.remove([first])
    assert (host.a, host.b) == ("a", "ours")
    swap.off(())
    assert (host.a, host.b) == ("a", "b")


def test_a_path_has_a_bounded_number_of_pieces_and_counts_the_rest() -> None:
    path = a_path()
    opened = [path.open("section", "s", path.root) for _ in range(MOST_SPANS + 9)]
    assert len(path.spans) == MOST_SPANS
    assert path.cut == opened.count(None) == 10, "the request itself is one of them"


# --- tasks that a step starts ---------------------------------------------------------------


def seen_by(told: list[str]) -> Any:
    def wrapper(original: Any) -> Any:
        def create_task(coro: Any, **named: Any) -> Any:
            told.append(coro.__name__)
            return original(coro, **named)

        return create_task

    return wrapper


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_tasks_are_seen_only_while_a_step_of_the_path_runs(run: Any) -> None:
    told: list[str] = []

    async def child() -> None: ...

    async def bystander() -> None: ...

    async def work() -> None:
        await asyncio.create_task(child())
        await asyncio.sleep(0.02)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = Path({}, 1, lambda _: None, tasks=LoopTasks(loop, seen_by(told)))
        measured = asyncio.ensure_future(in_path(path, work()))
        while not measured.done():
            await asyncio.create_task(bystander())
            await asyncio.sleep(0.002)
        assert "create_task" not in vars(loop)

    run(main())
    assert told == ["child"]


def test_a_loop_whose_host_starts_tasks_in_a_way_of_its_own_is_left_alone() -> None:
    told: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        own = seen_by([])(loop.create_task)
        loop.create_task = own  # type: ignore[method-assign]
        path = Path({}, 1, lambda _: None, tasks=LoopTasks(loop, seen_by(told)))
        await in_path(path, asyncio.sleep(0))
        assert loop.create_task is own

    asyncio.run(main())
    assert told == []
