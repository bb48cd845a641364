"""Which segment a process joins, and what it does where there can be none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from unstall.export import processes, slot
from unstall.export.segment import Say, Segment
from unstall.export.slot import Slot, SlotState

NAME = "UNSTALL_SEGMENT"
_TRIES = 10
_GLANCE_S = 0.01


def folders() -> list[Path]:
    """Where a segment may lie, the best first."""
    import tempfile

    name = f"unstall-{os.getuid()}" if hasattr(os, "getuid") else "unstall"
    memory = Path("/dev/shm")
    return [memory / name] * memory.is_dir() + [Path(tempfile.gettempdir()) / name]


def name_for(key: str | None = None) -> str:
    """Of the segment that this process shares with its siblings."""
    if key is None:
        key = os.environ.get(NAME) or ""
    if not key:
        pid = processes.server()
        key = f"{pid}-{processes.started(pid)}"
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in key)[:100]
    return f"{processes.namespace()}-{plain}"


class Alone:
    """What stands for a segment where nothing can be shared: one slot, for this process only."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(slot.SIZE))

    def claim(self, threshold_ns: int = 0, interval_ns: int = 0) -> Slot:
        pid = os.getpid()
        return Slot.begin(self._buffer, pid, processes.started(pid), threshold_ns, interval_ns)

    def read(self) -> tuple[SlotState, ...]:
        state = slot.parse(self._part)
        return (state,) if state is not None else ()

    def ask(self, now: int) -> None:
        slot.ask(self._write, now)

    def owed(self, asked: int) -> bool:
        return slot.owes(self._part, asked)

    def current(self) -> bool:
        return True

    def release(self) -> None:
        Slot(self._buffer).clear()

    def leave(self) -> None:
        """Nobody else sees it."""

    def _part(self, at: int, size: int) -> bytes:
        return bytes(self._buffer[at : at + size])

    def _write(self, at: int, data: bytes) -> None:
        self._buffer[at : at + len(data)] = data


def join(
    key: str | None,
    say: Say,
    threshold_ns: int = 0,
    interval_ns: int = 0,
    places: Sequence[Path] | None = None,
) -> tuple[Segment | Alone, Slot]:
    """The segment of this server, in the first folder that takes it, and a slot there.

    After a word, a slot that nobody else can read if none does.
    """
    name, why = name_for(key), "there is no folder for it"
    for folder in folders() if places is None else places:
        try:
            segment, own = _joined(folder / name, say, threshold_ns, interval_ns)
        except OSError as error:
            why = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            continue
        sweep(folder, keep=name)
        return segment, own
    say(f"workers cannot share their numbers, so each speaks for itself alone: {why}")
    alone = Alone()
    return alone, alone.claim(threshold_ns, interval_ns)


def _joined(file: Path, say: Say, threshold_ns: int, interval_ns: int) -> tuple[Segment, Slot]:
    for _ in range(_TRIES):
        try:
            segment = Segment(file, say)
            return segment, segment.claim(threshold_ns, interval_ns)
        except (
            FileNotFoundError,
            BlockingIOError,
        ):  # the last of the others left, or one stands still
            continue
    raise OSError(f"{file} is removed, or kept locked, again and again")


def sweep(folder: Path, keep: str) -> None:
    """Removes what servers left behind of which no process lives; only of our own process numbers."""
    ours = f"{processes.namespace()}-"
    for file in folder.iterdir():
        if file.name.startswith(ours) and file.name != keep:
            try:
                Segment(file).leave()
            except OSError:
                continue


def read_anew(
    segment: Segment | Alone, patience_ns: int, asked: Callable[[], None] = lambda: None
) -> tuple[SlotState, ...]:
    """After a moment, in which all workers write what they have, as far as they can.

    `asked` is called as soon as they have been asked, for a worker of this process.
    """
    began = time.monotonic_ns()
    segment.ask(began)
    asked()
    while segment.owed(began) and time.monotonic_ns() - began < patience_ns:
        time.sleep(_GLANCE_S)
    return segment.read()
