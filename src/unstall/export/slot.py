"""What one worker writes for all the others to read, in fixed places of a piece of shared memory.

    head      4 KiB   who it is, which snapshot is current, when a reader last asked for a new one, and
                      eight loops: when each beat last
    words    16 KiB   for each loop, what is known of the stall that goes on, and the beat that it follows
    snapshots 2 x     all metric families as JSON; written in turn, so the current one is always whole

Every value stands for itself: words belong to a stall only if they name its last beat, and a snapshot is
read only if its checksum fits. So a worker may freeze or die between any two bytes.
"""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Any

MOST_LOOPS = 8
_HEAD = struct.Struct("@qqqqqq")  # pid, started, threshold, interval, current snapshot, since
_CELL = struct.Struct("@qqqq")  # number, last beat, its lag, the worst lag of late
_BEAT = struct.Struct("@qqq")  # the last three of these
_AREA = struct.Struct("@qII")  # a moment, a length, a checksum
_CURRENT_AT = 32
_ASKED = struct.Struct("@q")
_ASKED_AT = 48
_CELLS_AT = 64
_WORDS_AT = 4_096
_WORDS_SIZE = 2_048
_SNAPSHOTS_AT = _WORDS_AT + MOST_LOOPS * _WORDS_SIZE
_SNAPSHOT_SIZE = 36 * 4_096
MOST_BYTES = _SNAPSHOT_SIZE - _AREA.size
SIZE = _SNAPSHOTS_AT + 2 * _SNAPSHOT_SIZE
_WORST_FOR_NS = 1_000_000_000
_TRIES = 5
_BEATS = 3
"""A loop that has missed so many beats will not see that it is asked."""

Buffer = mmap | memoryview
Read = Callable[[int, int], bytes]
"""Bytes of the slot: from an offset, so many."""
Write = Callable[[int, bytes], object]
"""Bytes into the slot, at an offset."""


@dataclass(frozen=True, slots=True)
class LoopState:
    """One loop of a worker as its last beat left it; times in monotonic ns."""

    number: int
    last_ns: int
    lag_ns: int
    worst_ns: int
    """The largest lag of about a second."""
    words: Mapping[str, Any] | None = None
    """Of the stall that followed this beat, as `collect.words_of` has them; None if nothing was said."""


@dataclass(frozen=True, slots=True)
class SlotState:
    pid: int
    started: int
    since_ns: int
    """When it took the slot: a process may do that anew after an `exec`."""
    threshold_ns: int
    interval_ns: int
    loops: tuple[LoopState, ...]
    snapshot: Mapping[str, Any] | None


class Cell:
    """One loop's place. `begin`, `beat` and `end` are the heartbeat's, `say` is the watchdog's."""

    __slots__ = ("_asked", "_at", "_buffer", "_cpu_ns", "_late_ns", "_pack", "_tell", "_words_at", "_worst",
                 "_worst_at", "busy_ns", "last_ns", "number")  # fmt: skip

    def __init__(self, buffer: Buffer, index: int, late_ns: int, asked: Callable[[], None]) -> None:
        self._buffer = buffer
        self._tell = asked
        self._asked = (0,)
        self._at = _CELLS_AT + index * _CELL.size
        self._words_at = _WORDS_AT + index * _WORDS_SIZE
        self._late_ns = late_ns
        self._pack = _BEAT.pack_into
        self._worst = self._worst_at = self._cpu_ns = 0
        self.number = 0
        self.last_ns = 0
        self.busy_ns = 0
        """CPU time of the loop's thread; a stall counts whole, whatever it did."""

    def begin(self, number: int, now: int, cpu_ns: int) -> None:
        self.number, self.last_ns, self._cpu_ns = number, now, cpu_ns
        self._worst = self._worst_at = 0
        _CELL.pack_into(self._buffer, self._at, number, now, 0, 0)

    def beat(self, now: int, lag: int, cpu_ns: int) -> None:
        """Under a microsecond: it is on the loop."""
        busy = cpu_ns - self._cpu_ns
        self._cpu_ns = cpu_ns
        self.busy_ns += lag if lag > self._late_ns and lag > busy else busy
        if lag >= self._worst or now - self._worst_at > _WORST_FOR_NS:
            self._worst, self._worst_at = lag, now
        self.last_ns = now
        self._pack(self._buffer, self._at + 8, now, lag, self._worst)
        asked = _ASKED.unpack_from(self._buffer, _ASKED_AT)
        if asked != self._asked:
            self._asked = asked
            self._tell()

    def end(self) -> None:
        """Its loop runs no longer; the place is kept for it."""
        self.last_ns = 0
        _CELL.pack_into(self._buffer, self._at, 0, 0, 0, 0)

    def say(self, last_ns: int, words: Mapping[str, Any]) -> None:
        """What is known of the stall that followed the beat at `last_ns`."""
        data = _fitting(words, _WORDS_SIZE - _AREA.size)
        at = self._words_at
        self._buffer[at + _AREA.size : at + _AREA.size + len(data)] = data
        _AREA.pack_into(self._buffer, at, last_ns, len(data), zlib.crc32(data))


