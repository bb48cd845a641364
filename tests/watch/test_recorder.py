"""The recorder keeps to its bounds and says what it let go."""

from __future__ import annotations

from typing import Any

import pytest

from unstall.model.anatomy import Held
from unstall.model.histogram import Histogram
from unstall.model.observation import Loop, Process, Pulse, Stretch
from unstall.watch import pulses
from unstall.watch.recorder import KEEP_LOOPS, KEEP_ROWS, Recorder, Sums

PROCESS = Process("1-a", 1, 0.0, 0, ("python",), "3.11", 100_000_000)


def pulse(second: int, loop: int = 1, lags: tuple[int, ...] = (1, 2)) -> Pulse:
    return Pulse("1-a", loop, second, second + 1, Histogram.of(lags), 10)


def stretch(late_ns: int, dropped_looks: int = 0) -> Stretch:
    return Stretch("1-a", 1, "MainThread", 0, 0, late_ns, dropped_looks=dropped_looks)


def test_past_its_bound_the_shortest_stall_makes_room_and_is_counted() -> None:
    recorder = Recorder(keep_stretches=2, keep_pulses=10)
    for late in (300, 100, 200):
        recorder.stretch(stretch(late))
    kept = recorder.snapshot(PROCESS, "unstall 0").stretches
    assert [each.late_ns for each in kept] == [300, 200]
    assert recorder.dropped() == {"stalls": 1}


def test_looks_that_a_stretch_could_not_keep_are_counted() -> None:
    recorder = Recorder(keep_stretches=2, keep_pulses=10)
    recorder.stretch(stretch(1, dropped_looks=7))
    assert recorder.dropped() == {"looks": 7}


def test_past_its_bound_seconds_become_pairs_and_no_number_is_lost() -> None:
    recorder = Recorder(keep_stretches=2, keep_pulses=4)
    for second in range(100):
        recorder.pulse(pulse(second))
    kept = recorder.snapshot(PROCESS, "unstall 0").pulses
    assert len(kept) <= 4
    assert sum(each.requests for each in kept) == 1_000
    assert sum(each.lag.count for each in kept) == 200
    assert (kept[0].from_ns, kept[-1].until_ns) == (0, 100)


def test_with_very_many_loops_memory_is_bounded_all_the_same() -> None:
    recorder = Recorder(keep_stretches=2, keep_pulses=8)
    for number in range(5_000):
        recorder.loop(Loop("1-a", number, "asyncio", "MainThread"))
        recorder.pulse(pulse(number, loop=number))
    seen = recorder.snapshot(PROCESS, "unstall 0")
    assert len(seen.pulses) <= 8
    assert sum(each.requests for each in seen.pulses) == 50_000
    assert len(seen.loops) == KEEP_LOOPS
    assert recorder.dropped() == {"loops": 5_000 - KEEP_LOOPS}


def test_a_snapshot_ends_with_the_losses_even_when_there_are_none() -> None:
    recording = Recorder(2, 2).snapshot(PROCESS, "unstall 0")
    assert [lost.dropped for lost in recording.losses] == [{}]


def held(entry: str, ns: int = 1_000) -> Held:
    return Held("1-a", 0, 1, entry, "request", "", 0, 1, ns, Histogram.of([ns]))


def test_rows_of_the_same_pieces_do_not_grow_with_time() -> None:
    sums, most = Sums(), 0
    for _ in range(1_000):
        assert [sums.add(held(f"GET /{number}")) for number in range(4)] == [None] * 4
        most = max(most, len(sums._held))
    assert most < 100
    assert [row.calls for row in sums.kept()["held"]] == [1_000] * 4


def test_of_too_many_pieces_the_dearest_are_kept_and_the_rest_is_told() -> None:
    sums = Sums()
    told = {sums.add(held(f"GET /{number}", ns=number)) for number in range(4 * KEEP_ROWS)}
    assert told == {None, "rows of held time"}
    kept = sums.kept()["held"]
    assert len(kept) <= 3 * KEEP_ROWS
    assert f"GET /{4 * KEEP_ROWS - 1}" in {row.entry for row in kept}


def test_who_reads_the_pulses_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(2, 10)
    held_up: list[bool] = []
    unpack = pulses._unpack

    def seen(*args: Any) -> Pulse:
        held_up.append(recorder._lock.locked())
        return unpack(*args)

    monkeypatch.setattr(pulses, "_unpack", seen)
    recorder.pulse(pulse(0))
    assert recorder.snapshot(PROCESS, "unstall 0").pulses == (pulse(0),)
    assert held_up == [False]
