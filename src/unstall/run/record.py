"""The file of `--record`, and what is kept in memory for the summary."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from unstall.errors import UsageError
from unstall.model.observation import Loop, Losses, Process, Pulse, Stretch
from unstall.model.recording import Entry, LineWriter, Recording, header_line
from unstall.version import TOOL
from unstall.watch.pulses import Pulses
from unstall.watch.recorder import KEEP_LOOPS, Sums, drop_shortest

_KEEP_PULSES = 1_800
_KEEP_STRETCHES = 400


class RecordFile:
    """Lines as they come, from `begin` on: until then an earlier recording stays whole.

    A disk that fills up ends the file, not the run.
    """

    def __init__(self, path: Path) -> None:
        """Raises UsageError if the file cannot be written, or holds something else than a recording."""
        self.path = path
        self.replaced = _is_recording(path)
        self.failed: str | None = None
        self._ours = not path.exists()
        try:
            self._file: TextIO = path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise UsageError(f"--record {path} cannot be written: {error.strerror}") from None
        self._writer = LineWriter()
        self._begun = False

    def begin(self) -> None:
        self._begun = True
        try:
            if self.path.is_file():
                self._file.truncate(0)
        except OSError as error:
            self.failed = f"the recording {self.path} cannot be overwritten: {error.strerror}"
        self._write(header_line(TOOL))

    def write(self, entry: Entry) -> None:
        self._write(*self._writer.lines(entry))

    def _write(self, *lines: str) -> None:
        if self.failed is not None:
            return
        try:
            self._file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            self.failed = f"the recording {self.path} ends early: {error.strerror}"

    def close(self) -> None:
        try:
            self._file.close()
            if self._ours and not self._begun:
                self.path.unlink()
        except OSError as error:
            self.failed = f"the recording {self.path} ends early: {error.strerror}"


def _is_recording(path: Path) -> bool:
    """Whether a recording is there already. Raises UsageError if something else is."""
    if not path.is_file():  # nothing, or a pipe; a folder says so itself when it is opened
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline(1024)
    except OSError as error:
        raise UsageError(f"--record {path} cannot be read: {error.strerror}") from None
    try:
        recorded = bool(json.loads(first)["kind"] == "recording")
    except (ValueError, TypeError, KeyError):
        recorded = False
    if first and not recorded:
        raise UsageError(
            f"--record {path} holds something that is no recording: name a file that may be overwritten"
        )
    return recorded


class Ledger:
    """All that was seen, in bounded memory: of a stall that lasts the latest word only."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self._loops: dict[tuple[str, int], Loop] = {}
        self._stretches: list[Stretch] = []
        self._lasting: dict[tuple[str, int], Stretch] = {}
        self._pulses = Pulses(_KEEP_PULSES)
        self._losses: dict[str, Losses] = {}
        self._dropped = 0
        self._sums = Sums()
        self.notes: dict[str, int] = {}
        """Sentences for the summary, each with how often it was said."""

    @property
    def watched(self) -> bool:
        return bool(self._loops or self._stretches)

    def add(self, entry: Entry) -> bool:
        """False for what was known already: a child that had to connect again repeats itself."""
        match entry:
            case Process():
                known = entry.process in self.processes
                self.processes[entry.process] = entry
                return not known
            case Loop():
                known = (entry.process, entry.loop) in self._loops
                if len(self._loops) < KEEP_LOOPS:
                    self._loops[entry.process, entry.loop] = entry
                return not known
            case Stretch():
                self._stretch(entry)
            case Pulse():
                self._pulses.append(entry)
            case Losses():
                before = self._losses.get(entry.process, Losses(entry.process)).dropped
                counts = {
                    what: before.get(what, 0) + entry.dropped.get(what, 0)
                    for what in (*before, *entry.dropped)
                }
                self._losses[entry.process] = replace(entry, dropped=counts)
            case _:
                self._sums.add(entry)
        return True

    def note(self, text: str) -> None:
        self.notes[text] = self.notes.get(text, 0) + 1

    def recording(self) -> Recording:
        notes = [f"{text} ({n} times)" if n > 1 else text for text, n in self.notes.items()]
        if self._dropped:
            notes.append(f"{self._dropped} short stalls were seen and left out of this summary")
        return Recording(
            tool=TOOL,
            processes=tuple(self.processes.values()),
            loops=tuple(self._loops.values()),
            stretches=(*self._stretches, *self._lasting.values()),
            pulses=tuple(self._pulses),
            losses=tuple(self._losses.values()),
            flaws=tuple(notes),
            **self._sums.kept(),
        )

    def _stretch(self, stretch: Stretch) -> None:
        key = stretch.process, stretch.loop
        if stretch.ongoing:
            self._lasting[key] = stretch
            return
        lasting = self._lasting.get(key)
        if lasting is not None and lasting.due_ns <= stretch.until_ns:
            del self._lasting[key]
        self._stretches.append(stretch)
        if len(self._stretches) > _KEEP_STRETCHES:
            drop_shortest(self._stretches)
            self._dropped += 1
