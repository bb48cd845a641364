from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from unstall.watch.alarm import Alarm

S = 1_000_000_000


@pytest.fixture(params=[True, False], ids=["kernel", "lock"])
def alarm(request: pytest.FixtureRequest) -> Iterator[Alarm]:
    if request.param and sys.platform != "linux":
        pytest.skip("timerfd is Linux")
    alarm = Alarm(kernel=request.param)
    yield alarm
    alarm.close()


def waited(alarm: Alarm, at_s: float, until_s: float) -> float:
    now = time.monotonic_ns()
    alarm.wait(now + int(at_s * S), now + int(until_s * S))
    return (time.monotonic_ns() - now) / S


def test_it_ends_at_the_moment_asked_for(alarm: Alarm) -> None:
    assert waited(alarm, 0.03, 60) >= 0.03


def test_it_ends_at_the_latest_moment_although_the_other_is_further_off(alarm: Alarm) -> None:
    assert waited(alarm, 60, 0.03) >= 0.03


def test_a_moment_in_the_past_ends_it_at_once(alarm: Alarm) -> None:
    assert waited(alarm, -1, 60) < 30


def test_ringing_ends_it(alarm: Alarm) -> None:
    threading.Timer(0.05, alarm.ring).start()
    assert waited(alarm, 60, 60) < 30


def test_ringing_before_it_ends_the_next_and_only_the_next(alarm: Alarm) -> None:
    alarm.ring()
    assert waited(alarm, 60, 60) < 30
    assert waited(alarm, 0.03, 60) >= 0.03


def test_a_postponed_alarm_is_later() -> None:
    alarm = Alarm()
    start = time.monotonic_ns()

    def postpone() -> None:
        alarm.postpone(start + S + S // 10)

    timer = threading.Timer(0.02, postpone)
    timer.start()
    if alarm.follows:
        assert alarm.wait(start + S, start + 60 * S) == start + S + S // 10
        assert time.monotonic_ns() - start >= S + S // 10
    timer.join()
    alarm.close()


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux")
@pytest.mark.parametrize(("spare_s", "ends_s"), [(0.1, 0.2), (0.01, 0.25)])
def test_one_that_is_set_nearly_as_late_is_not_set_again(spare_s: float, ends_s: float) -> None:
    alarm = Alarm()
    start = time.monotonic_ns()
    moment, spare = start + S // 4, int(spare_s * S)
    timer = threading.Timer(0.02, alarm.postpone, (moment, spare))
    timer.start()
    assert alarm.wait(start + S // 5, start + 60 * S) == start + int(ends_s * S)
    timer.join()
    alarm.close()


def test_postponing_does_not_undo_a_ring() -> None:
    alarm = Alarm()
    alarm.ring()
    alarm.postpone(time.monotonic_ns() + 60 * S)
    assert waited(alarm, 60, 60) < 30
    alarm.close()


def test_nothing_is_postponed_beyond_the_latest_moment() -> None:
    alarm = Alarm()
    start = time.monotonic_ns()
    threading.Timer(0.01, alarm.postpone, (start + 60 * S,)).start()
    alarm.wait(start + S // 5, start + S // 10)
    assert time.monotonic_ns() - start < 30 * S
    alarm.close()


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux")
def test_a_descriptor_that_the_host_closed_and_took_over_is_left_alone() -> None:
    alarm = Alarm()
    file = alarm._file
    reader, writer = os.pipe()
    os.dup2(reader, file)
    os.write(writer, b"theirs")
    alarm.postpone(time.monotonic_ns() + S)
    assert not alarm.follows
    assert waited(alarm, 0.02, 60) >= 0.02
    alarm.close()
    assert os.read(file, 6) == b"theirs"
    for descriptor in (reader, writer, file):
        os.close(descriptor)


def test_who_was_rung_for_is_not_late(alarm: Alarm) -> None:
    start = time.monotonic_ns()
    alarm.ring()
    assert alarm.wait(start - S, start + S) >= start


@contextmanager
def nobody_else_runs() -> Iterator[None]:
    """No other thread gets the interpreter lock within the block, whatever ends its wait."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_a_ring_does_not_hide_since_when_the_alarm_had_gone_off(alarm: Alarm) -> None:
    start = time.monotonic_ns()
    asked: list[int] = []
    waiter = threading.Thread(
        target=lambda: asked.append(alarm.wait(start + S // 20, start + 60 * S))
    )
    waiter.start()
    time.sleep(0.02)
    with nobody_else_runs():
        spin(0.2)
        alarm.ring()
    waiter.join()
    assert asked == [start + S // 20]


def test_who_hears_a_ring_late_is_late_since_then(alarm: Alarm) -> None:
    start = time.monotonic_ns()
    asked: list[int] = []
    waiter = threading.Thread(target=lambda: asked.append(alarm.wait(start + 60 * S, 1 << 62)))
    waiter.start()
    time.sleep(0.05)
    with nobody_else_runs():
        alarm.ring()
        rung = time.monotonic_ns()
        spin(0.1)
    waiter.join()
    assert start < asked[0] <= rung


def test_closed_it_still_waits(alarm: Alarm) -> None:
    alarm.close()
    assert not alarm.follows
    assert waited(alarm, 0.03, 60) >= 0.03
