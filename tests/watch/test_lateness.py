"""Why the watchdog was late: the machine slept, a CPU limit, the interpreter lock, a crowd of threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from unstall.testing import ns_of
from unstall.watch.lateness import Lateness, Used, holder_of
from unstall.watch.linux import asleep_ns
from unstall.watch.throttling import Throttling

HOUR_NS = 3_600_000_000_000


class Clock:
    """Monotonic time, and how long the machine has slept beside it."""

    def __init__(self) -> None:
        self.now = ns_of(1_000)
        self.asleep: int | None = ns_of(5)

    def lateness(self, total: Callable[[], int | None] = lambda: None) -> Lateness:
        throttling = Throttling(_nothing)
        throttling.total_ns = total  # type: ignore[method-assign]
        lateness = Lateness(lambda: self.asleep, throttling, lambda: self.now)
        lateness.remember(self.now)
        return lateness


def _nothing(path: str) -> str:
    raise FileNotFoundError(path)


# --- sleep ----------------------------------------------------------------------------------


def test_a_machine_that_slept_was_stopped_however_often_the_watchdog_was_woken() -> None:
    clock = Clock()
    lateness = clock.lateness()
    began = clock.now
    clock.now += ns_of(300)
    clock.asleep = ns_of(5) + HOUR_NS
    for _ in range(200):  # woken often enough to pass for one that waits for the interpreter lock
        time.sleep(0.0001)
    lateness.slept(began + ns_of(50), clock.now)
    doubts = lateness.doubts(began, clock.now)
    assert doubts.suspended_ns == HOUR_NS
    assert (doubts.stopped_ns, doubts.gil_ns) == (ns_of(250), 0)


def test_a_watchdog_that_was_woken_often_and_on_a_machine_that_did_not_sleep_was_not_stopped() -> (
    None
):
    clock = Clock()
    lateness = clock.lateness()
    began = clock.now
    clock.now += ns_of(300)
    for _ in range(200):
        time.sleep(0.0001)
    lateness.slept(began + ns_of(50), clock.now)
    doubts = lateness.doubts(began, clock.now)
    assert doubts.suspended_ns == 0
    assert (doubts.stopped_ns, doubts.gil_ns) == (0, ns_of(250))


def test_a_sleep_before_a_stretch_is_none_of_its() -> None:
    clock = Clock()
    lateness = clock.lateness()
    clock.now += ns_of(1_000)
    clock.asleep = HOUR_NS
    lateness.remember(clock.now)
    clock.now += ns_of(2_000)
    assert lateness.doubts(clock.now - ns_of(500), clock.now).suspended_ns == 0
    assert lateness.doubts(clock.now - ns_of(2_500), clock.now).suspended_ns > 0


@pytest.mark.parametrize("asleep", [None, ns_of(5), ns_of(50)])
def test_clocks_that_hardly_differ_or_cannot_be_read_are_no_sleep(asleep: int | None) -> None:
    clock = Clock()
    lateness = clock.lateness()
    began = clock.now
    clock.now += ns_of(300)
    clock.asleep = asleep
    lateness.slept(clock.now, clock.now)
    assert lateness.doubts(began, clock.now).suspended_ns == 0


def test_the_two_clocks_of_this_machine_go_together() -> None:
    first = asleep_ns()
    time.sleep(0.05)
    second = asleep_ns()
    if first is not None and second is not None:
        assert abs(second - first) < ns_of(20)


# --- throttling -----------------------------------------------------------------------------


def test_throttling_is_counted_from_the_last_reading_before_the_stretch() -> None:
    clock, total = Clock(), [ns_of(100)]
    lateness = clock.lateness(lambda: total[0])
    clock.now += ns_of(1_000)
    total[0] = ns_of(130)
    lateness.remember(clock.now)
    began = clock.now + ns_of(10)
    clock.now += ns_of(400)
    total[0] = ns_of(430)
    assert lateness.doubts(began, clock.now).throttled_ns == ns_of(300)


def test_without_a_limit_throttling_is_not_known() -> None:
    clock = Clock()
    lateness = clock.lateness()
    assert lateness.doubts(clock.now, clock.now + 1).throttled_ns is None


# --- a crowd --------------------------------------------------------------------------------


def test_work_that_takes_long_while_others_compute_is_a_doubt() -> None:
    lateness = Lateness()
    began = time.monotonic_ns()
    lateness.slept(began, began)
    until = time.monotonic() + 0.3
    threads = [threading.Thread(target=_crunch, args=(until,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        time.sleep(
            0.0001
        )  # as reading a file does: it lets go of the lock, and waits to get it back
    for thread in threads:
        thread.join()
    doubts = lateness.doubts(began, time.monotonic_ns())
    assert doubts.crowded_ns > ns_of(200)
    assert doubts.gil_ns == 0
    assert doubts.holder is not None


def test_work_that_takes_long_while_nobody_computes_is_none() -> None:
    lateness = Lateness()
    began = time.monotonic_ns()
    lateness.slept(began, began)
    for _ in range(300):
        time.sleep(0.001)
    assert lateness.doubts(began, time.monotonic_ns()).crowded_ns == 0


@pytest.mark.parametrize(
    ("queued_ms", "counted", "stopped"),
    [(50, True, False), (50, False, True), (1, False, False)],
    ids=["the loop's queue is counted", "it is not", "a slow file"],
)
def test_work_that_takes_long_says_why_nobody_looked(
    queued_ms: float, counted: bool, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lateness, queued = Lateness(), [ns_of(7)]
    monkeypatch.setattr(lateness, "_queued", lambda: queued[0])
    began = time.monotonic_ns()
    lateness.slept(began, began)
    time.sleep(0.06)
    queued[0] += ns_of(queued_ms)
    doubts = lateness.doubts(began, time.monotonic_ns(), queued=counted)
    assert doubts.unwatched_ns >= ns_of(50)
    assert (doubts.stopped_ns >= ns_of(50)) is stopped


@pytest.mark.parametrize(("queued_ms", "stopped"), [(200, False), (1, True)])
def test_a_watchdog_that_was_ready_without_a_processor_is_no_process_that_was_stopped(
    queued_ms: float, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lateness, queued = Lateness(), [0]
    monkeypatch.setattr(lateness, "_queued", lambda: queued[0])
    began = time.monotonic_ns()
    lateness.slept(began, began)
    queued[0] = ns_of(queued_ms)
    lateness.slept(began, began + ns_of(250))
    doubts = lateness.doubts(began, began + ns_of(250))
    assert (doubts.stopped_ns, doubts.unwatched_ns) == (
        (ns_of(250), 0) if stopped else (0, ns_of(250))
    )


@pytest.mark.parametrize(
    "comes", [False, True], ids=["of another thread", "of a loop that has just come"]
)
def test_what_the_thread_of_a_loop_computes_is_not_held_against_it(comes: bool) -> None:
    """A loop may come, and its first step compute, while the watchdog is on its way to it."""
    loops: list[int] = []
    lateness = Lateness(loops=lambda: loops)
    lateness.remember(time.monotonic_ns())
    lateness.slept(time.monotonic_ns(), time.monotonic_ns())
    asked = time.monotonic_ns()

    def comes_and_computes() -> None:
        if comes:
            loops.append(threading.get_native_id())
        _crunch(time.monotonic() + 0.2)
        computed.set()
        judged.wait()

    computed, judged = threading.Event(), threading.Event()
    thread = threading.Thread(target=comes_and_computes)
    thread.start()
    while not computed.is_set():
        time.sleep(0.0001)
    now = time.monotonic_ns()
    lateness.slept(asked, now)
    judged.set()
    thread.join()
    doubts = lateness.doubts(asked, now)
    assert doubts.gil_ns > ns_of(150)
    assert (doubts.holder is None) is comes


def test_what_a_loop_computed_that_has_gone_meanwhile_is_no_other_thread_s() -> None:
    loops = [threading.get_native_id()]
    lateness = Lateness(loops=lambda: loops)
    lateness.remember(time.monotonic_ns())
    _crunch(time.monotonic() + 0.1)
    asked = time.monotonic_ns()
    lateness.slept(asked, asked)
    loops.clear()
    for _ in range(200):
        time.sleep(0.0001)
    now = time.monotonic_ns()
    lateness.slept(asked, now)
    doubts = lateness.doubts(asked, now)
    assert doubts.gil_ns > 0
    assert doubts.holder is None


@pytest.mark.parametrize(
    ("before_ns", "now_ns", "others_ns"),
    [(300, 400, 900), (None, 400, 600), (300, None, 0), (300, 200, 0)],
    ids=["it computed", "it came", "it ended", "its number is another's"],
)
def test_of_a_loop_s_thread_rather_too_much_is_its_own(
    before_ns: int | None, now_ns: int | None, others_ns: int
) -> None:
    before = Used(5_000, 10, {} if before_ns is None else {1: before_ns})
    assert Used(6_000, 10, {1: now_ns}).by_others_since(before) == others_ns


def _crunch(until: float) -> None:
    while time.monotonic() < until:
        sum(range(1_000))


@pytest.mark.parametrize(
    ("ran", "used_ms", "named"),
    [
        ([(90, "pen")], 100, "thread pen"),
        ([(60, "pen"), (40, "ink")], 100, "thread pen"),
        ([(30, "a"), (30, "b")], 100, "threads a and b"),
        ([(20, "a"), (20, "b"), (20, "c"), (1, "d")], 100, "threads a and b and 1 more"),
        ([(30, "a")], 100, "a thread that cannot be named"),
        ([], 100, "a thread that cannot be named"),
    ],
)
def test_one_thread_is_named_or_the_crowd(
    ran: list[tuple[float, str]], used_ms: float, named: str
) -> None:
    assert holder_of([(ns_of(cpu), name) for cpu, name in ran], ns_of(used_ms)).thread == named
