"""A recording: what one or more processes saw, as JSON lines that can be appended, merged, replayed.

The first line is `{"kind": "recording", "version": 1, "tool": …}`; every other line is one value of
`model.observation` with its `kind`, or a frame. Lines of several processes may be mixed.

A frame is written once, before the first stack that ends in it, and names the one that called it: so a
stack is a number. The numbers hold from one first line to the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO, TypeVar

from unstall.errors import NewerRecording, RecordingError
from unstall.model.anatomy import Held, SlowRequest, Threads
from unstall.model.codec import dump, load
from unstall.model.finding import Told
from unstall.model.latent import LatentCall
from unstall.model.observation import Look, Loop, Losses, Process, Pulse, Stretch
from unstall.model.place import Frame, Stack

VERSION = 1

Entry = Process | Loop | Stretch | Pulse | Losses | Held | SlowRequest | Threads | LatentCall | Told

KINDS: Mapping[str, type[Entry]] = {
    "process": Process,
    "loop": Loop,
    "stretch": Stretch,
    "pulse": Pulse,
    "losses": Losses,
    "held": Held,
    "slow": SlowRequest,
    "threads": Threads,
    "latent": LatentCall,
    "finding": Told,
}
Seen = TypeVar("Seen", Look, LatentCall)
_NOWHERE = Stack(())
_MOST_FLAWS = 20
_LONGEST_HEADER = 1 << 16
_MOST_FRAMES = 50_000
_DEEPEST = 1_000

_NAMES = {cls: name for name, cls in KINDS.items()}


def header_line(tool: str) -> str:
    return json.dumps({"kind": "recording", "version": VERSION, "tool": tool})


class LineWriter:
    """Entries to lines, for one file or one connection from its beginning."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, Frame], int] = {}

    def lines(self, entry: Entry) -> list[str]:
        """Without newlines; the entry's own line is the last."""
        if (
            len(self._numbers) > _MOST_FRAMES
        ):  # what is forgotten is written anew, under an old number
            self._numbers.clear()
        lines: list[str] = []
        data = {"kind": _NAMES[type(entry)]}
        if isinstance(entry, Stretch):
            looks = [
                dump(replace(look, stack=_NOWHERE)) | {"stack": self._stack(look.stack, lines)}
                for look in entry.looks
            ]
            data |= dump(replace(entry, looks=())) | ({"looks": looks} if looks else {})
        elif isinstance(entry, LatentCall):
            data |= dump(replace(entry, stack=_NOWHERE)) | {
                "stack": self._stack(entry.stack, lines)
            }
        else:
            data |= dump(entry)
        lines.append(_json(data))
        return lines

    def _stack(self, stack: Stack, lines: list[str]) -> dict[str, int]:
        number = 0
        for frame in stack.frames:
            key = number, frame
            known = self._numbers.get(key)
            if known is None:
                known = self._numbers[key] = len(self._numbers) + 1
                place = {"kind": "frame", "number": known} | ({"of": number} if number else {})
                lines.append(_json(place | dump(frame)))
            number = known
        return {"frame": number} | ({"cut": stack.cut} if stack.cut else {})


class LineReader:
    """Lines to entries; equal stacks become one object."""

    def __init__(self) -> None:
        self._stacks: dict[int, tuple[Frame, ...]] = {}
        self._frames: dict[Frame, Frame] = {}

    def entry(self, line: str) -> Entry | None:
        """The value of a line, None if there is none in it.

        Raises ValueError, TypeError or KeyError if it is not one of ours, or a stack's frame is missing.
        """
        data = json.loads(line)
        if not isinstance(data, dict):
            raise TypeError("a line of a recording is an object")
        kind = data.pop("kind")
        if kind == "recording":  # files may be joined with `cat`
            self._stacks, self._frames = {}, {}
        elif kind == "frame":
            frame = load(Frame, data)
            number = load(int, data["number"])
            if number == 1:  # the writer begins anew
                self._stacks, self._frames = {}, {}
            callers = self._stacks[data["of"]] if "of" in data else ()
            if len(callers) > _DEEPEST or len(self._frames) > 2 * _MOST_FRAMES:
                raise ValueError("more frames than are ever written")
            self._stacks[number] = (*callers, self._frames.setdefault(frame, frame))
        elif kind == "stretch":
            looks = data.pop("looks", [])
            return replace(load(Stretch, data), looks=tuple(map(self._look, looks)))
        elif kind == "latent":
            return self._with_stack(LatentCall, data)
        else:
            return load(KINDS[kind], data)
        return None

    def _look(self, data: Any) -> Look:
        return self._with_stack(Look, data)

    def _with_stack(self, cls: type[Seen], data: Any) -> Seen:
        at = data["stack"]
        stack = Stack(self._stacks[at["frame"]], load(int, at.get("cut", 0)))
        return replace(load(cls, data | {"stack": {"frames": []}}), stack=stack)


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Recording:
    """Frozen; `a + b` combines two."""

    tool: str = ""
    processes: tuple[Process, ...] = ()
    loops: tuple[Loop, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    pulses: tuple[Pulse, ...] = ()
    losses: tuple[Losses, ...] = ()
    held: tuple[Held, ...] = ()
    slow: tuple[SlowRequest, ...] = ()
    threads: tuple[Threads, ...] = ()
    latent: tuple[LatentCall, ...] = ()
    told: tuple[Told, ...] = ()
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
            held=tuple(kept[Held]),
            slow=tuple(kept[SlowRequest]),
            threads=tuple(kept[Threads]),
            latent=tuple(kept[LatentCall]),
            told=tuple(kept[Told]),
            flaws=tuple(flaws),
        )

    def entries(self) -> Iterator[Entry]:
        yield from self.processes
        yield from self.loops
        yield from self.stretches
        yield from self.pulses
        yield from self.losses
        yield from self.held
        yield from self.slow
        yield from self.threads
        yield from self.latent
        yield from self.told

    def __add__(self, other: Recording) -> Recording:
        return Recording.of(
            (*self.entries(), *other.entries()),
            self.tool or other.tool,
            (*self.flaws, *other.flaws),
        )

    def save(self, path: Path) -> None:
        with path.open("w", encoding="utf-8") as file:
            file.write(header_line(self.tool) + "\n")
            writer = LineWriter()
            for entry in self.entries():
                file.writelines(f"{line}\n" for line in writer.lines(entry))


def read(path: Path) -> Recording:
    """The recording in a file, with what was unreadable in `flaws`.

    Raises RecordingError if the file cannot be read or is not a recording, NewerRecording if its
    version is later than ours.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return _read(path, file)
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be read ({error.strerror or error}): give the file that --record wrote"
        ) from None


def _read(path: Path, file: TextIO) -> Recording:
    tool = _tool_of(path, file.readline(_LONGEST_HEADER))
    reader = LineReader()
    entries: list[Entry] = []
    flaws: list[str] = []
    skipped = 0
    for number, line in enumerate(file, start=2):
        if not line.strip():
            continue
        try:
            entry = reader.entry(line)
            if entry is not None:
                entries.append(entry)
        except (ValueError, TypeError, KeyError, RecursionError):
            if not line.endswith("\n"):
                flaws.append(
                    f"line {number} of {path} is cut off, as when the writer was killed; "
                    "what comes before it was read"
                )
            elif len(flaws) < _MOST_FLAWS:
                flaws.append(f"line {number} of {path} is not part of a recording and was skipped")
            else:
                skipped += 1
    if skipped:
        flaws.append(f"{skipped} more lines of {path} were skipped for the same reason")
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
