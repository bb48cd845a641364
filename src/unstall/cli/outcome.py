"""A file with the outcome of a run, told from a recording by its content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unstall.errors import RecordingError, UsageError
from unstall.model.proof import Run
from unstall.triage.secrets import in_text

_OURS = frozenset({"plan", "target", "tool"})
"""Keys that every outcome has, and no line of a recording."""


def read_run(file: Path, option: str = "") -> Run:
    """What `option` names, if one does.

    Raises RecordingError for what is no outcome, or a damaged one; NewerRecording for a later format.
    """
    found = run_in(file)
    if found is not None:
        return found
    named = f"{option} {file}".lstrip()
    try:
        file.open("rb").close()
    except OSError as error:
        raise RecordingError(
            f"{named} cannot be read ({error.strerror}): name what --json wrote"
        ) from None
    raise RecordingError(f"{named} is no outcome of a run: name what --json wrote")


def read_whole(file: Path, option: str) -> Run:
    """What there is to compare with.

    Raises as `read_run` does, and UsageError for a part of a load or a run that its app did not survive.
    """
    run = read_run(file, option)
    if run.shard:
        raise UsageError(
            f"{option} {file} is shard {run.shard} of a load, and holds a part of its requests: "
            "name what unstall load merge made of all shards"
        )
    for phase in run.phases:
        if phase.ended:
            raise UsageError(
                f"{option} {file} holds figures of an app that was gone ({phase.name}: "
                f"{in_text(phase.ended)}), and nothing could be worse: name a run that it survived"
            )
    return run


def run_in(file: Path) -> Run | None:
    """None if it is something else, a recording perhaps, or cannot be read at all: who reads that says so.

    Raises RecordingError if it is an outcome, and a damaged one; NewerRecording for a later format.
    """
    try:
        with file.open("rb") as opened:
            if _is_line(opened.readline(1 << 16)):
                return None
        data = json.loads(file.read_bytes())
    except OSError:
        return None
    except (ValueError, RecursionError):
        if _began_as_one(file):
            raise RecordingError(
                f"{file} is the outcome of a run, and cut off or damaged: write it again"
            ) from None
        return None
    if not isinstance(data, dict) or not data.keys() >= _OURS:
        return None
    try:
        return Run.from_json(data)
    except RecordingError as error:
        raise type(error)(f"{file}: {error}") from None


def _is_line(first: bytes) -> bool:
    """A whole object that says its kind: a recording is a row of them, and may be too large to be parsed."""
    try:
        data: Any = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and "kind" in data


def _began_as_one(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(1 << 12)
    return head.lstrip().startswith(b"{") and all(f'"{key}"'.encode() in head for key in _OURS)
