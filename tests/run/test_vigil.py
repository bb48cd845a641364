"""When the beats fail: who is asked for stacks, who is left alone, and what is made of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unstall.clock import NS_PER_MS
from unstall.explain.stalls import stall_of
from unstall.model.finding import Cause, Stall
from unstall.model.observation import Stretch
from unstall.run.vigil import Sample, Schedule, Vigil

ROOT = Path(__file__).resolve().parents[2]
LOOP, WATCHDOG, OTHER = 10, 11, 12
IDENT = 0x7F00
THRESHOLD = 100 * NS_PER_MS

DUMP = [
    f"Thread 0x{IDENT:016x} (most recent call first):",
    f'  File "{ROOT}/app.py", line 12 in handler',
    f'  File "{ROOT}/main.py", line 3 in main',
]


class Machine:
    """A process whose threads wake and burn as a test says, and a clock."""

    def __init__(self) -> None:
        self.now = 0
        self.asked: list[tuple[int, int]] = []
        self.wakes_per_ms = {WATCHDOG: 0.2}
        self.share = {LOOP: 1.0}

    def take(self, pid: int) -> Sample:
        ms = self.now / NS_PER_MS
        return Sample(
            self.now,
            {
                tid: Schedule(
                    int(self.now * self.share.get(tid, 0)),
                    0,
                    int(ms * self.wakes_per_ms.get(tid, 0)),
                )
                for tid in (LOOP, WATCHDOG, OTHER)
            },
        )

    def ask(self, pid: int, tid: int) -> None:
        self.asked.append((pid, tid))


def vigil_of(machine: Machine, **hello: Any) -> Vigil:
    told = {
        "process": "7-a", "pid": 7, "tid": WATCHDOG, "threshold_ns": THRESHOLD,
        "interval_ns": THRESHOLD // 5, "switch_ns": 5 * NS_PER_MS, "stdlib": "/usr/lib/python3.11",
    }  # fmt: skip
    vigil = Vigil(told | hello, ROOT, take=machine.take, ask=machine.ask)
    vigil.hear("b 0 5", 0)
    vigil.hear(f'{{"loops": [[1, {IDENT}, {LOOP}]]}}', 0)
    return vigil


def until(machine: Machine, vigil: Vigil, ms: float) -> list[Stretch]:
    """Time goes on; the vigil is called whenever it wanted to be."""
    told = []
    end = int(ms * NS_PER_MS)
    while (due := vigil.due_ns()) is not None and due <= end:
        machine.now = max(machine.now, due)
        if (stretch := vigil.check(machine.now)) is not None:
            told.append(stretch)
    machine.now = end
    return told


def stall(stretch: Stretch) -> Stall:
    return stall_of(stretch, THRESHOLD)


def test_a_process_that_beats_is_left_alone() -> None:
    machine = Machine()
    vigil = vigil_of(machine)
    for ms in range(0, 5_000, 100):
        assert until(machine, vigil, ms) == []
        vigil.hear(f"b {ms * NS_PER_MS} 5", machine.now)
    assert machine.asked == []


def test_one_that_falls_silent_is_asked_within_a_fifth_of_a_second_of_the_threshold() -> None:
    machine = Machine()
    vigil = vigil_of(machine)
    until(machine, vigil, 200)
    assert machine.asked == []
    # The lock may have been taken right after the last beat: then the heartbeat was due 20 ms later.
    until(machine, vigil, 20 + 100 + 200)
    assert machine.asked == [(7, WATCHDOG)]


def test_the_answer_names_the_line_the_process_and_the_lock() -> None:
    machine = Machine()
    vigil = vigil_of(machine)
    until(machine, vigil, 240)
    for line in DUMP:
        vigil.hear(line, machine.now)
    (stretch,) = until(machine, vigil, 270)
    assert stretch.ongoing
    assert (stretch.process, stretch.loop, stretch.served_before) == ("7-a", 1, 5)
    told = stall(stretch)
    assert told.cause is Cause.GIL
    assert told.site is not None
    assert (told.site.file, told.site.line) == ("app.py", 12)
    assert THRESHOLD <= told.held_ns <= 240 * NS_PER_MS


def test_another_thread_that_burns_is_named_instead_of_the_loop() -> None:
    machine = Machine()
    machine.share = {OTHER: 1.0}
    vigil = vigil_of(machine)
    until(machine, vigil, 240)
    vigil.hear(DUMP[0], machine.now)
    vigil.hear(DUMP[1], machine.now)
    (stretch,) = until(machine, vigil, 270)
    told = stall(stretch)
    assert told.cause is Cause.GIL
    assert told.site is None
    assert told.holder is not None
    assert told.holder.thread.startswith(f"thread {OTHER}")


def test_a_process_that_was_stopped_is_not_asked_and_is_asked_when_it_holds_the_lock_later() -> (
    None
):
    machine = Machine()
    machine.wakes_per_ms = {WATCHDOG: 0}
    vigil = vigil_of(machine)
    until(machine, vigil, 3_000)
    assert machine.asked == []
    machine.wakes_per_ms = {WATCHDOG: 0.2}
    until(machine, vigil, 3_300)
    assert machine.asked == [(7, WATCHDOG)]


def test_it_is_asked_again_at_one_two_and_five_seconds() -> None:
    machine = Machine()
    vigil = vigil_of(machine)
    asked: list[int] = []
    for ms in range(0, 6_000, 50):
        until(machine, vigil, ms)
        if len(machine.asked) > len(asked):
            asked.append(ms)
    assert len(asked) == 4
    assert asked[1] in range(1_000, 1_250)
    assert asked[2] in range(2_000, 2_250)
    assert asked[3] in range(5_000, 5_250)


def test_a_beat_ends_the_dump_before_it() -> None:
    machine = Machine()
    vigil = vigil_of(machine)
    until(machine, vigil, 240)
    for line in DUMP:
        vigil.hear(line, machine.now)
    assert vigil.hear(f"b {machine.now} 5", machine.now) is not None
    assert vigil.hear(f"b {machine.now} 5", machine.now) is None


def test_a_dump_that_nobody_asked_for_accuses_nobody() -> None:
    machine = Machine()
    vigil = vigil_of(machine)
    for line in DUMP:
        vigil.hear(line, machine.now)
    assert until(machine, vigil, 50) == []


def test_a_process_without_a_loop_is_left_alone() -> None:
    machine = Machine()
    vigil = vigil_of(machine)
    vigil.hear('{"loops": []}', 0)
    assert vigil.due_ns() is None


def test_a_process_that_cannot_be_asked_is_not_tried_again() -> None:
    machine = Machine()
    vigil = vigil_of(machine)

    def refuse(pid: int, tid: int) -> None:
        raise PermissionError

    vigil._ask = refuse
    until(machine, vigil, 1_000)
    assert vigil.due_ns() is None
