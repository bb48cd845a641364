"""What a beat asks of the system, by clocks that stand still."""

from __future__ import annotations

import asyncio

import pytest

from unstall.settings import Settings
from unstall.watch import heartbeat
from unstall.watch.heartbeat import Heartbeat

MS = 1_000_000
INTERVAL_NS = Settings().interval_ns


class Clocks:
    """In place of `time`."""

    def __init__(self) -> None:
        self.now = self.cpu = 0

    def monotonic_ns(self) -> int:
        return self.now

    def thread_time_ns(self) -> int:
        return self.cpu

    def process_time_ns(self) -> int:
        return self.cpu


class Beats:
    """Of one loop whose thread runs or queues for so long."""

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self.asked = 0
        self.queued_ns = 0
        self.postponed: list[tuple[int, int, int]] = []
        self.heartbeat = Heartbeat(
            asyncio.new_event_loop(), Settings(), lambda: 0, self._queued, lambda now: None
        )
        self.heartbeat.postpone = lambda *told: self.postponed.append(told)
        self.asked = 0

    def _queued(self) -> int:
        self.asked += 1
        return self.queued_ns

    def after(self, *, ran_ns: int, queued_ns: int = 0) -> None:
        self.clocks.now += ran_ns + queued_ns
        self.clocks.cpu += ran_ns
        self.queued_ns += queued_ns
        self.heartbeat._note(self.clocks.now)


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> Beats:
    clocks = Clocks()
    monkeypatch.setattr(heartbeat, "time", clocks)
    beats = Beats(clocks)
    loop = beats.heartbeat.loop
    assert loop is not None
    loop.close()
    return beats


def test_a_thread_that_runs_all_the_time_is_not_asked_how_long_it_queued(beats: Beats) -> None:
    for _ in range(50):
        beats.after(ran_ns=INTERVAL_NS)
    assert beats.asked == 0


def test_one_that_was_off_the_processors_is_asked(beats: Beats) -> None:
    beats.after(ran_ns=INTERVAL_NS - 2 * MS, queued_ns=2 * MS)
    assert (beats.asked, beats.heartbeat.queued_ns) == (1, 2 * MS)


def test_short_whiles_off_the_processors_add_up(beats: Beats) -> None:
    for _ in range(12):
        beats.after(ran_ns=INTERVAL_NS - MS // 4, queued_ns=MS // 4)
        assert beats.heartbeat.queued_ns is not None
        assert beats.queued_ns - beats.heartbeat.queued_ns <= MS
    assert beats.asked == 2


def test_of_a_stall_the_whole_queueing_is_told_and_no_millisecond_more(beats: Beats) -> None:
    for _ in range(3):
        beats.after(ran_ns=INTERVAL_NS - MS // 4, queued_ns=MS // 4)
    beats.after(ran_ns=INTERVAL_NS, queued_ns=300 * MS)
    (late,) = beats.heartbeat.late
    assert late.queued_ns is not None
    assert 300 * MS <= late.queued_ns <= 301 * MS


def test_a_clock_that_runs_slow_saves_up_nothing_for_the_next_stall(beats: Beats) -> None:
    """As the monotonic clock does while it is slewed."""
    for _ in range(1_000):
        beats.after(ran_ns=INTERVAL_NS)
        beats.clocks.cpu += INTERVAL_NS // 1_000
    beats.after(ran_ns=INTERVAL_NS, queued_ns=300 * MS)
    (late,) = beats.heartbeat.late
    assert late.queued_ns == 300 * MS


def test_of_a_stall_that_computes_there_is_no_queueing(beats: Beats) -> None:
    beats.after(ran_ns=INTERVAL_NS)
    beats.after(ran_ns=400 * MS)
    (late,) = beats.heartbeat.late
    assert (late.cpu_ns, late.queued_ns) == (400 * MS, 0)


def test_a_punctual_beat_says_when_to_look_and_how_much_earlier_would_do(beats: Beats) -> None:
    """Not so much earlier that the next beat could come too late to postpone it."""
    beats.after(ran_ns=INTERVAL_NS)
    ((now, at_ns, spare_ns),) = beats.postponed
    assert at_ns - now == INTERVAL_NS + Settings().look_after_ns
    assert at_ns - spare_ns > now + INTERVAL_NS
