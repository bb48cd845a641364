"""A profile of what stalled the loops, for speedscope.app: the looks of each stall, weighted by time.

One profile for each loop of each process. What a loop did while it was punctual is not in it: nobody looked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from unstall.explain.blame import step_of
from unstall.explain.report import settled
from unstall.model.observation import Look, Process, Stretch
from unstall.model.place import Frame, Owner
from unstall.model.recording import Recording

SCHEMA = "https://www.speedscope.app/file-format-schema.json"

Box = tuple[str, str, int]
"""Name, file and line of one box of the picture; an empty file and line 0 where there is none."""


def render(recording: Recording, name: str) -> str:
    return json.dumps(document_of(recording, name), ensure_ascii=False)


def document_of(recording: Recording, name: str) -> dict[str, Any]:
    """What `SCHEMA` describes; `profiles` is empty if there was no stall."""
    boxes: dict[Box, int] = {}
    loops: dict[tuple[str, int], list[Stretch]] = {}
    for stretch in settled(recording.stretches):
        loops.setdefault((stretch.process, stretch.loop), []).append(stretch)
    processes = {process.process: process for process in recording.processes}
    profiles = [
        _profile(_title(processes.get(process), process, loop, stretches), stretches, boxes)
        for (process, loop), stretches in sorted(loops.items())
    ]
    return {
        "$schema": SCHEMA,
        "name": name,
        "exporter": recording.tool or "unstall",
        "activeProfileIndex": 0,
        "shared": {"frames": [_frame(box) for box in boxes]},
        "profiles": profiles,
    }


def _title(process: Process | None, name: str, loop: int, stretches: Sequence[Stretch]) -> str:
    pid = process.pid if process is not None else name.partition("-")[0]
    stalls = "1 stall" if len(stretches) == 1 else f"{len(stretches)} stalls"
    return f"pid {pid}, loop {loop} on {stretches[0].thread}: {stalls}"


def _profile(title: str, stretches: Iterable[Stretch], boxes: dict[Box, int]) -> dict[str, Any]:
    samples: list[list[int]] = []
    weights: list[int] = []
    for stretch in stretches:
        for box, weight in _samples(stretch):
            samples.append([boxes.setdefault(each, len(boxes)) for each in box])
            weights.append(weight)
    return {
        "type": "sampled",
        "name": title,
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }


def _samples(stretch: Stretch) -> Iterator[tuple[list[Box], int]]:
    """A look stands for the time until the next one, the first also for what was before it."""
    if not stretch.looks:
        yield [("(not seen)", "", 0)], max(0, stretch.late_ns)
        return
    begins = [stretch.due_ns, *(look.first_ns for look in stretch.looks[1:])]
    ends = [*begins[1:], stretch.until_ns]
    for look, begin, end in zip(stretch.looks, begins, ends, strict=True):
        yield _boxes(look), max(0, end - begin)


def _boxes(look: Look) -> list[Box]:
    """Outermost first: the request, the step's frames, the system call it was in."""
    boxes = [_box(frame) for frame in step_of(look.stack).frames if frame.owner is not Owner.SELF]
    if look.request is not None:
        boxes.insert(0, (f"{look.request.method} {look.request.route}", "", 0))
    if look.wait is not None:
        peer = f" on {look.wait.peer}" if look.wait.peer else ""
        boxes.append((f"{look.wait.syscall}{peer}", "", 0))
    return boxes or [("(no Python frame)", "", 0)]


def _box(frame: Frame) -> Box:
    """The application's lines stay apart; a library's function is one box."""
    return frame.dotted, frame.file, frame.line if frame.owner is Owner.APP else 0


def _frame(box: Box) -> dict[str, Any]:
    name, file, line = box
    return {"name": name} | ({"file": file} if file else {}) | ({"line": line} if line else {})