class Slot:
    """A worker's own, to write to."""

    def __init__(self, buffer: Buffer, asked: Callable[[], None] = lambda: None) -> None:
        self._buffer = buffer
        self.asked = asked
        """Is told, on a loop, that somebody wants to read a new snapshot."""
        _, _, self._late_ns, _, self._current, _ = _HEAD.unpack_from(buffer)
        self._cells: list[Cell] = []

    @classmethod
    def begin(
        cls, buffer: Buffer, pid: int, started: int, threshold_ns: int = 0, interval_ns: int = 0
    ) -> Slot:
        """With nothing in it yet."""
        buffer[:_WORDS_AT] = bytes(_WORDS_AT)
        _HEAD.pack_into(buffer, 0, pid, started, threshold_ns, interval_ns, 0, time.monotonic_ns())
        return cls(buffer)

    def cell(self) -> Cell | None:
        """A place for one more loop; None when all are taken."""
        free = next((cell for cell in self._cells if not cell.last_ns), None)
        if free is None and len(self._cells) < MOST_LOOPS:
            free = Cell(self._buffer, len(self._cells), self._late_ns, self.asked)
            self._cells.append(free)
        return free

    def publish(self, now: int, data: bytes) -> None:
        """Makes `data`, of at most `MOST_BYTES`, the current snapshot."""
        turn = 2 if self._current == 1 else 1
        at = _SNAPSHOTS_AT + (turn - 1) * _SNAPSHOT_SIZE
        self._buffer[at + _AREA.size : at + _AREA.size + len(data)] = data
        _AREA.pack_into(self._buffer, at, now, len(data), zlib.crc32(data))
        struct.pack_into("@q", self._buffer, _CURRENT_AT, turn)
        self._current = turn

    def clear(self) -> None:
        """Nobody's from now on."""
        self._buffer[: _HEAD.size] = bytes(_HEAD.size)


def _fitting(words: Mapping[str, Any], room: int) -> bytes:
    """As JSON, with long strings cut the shorter the less room there is."""
    for longest in (200, 60, 20):
        cut = {k: v[:longest] if isinstance(v, str) else v for k, v in words.items()}
        data = json.dumps(cut, separators=(",", ":")).encode()
        if len(data) <= room:
            return data
    return b"{}"


def owner(read: Read) -> tuple[int, int]:
    """The pid and the start of whose slot it is; (0, 0) if it is free."""
    pid, began, *_ = _HEAD.unpack(read(0, _HEAD.size))
    return pid, began


def ask(write: Write, now: int) -> None:
    """For a new snapshot: the worker's next beat sees it."""
    write(_ASKED_AT, _ASKED.pack(now))


def owes(read: Read, asked: int) -> bool:
    """Whether a loop of it beats, and the snapshot asked for at `asked` has not been written yet."""
    page = read(0, _CELLS_AT + MOST_LOOPS * _CELL.size)
    _, _, _, interval, turn, _ = _HEAD.unpack_from(page)
    cells = (_CELL.unpack_from(page, _CELLS_AT + i * _CELL.size) for i in range(MOST_LOOPS))
    beat = max((last for number, last, _, _ in cells if number), default=0)
    if turn not in (1, 2) or beat < asked - _BEATS * interval:
        return False
    written, _, _ = _AREA.unpack(read(_SNAPSHOTS_AT + (turn - 1) * _SNAPSHOT_SIZE, _AREA.size))
    return written < asked  # type: ignore[no-any-return]


def parse(read: Read) -> SlotState | None:
    """What stands in a slot; None if it is free."""
    page = read(0, _SNAPSHOTS_AT)
    pid, began, threshold, interval, _, since = _HEAD.unpack_from(page)
    if not pid and not began:
        return None
    loops = (_loop(page, index) for index in range(MOST_LOOPS))
    return SlotState(
        pid, began, since, threshold, interval, tuple(loop for loop in loops if loop is not None),
        _snapshot(read),
    )  # fmt: skip


def _loop(page: bytes, index: int) -> LoopState | None:
    number, last, lag, worst = _CELL.unpack_from(page, _CELLS_AT + index * _CELL.size)
    if not number:
        return None
    at = _WORDS_AT + index * _WORDS_SIZE
    said_of, words = _area(page[at : at + _WORDS_SIZE])
    return LoopState(number, last, lag, worst, words if said_of == last else None)


def _snapshot(read: Read) -> Mapping[str, Any] | None:
    """One that is overwritten meanwhile does not fit its checksum, and by then there is a newer one."""
    for _ in range(_TRIES):
        (turn,) = struct.unpack("@q", read(_CURRENT_AT, 8))
        if turn not in (1, 2):
            break
        at = _SNAPSHOTS_AT + (turn - 1) * _SNAPSHOT_SIZE
        _, length, _ = _AREA.unpack(read(at, _AREA.size))
        _, snapshot = _area(read(at, min(_SNAPSHOT_SIZE, _AREA.size + length)))
        if snapshot is not None:
            return snapshot
    return None


def _area(data: bytes) -> tuple[int, Mapping[str, Any] | None]:
    moment, length, checksum = _AREA.unpack_from(data)
    text = data[_AREA.size : _AREA.size + length]
    if len(text) != length or not text or zlib.crc32(text) != checksum:
        return 0, None
    try:
        value = json.loads(text)
    except ValueError:
        return 0, None
    return moment, value if isinstance(value, dict) else None
