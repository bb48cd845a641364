"""A recording: what one or more processes saw, as JSON lines that can be appended, merged, replayed.

The first line is `{"kind": "recording", "version": 1, "tool": …}`; every other line is one value of
`model.observation` with its `kind`. Lines of several processes may be mixed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unstall.errors import NewerRecording, RecordingError
from unstall.model.codec import dump, load
from unstall.model.observation import Loop, Losses, Process, Pulse, Stretch

VERSION = 1

Entry = Process | Loop | Stretch | Pulse | Losses

KINDS: Mapping[str, type[Entry]] = {
    "process": Process,
    "loop": Loop,
    "stretch": Stretch,
    "pulse": Pulse,
    "losses": Losses,
}
_NAMES = {cls: name for name, cls in KINDS.items()}


def header_line(tool: str) -> str:
    return json.dumps({"kind": "recording", "version": VERSION, "tool": tool})


def line_of(entry: Entry) -> str:
    """One line, without its newline."""
    return json.dumps({"kind": _NAMES[type(entry)]} | dump(entry), separators=(",", ":"))


def entry_of(line: str) -> Entry:
    """The value of one line. Raises ValueError, TypeError or KeyError if it is not one of ours."""
    data = json.loads(line)
    if not isinstance(data, dict):
        raise TypeError("a line of a recording is an object")
    return load(KINDS[data.pop("kind")], data)


@dataclass(frozen=True, slots=True)
class Recording:
    """Frozen; `a + b` combines two."""

    tool: str = ""
    processes: tuple[Process, ...] = ()
    loops: tuple[Loop, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    pulses: tuple[Pulse, ...] = ()
    losses: tuple[Losses, ...] = ()
    flaws: tuple[str, ...] = ()
    """What could not be read, each as a sentence."""

    @classmethod
    def of(cls, entries: Iterable[Entry], tool: str = "", flaws: Iterable[str] = ()) -> Recording:
        kept: dict[type[Entry], list[Any]] = {kind: [] for kind in KINDS.values()}
        for entry in entries:
            kept[type(entry)].append(entry)
        return cls(
            tool=tool,
            processes=tuple(kept[Process]),
            loops=tuple(kept[Loop]),
            stretches=tuple(kept[Stretch]),
            pulses=tuple(kept[Pulse]),
            losses=tuple(kept[Losses]),
            flaws=tuple(flaws),
        )

    def entries(self) -> Iterator[Entry]:
        yield from self.processes
        yield from self.loops
        yield from self.stretches
        yield from self.pulses
        yield from self.losses

    def __add__(self, other: Recording) -> Recording:
        return Recording.of(
            (*self.entries(), *other.entries()),
            self.tool or other.tool,
            (*self.flaws, *other.flaws),
        )

    def save(self, path: Path) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.write(header_line(self.tool) + "\n")
            file.writelines(line_of(entry) + "\n" for entry in self.entries())


def read(path: Path) -> Recording:
    """The recording in a file, with what was unreadable in `flaws`.

    Raises RecordingError if the file cannot be read or is not a recording, NewerRecording if its
    version is later than ours.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be read ({error.strerror or error}): give the file that --record wrote"
        ) from None
    lines = text.splitlines()
    tool = _tool_of(path, lines[0] if lines else "")
    entries: list[Entry] = []
    flaws: list[str] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or _is_header(line):  # files may be joined with `cat`
            continue
        try:
            entries.append(entry_of(line))
        except (ValueError, TypeError, KeyError, RecursionError):
            cut = number == len(lines) and not text.endswith("\n")
            flaws.append(
                f"line {number} of {path} is cut off, as when the writer was killed; "
                "what comes before it was read"
                if cut
                else f"line {number} of {path} is not part of a recording and was skipped"
            )
    return Recording.of(entries, tool, flaws)


def _tool_of(path: Path, first: str) -> str:
    try:
        head = json.loads(first)
        version = head["version"]
        if head["kind"] != "recording" or not isinstance(version, int):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        seen = repr(first[:40]) if first else "nothing"
        raise RecordingError(
            f"{path} is not a recording: it begins with {seen}; give the file that --record wrote"
        ) from None
    if version > VERSION:
        raise NewerRecording(
            f"{path} was written by {head.get('tool', 'a later unstall')} in version {version} of "
            f"the format, and this one reads up to {VERSION}: upgrade unstall"
        )
    return str(head.get("tool", ""))


def _is_header(line: str) -> bool:
    return line.startswith('{"kind": "recording"')
