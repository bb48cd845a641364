"""How late and how busy a loop is, on a simulated clock."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from unstall.guard.policy import Sight
from unstall.guard.pulse import BEAT_NS, SEVERAL, Beats, Pulse, _memory_share, _rss_bytes

MS = 1_000_000


def beaten(*lags_ms: float, cpu_ms: float = 0) -> tuple[Beats, int]:
    """After beats that came so late."""
    now = 0
    beats = Beats(now)
    for lag in lags_ms:
        now = beats.due_ns + int(lag * MS)
        beats.beat(now, int(cpu_ms * MS))
    return beats, now


def test_one_stall_is_no_overload() -> None:
    beats, now = beaten(0, 0, 500, 0, 0)
    assert beats.lag_ns(now) == 0


def test_a_loop_that_is_late_each_time_is_overloaded() -> None:
    beats, now = beaten(60, 80, 70)
    assert beats.lag_ns(now) == 60 * MS
    two, now = beaten(60, 80)
    assert two.lag_ns(now) == 0  # not known yet


def test_a_turn_that_never_ends_is_late_now_if_several_requests_make_it_so() -> None:
    beats, _ = beaten(0, 0, 0)
    late = beats.due_ns + 65 * MS
    assert beats.lag_ns(late, several=True) == 65 * MS
    assert beats.lag_ns(late) == 0  # one call that blocks


def test_a_loop_is_busy_by_what_it_computes_or_by_how_late_it_is() -> None:
    assert beaten(*[0] * 50)[0].utilization() == 0
    assert round(beaten(*[0] * 50, cpu_ms=10)[0].utilization(), 2) == 0.5
    assert beaten(*[180] * 10)[0].utilization() == 0.9


def test_only_the_last_second_counts() -> None:
    beats, now = beaten(*[0] * 50, cpu_ms=20)
    assert beats.utilization() == 1.0
    for _ in range(60):
        now = beats.due_ns
        beats.beat(now, 0)
    assert beats.utilization() == 0


def test_a_pulse_beats_on_a_real_loop_and_sees_it_saturated() -> None:
    async def main() -> tuple[float, int]:
        pulse = Pulse()
        pulse()
        for _ in range(6):
            time.sleep(0.06)
            await asyncio.sleep(0)
        sight = pulse()
        return sight.utilization or 0, sight.lag_ns or 0

    utilization, lag = asyncio.run(main())
    assert utilization > 0.3
    assert lag > BEAT_NS


def test_requests_may_begin_unlooked_at_more_at_a_time_while_the_loop_is_punctual() -> None:
    async def main() -> list[int]:
        pulse = Pulse(late_ns=60_000 * MS)
        assert pulse.grace() == 0, "it has not begun to beat"
        pulse()
        given = [pulse.grace() for _ in range(5)]
        time.sleep(0.03)  # now its beat is due
        return [*given, pulse.grace()]

    first, *more, late = asyncio.run(main())
    assert first == 2 * SEVERAL
    assert more == sorted(more)
    assert more[-1] == more[-2], "there is an end to it"
    assert late == SEVERAL


def test_nobody_may_begin_unlooked_at_on_a_loop_that_is_late_or_another_one() -> None:
    pulse = Pulse(late_ns=MS)

    async def late() -> int:
        pulse()
        time.sleep(0.05)
        return pulse.grace()

    async def elsewhere() -> int:
        return pulse.grace()

    assert asyncio.run(late()) == 0
    assert asyncio.run(elsewhere()) == 0


def test_a_pulse_rests_when_nobody_asks_and_goes_on_while_somebody_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unstall.guard.pulse._IDLE_NS", 100 * MS)
    comes = True
    told: list[Sight] = []

    def tell(sight: Sight) -> bool:
        told.append(sight)
        return comes

    async def main() -> tuple[int, int]:
        nonlocal comes
        pulse = Pulse(tell=tell)
        pulse()
        while len(told) < 8:  # twice as long as it takes to rest
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        going = len(told)
        comes = False
        while pulse._loop is not None:
            await asyncio.sleep(0.02)
        rested = len(told)
        await asyncio.sleep(0.1)
        return going, len(told) - rested

    going, after = asyncio.run(main())
    assert going >= 8
    assert after == 0


def test_memory_is_read_where_the_system_says_it(tmp_path: Path) -> None:
    assert (_rss_bytes() or 0) > 1_000_000
    assert _memory_share(tmp_path)() is None
    (tmp_path / "memory.current").write_text("25\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert _memory_share(tmp_path)() is None
    (tmp_path / "memory.max").write_text("100\n")
    assert _memory_share(tmp_path)() == 0.25
