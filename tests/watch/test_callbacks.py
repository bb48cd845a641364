"""Callbacks of others run apart from the watchdog: slow ones, ones that raise, ones that never return."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from unstall.model.finding import Stall
from unstall.settings import Settings
from unstall.watch.callbacks import MOST_PENDING, TOO_BUSY, Worker
from unstall.watch.carried import Carried
from unstall.watch.monitor import Monitor

SETTINGS = Settings(threshold_ms=60)
PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "unstall-callback":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "unstall-callback"]


def test_values_come_in_order_on_one_thread_that_is_not_the_callers() -> None:
    heard: list[tuple[int, int]] = []
    worker: Worker[int] = Worker(lambda n: heard.append((n, threading.get_ident())), print)
    for number in range(MOST_PENDING // 2):
        worker.put(number)
    worker.stop(PATIENCE_S)
    assert [number for number, _ in heard] == list(range(MOST_PENDING // 2))
    assert len({ident for _, ident in heard}) == 1
    assert heard[0][1] != threading.get_ident()


def test_nothing_runs_before_the_first_value_or_after_the_end() -> None:
    others = threads()  # of callbacks of other tests, which may still end
    worker: Worker[int] = Worker(lambda _: None, print)
    worker.stop()
    assert set(threads()) <= set(others)
    worker.put(1)
    assert len(set(threads()) - set(others)) == 1
    worker.stop(PATIENCE_S)
    assert set(threads()) <= set(others)


def test_a_full_queue_lets_go_of_its_oldest_and_counts_them() -> None:
    lost: list[str] = []
    heard: list[int] = []
    busy, go = threading.Event(), threading.Event()

    def hook(number: int) -> None:
        busy.set()
        go.wait(PATIENCE_S)
        heard.append(number)

    worker = Worker(hook, lost.append)
    worker.put(0)
    assert busy.wait(PATIENCE_S)
    for number in range(1, MOST_PENDING + 4):
        worker.put(number)
    go.set()
    worker.stop(PATIENCE_S)
    assert heard == [0, *range(4, MOST_PENDING + 4)]
    assert lost == [TOO_BUSY] * 3


def test_a_callback_that_raises_is_given_nothing_more() -> None:
    lost: list[str] = []
    heard: list[int] = []

    def hook(number: int) -> None:
        heard.append(number)
        raise IndexError("a user's own mistake")

    worker = Worker(hook, lost.append)
    worker.put(1)
    for thread in threads():
        thread.join(PATIENCE_S)
    worker.put(2)
    worker.stop()
    assert heard == [1]
    assert lost == ["listener removed after IndexError"]


def test_stop_does_not_wait_for_a_callback_that_does_not_return_and_what_it_missed_is_counted() -> (
    None
):
    lost: list[str] = []
    heard: list[int] = []
    busy, go = threading.Event(), threading.Event()

    def hook(number: int) -> None:
        heard.append(number)
        busy.set()
        go.wait(PATIENCE_S)

    worker = Worker(hook, lost.append)
    worker.put(1)
    assert busy.wait(PATIENCE_S)
    worker.put(2)
    worker.stop(patience_s=0.05)
    assert lost == [TOO_BUSY]
    worker.put(3)  # begun anew, while the old thread still hangs
    go.set()
    worker.stop(PATIENCE_S)
    assert heard == [1, 3]


def test_a_callback_may_stop_its_own_monitor() -> None:
    ended = threading.Event()

    def hook(stall: Stall) -> None:
        monitor.stop()
        ended.set()

    monitor = Monitor(SETTINGS, on_stall=hook)
    with monitor:
        asyncio.run(_blocks(0.3))
        assert ended.wait(PATIENCE_S)


def test_idle_is_asked_when_nothing_is_pending_and_last_at_the_end() -> None:
    order: list[str] = []
    asked = threading.Event()

    def idle() -> float | None:
        order.append("idle")
        if order.count("idle") == 3:
            asked.set()
            return None
        return 0.001

    worker: Worker[str] = Worker(order.append, print, idle=idle, last=lambda: order.append("last"))
    worker.put("value")
    assert asked.wait(PATIENCE_S)
    worker.stop(PATIENCE_S)
    assert order == ["value", "idle", "idle", "idle", "last"]


async def _blocks(seconds: float, times: int = 1) -> None:
    await asyncio.sleep(0.1)
    for _ in range(times):
        time.sleep(seconds)
        await asyncio.sleep(0.1)


def test_a_callback_that_sleeps_for_two_seconds_keeps_no_further_stall_from_being_seen() -> None:
    began: list[float] = []

    def sleeps(stall: Stall) -> None:
        began.append(time.monotonic())
        time.sleep(2)

    heard: list[Stall] = []
    with Monitor(SETTINGS, on_stall=sleeps) as monitor:
        monitor.subscribe(lambda stall, _: heard.append(stall))
        asyncio.run(_blocks(0.2, times=5))
        ended = time.monotonic()
    slept = [stretch for stretch in monitor.recording().stretches if stretch.late_ns > 100e6]
    assert len(slept) >= 5
    assert (
        len([stall for stall in heard if not stall.ongoing]) >= 5
    )  # nor from being told to another
    assert len([at for at in began if at < ended]) <= 2
    assert monitor.statistics().dropped[TOO_BUSY] >= 1


def test_a_subscriber_that_left_hears_no_more() -> None:
    heard: list[Stall] = []

    def hook(stall: Stall, _: object) -> None:
        heard.append(stall)

    with Monitor(SETTINGS) as monitor:
        monitor.subscribe(hook)
        asyncio.run(_blocks(0.2))
        monitor.unsubscribe(hook)
        before = len(heard)
        asyncio.run(_blocks(0.2))
    assert before >= 1
    assert len(heard) == before


# --- what a step carries --------------------------------------------------------------------

REQUEST: ContextVar[str] = ContextVar("request", default="nobody's")


async def _serves(name: str, seconds: float) -> None:
    REQUEST.set(name)
    await asyncio.sleep(0.1)
    time.sleep(seconds)
    REQUEST.set(f"{name}, later")
    await asyncio.sleep(0.2)


async def _culprit_and_bystanders() -> None:
    await asyncio.gather(*(_serves(f"bystander {n}", 0) for n in range(5)), _serves("culprit", 0.3))


def test_the_context_read_is_that_of_the_step_to_blame() -> None:
    heard: list[tuple[Stall, object]] = []
    with Monitor(SETTINGS) as monitor:
        monitor.subscribe(lambda stall, read: heard.append((stall, read)), REQUEST.get)
        asyncio.run(_culprit_and_bystanders())
    told = [read for stall, read in heard if stall.site and stall.site.call == "time.sleep"]
    assert len(told) >= 2
    assert set(told) == {"culprit"}


def test_a_reader_changes_nothing_in_the_context_it_reads() -> None:
    after: list[str] = []

    async def main() -> None:
        REQUEST.set("mine")
        await asyncio.sleep(0.1)
        time.sleep(0.3)
        after.append(REQUEST.get())

    with Monitor(SETTINGS) as monitor:
        monitor.subscribe(lambda *_: None, lambda: REQUEST.set("the reader's"))
        asyncio.run(main())
    assert after == ["mine"]


def test_a_reader_that_raises_is_removed_and_the_stall_is_told_all_the_same() -> None:
    heard: list[object] = []

    def reader() -> None:
        raise LookupError("a user's own mistake")

    with Monitor(SETTINGS) as monitor:
        monitor.subscribe(lambda _, read: heard.append(read), reader)
        asyncio.run(_blocks(0.2))
    assert heard
    assert set(heard) == {None}
    assert monitor.statistics().dropped["reader removed after LookupError"] == 1


def test_what_a_step_carried_is_let_go_when_its_stall_is_over() -> None:
    carried = Carried(lost=print)
    carried.add(REQUEST.get)

    async def main() -> None:
        REQUEST.set("mine")
        for due in (100, 200, 300):
            carried.take((1, due, 7), asyncio.current_task())
        carried.take((2, 100, 7), asyncio.current_task())

    asyncio.run(main())
    carried.drop(loop=1, until_ns=200)
    kept = [(1, 100, 7), (1, 200, 7), (1, 300, 7), (2, 100, 7)]
    assert [carried.read(where, REQUEST.get) for where in kept] == [None, None, "mine", "mine"]


def test_without_a_reader_no_context_is_looked_at() -> None:
    class Untouchable:
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(name)

    carried = Carried(lost=print)
    carried.take((1, 100, 7), Untouchable())  # type: ignore[arg-type]
    assert carried.read((1, 100, 7), REQUEST.get) is None
