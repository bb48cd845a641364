"""What one worker writes and another reads, whatever moment the writer stopped at."""

from __future__ import annotations

import json
import threading
from mmap import mmap

import pytest

from unstall.export.slot import MOST_BYTES, MOST_LOOPS, SIZE, Read, Slot, owner, parse

SECOND = 1_000_000_000


@pytest.fixture
def memory() -> mmap:
    return mmap(-1, SIZE)


def reader(memory: mmap) -> Read:
    return lambda at, size: memory[at : at + size]


def begun(memory: mmap) -> Slot:
    return Slot.begin(memory, 42, 7, 100_000_000, 20_000_000)


def test_a_slot_that_nobody_has_reads_as_nothing(memory: mmap) -> None:
    assert parse(reader(memory)) is None
    begun(memory).clear()
    assert parse(reader(memory)) is None


def test_a_slot_says_whose_it_is(memory: mmap) -> None:
    begun(memory)
    state = parse(reader(memory))
    assert state is not None
    assert (state.pid, state.started, state.threshold_ns, state.interval_ns) == (
        42, 7, 100_000_000, 20_000_000,
    )  # fmt: skip
    assert owner(reader(memory)) == (42, 7)
    assert (state.loops, state.snapshot) == ((), None)


def test_beats_show_the_last_one_and_the_worst_of_about_a_second(memory: mmap) -> None:
    cell = begun(memory).cell()
    assert cell is not None
    cell.begin(3, 10, 0)
    for at, lag in ((1 * SECOND, 5), (2 * SECOND - 1, 900), (2 * SECOND, 7)):
        cell.beat(at, lag, 0)
    state = parse(reader(memory))
    assert state is not None
    (loop,) = state.loops
    assert (loop.number, loop.last_ns, loop.lag_ns, loop.worst_ns) == (3, 2 * SECOND, 7, 900)
    cell.beat(4 * SECOND, 8, 0)
    state = parse(reader(memory))
    assert state is not None
    assert state.loops[0].worst_ns == 8


def test_a_stall_counts_as_busy_whole_and_a_beat_in_time_by_its_cpu(memory: mmap) -> None:
    cell = begun(memory).cell()
    assert cell is not None
    cell.begin(1, 0, 1_000)
    cell.beat(1, 0, 6_000)
    assert cell.busy_ns == 5_000
    cell.beat(2, 300_000_000, 7_000)  # it slept
    assert cell.busy_ns == 5_000 + 300_000_000
    cell.beat(3, 300_000_000, 400_007_000)  # it computed
    assert cell.busy_ns == 5_000 + 300_000_000 + 400_000_000


def test_words_belong_to_the_stall_after_the_beat_they_name(memory: mmap) -> None:
    cell = begun(memory).cell()
    assert cell is not None
    cell.begin(1, 50, 0)
    cell.say(50, {"cause": "waiting"})
    state = parse(reader(memory))
    assert state is not None
    assert state.loops[0].words == {"cause": "waiting"}
    cell.beat(60, 0, 0)
    state = parse(reader(memory))
    assert state is not None
    assert state.loops[0].words is None


def test_words_too_long_for_their_place_are_cut_and_stay_readable(memory: mmap) -> None:
    cell = begun(memory).cell()
    assert cell is not None
    cell.begin(1, 50, 0)
    cell.say(50, {f"key {n}": "ü" * 200 for n in range(9)})
    state = parse(reader(memory))
    assert state is not None
    words = state.loops[0].words
    assert words is not None
    assert all(value == "ü" * 20 for value in words.values())


def test_a_loop_that_has_ended_is_not_shown_and_its_place_is_taken_again(memory: mmap) -> None:
    slot, last = begun(memory), None
    for number in range(1, MOST_LOOPS + 1):
        last = slot.cell()
        assert last is not None
        last.begin(number, 1, 0)
    assert slot.cell() is None
    assert last is not None
    last.end()
    state = parse(reader(memory))
    assert state is not None
    assert [loop.number for loop in state.loops] == list(range(1, MOST_LOOPS))
    assert slot.cell() is last


def test_the_last_whole_snapshot_is_read_though_the_next_one_was_never_finished(
    memory: mmap,
) -> None:
    slot = begun(memory)
    for n in range(3):
        slot.publish(n, json.dumps({"n": n}).encode())
    before = bytes(memory)
    slot.publish(3, json.dumps({"n": 3}).encode())
    after = bytes(memory)
    changed = [at for at in range(SIZE) if before[at] != after[at]]
    assert changed
    # The writer dies after each byte of the new snapshot; the mark that makes it the current one comes last.
    for stop in range(1, len(changed)):
        torn = bytearray(before)
        for at in sorted(changed, reverse=True)[:stop]:
            torn[at] = after[at]
        state = parse(lambda at, size, torn=torn: bytes(torn[at : at + size]))  # type: ignore[misc]
        assert state is not None
        assert state.snapshot == {"n": 2}


def test_a_broken_current_snapshot_is_skipped(memory: mmap) -> None:
    slot = begun(memory)
    slot.publish(1, b'{"n":1}')
    at = bytes(memory).index(b'{"n":1}')
    memory[at + 5 : at + 6] = b"7"
    state = parse(reader(memory))
    assert state is not None
    assert state.snapshot is None


def test_a_reader_never_sees_a_mixture_while_a_writer_goes_on(memory: mmap) -> None:
    slot = begun(memory)
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            slot.publish(n, json.dumps({"n": n, "fill": [n] * 500}).encode())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [parse(reader(memory)) for _ in range(2_000)]
    finally:
        stop.set()
        writer.join()
    whole = [state.snapshot for state in seen if state is not None and state.snapshot]
    assert whole
    assert all(set(snapshot["fill"]) == {snapshot["n"]} for snapshot in whole)


def test_a_snapshot_may_fill_its_place(memory: mmap) -> None:
    data = b'{"a":"' + b"x" * (MOST_BYTES - 8) + b'"}'
    assert len(data) == MOST_BYTES
    slot = begun(memory)
    slot.publish(1, data)
    slot.publish(2, data)
    state = parse(reader(memory))
    assert state is not None
    assert state.snapshot is not None
    assert len(state.snapshot["a"]) == MOST_BYTES - 8
