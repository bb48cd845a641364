"""The recorder keeps to its bounds and says what it let go."""

from __future__ import annotations

from unstall.model.histogram import Histogram
from unstall.model.observation import Loop, Process, Pulse, Stretch
from unstall.watch.recorder import KEEP_LOOPS, Recorder, merge_neighbours

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


def test_seconds_of_different_loops_are_never_merged() -> None:
    merged = merge_neighbours([pulse(0, 1), pulse(0, 2), pulse(1, 1), pulse(1, 2)])
    assert [(each.loop, each.from_ns, each.until_ns) for each in merged] == [(1, 0, 2), (2, 0, 2)]


def test_a_snapshot_ends_with_the_losses_even_when_there_are_none() -> None:
    recording = Recorder(2, 2).snapshot(PROCESS, "unstall 0")
    assert [lost.dropped for lost in recording.losses] == [{}]
