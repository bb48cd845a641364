"""Where loops come and go by the hundred, as in tests, the watchdog looks for them and need not be rung."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from unstall.model.observation import Stretch
from unstall.model.recording import Entry
from unstall.settings import Settings
from unstall.watch.alarm import Alarm
from unstall.watch.monitor import Monitor

SETTINGS = Settings(threshold_ms=60, root=Path.cwd(), count=False, measure=False)
LONG_S = 0.25
MANY = 60


async def short() -> None:
    await asyncio.sleep(0)


async def stalls() -> None:
    time.sleep(LONG_S)


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    told: list[None] = []
    ring = Alarm.ring

    def counted(alarm: Alarm) -> None:
        told.append(None)
        ring(alarm)

    monkeypatch.setattr(Alarm, "ring", counted)
    return told


def stretches(heard: list[Entry]) -> list[Stretch]:
    return [each for each in heard if isinstance(each, Stretch) and not each.ongoing]


@pytest.mark.parametrize("patrol_ns", [0, SETTINGS.look_after_ns // 2], ids=["rung", "patrols"])
def test_loops_that_come_and_go_ring_nobody(patrol_ns: int, rings: list[None]) -> None:
    """Each run of asyncio runs its loop three times."""
    for _ in range(3):  # on a busy machine the watchdog is kept from its patrol
        rings.clear()
        with Monitor(SETTINGS, patrol_ns=patrol_ns):
            asyncio.run(short())
            for _ in range(MANY):
                asyncio.run(short())
        if (len(rings) < MANY) == bool(patrol_ns):
            return
    pytest.fail(f"rung {len(rings)} times for {MANY} loops")


@pytest.mark.skipif(sys.platform != "linux", reason="its files of threads are Linux's")
def test_loops_that_have_gone_keep_no_files_open() -> None:
    with Monitor(SETTINGS, patrol_ns=10_000_000_000):
        asyncio.run(short())
        before = open_files()
        for _ in range(MANY):
            asyncio.run(short())
        assert open_files() < before + MANY


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_stall_of_a_loop_that_nobody_was_told_of_is_seen_with_its_line() -> None:
    heard: list[Entry] = []
    with Monitor(
        SETTINGS, patrol_ns=SETTINGS.look_after_ns // 2, listeners=(heard.append,)
    ) as monitor:
        for _ in range(MANY):
            asyncio.run(short())
        asyncio.run(stalls())
        monitor.settle(20)
    # a busy machine may have made stretches of its own
    assert [functions_in(each).count("stalls") for each in stretches(heard)].count(1) == 1


def functions_in(stretch: Stretch) -> list[str]:
    return sorted({frame.function for look in stretch.looks for frame in look.stack.frames})


def test_a_watchdog_that_goes_to_sleep_looks_first_who_came_meanwhile() -> None:
    """Whoever came while it was on patrol has rung nobody."""
    monitor = Monitor(SETTINGS, patrol_ns=1_000_000)
    with monitor:
        asyncio.run(short())
        watchdog = monitor._watchdog
        assert watchdog is not None
    later = time.monotonic_ns() + 2_000_000_000
    assert watchdog._patrol_at_ns(later) > later
    assert not watchdog._patrols
    watchdog._arrivals.append(object())  # type: ignore[arg-type]
    assert watchdog._patrol_at_ns(later) == later
