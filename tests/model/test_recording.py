"""Recordings are saved, read, joined, and survive being cut."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.strategies import values_of
from tests.support.lines import line_of
from unstall.errors import NewerRecording, RecordingError
from unstall.model.histogram import Histogram
from unstall.model.observation import Loop, Losses, Process, Pulse, Stretch
from unstall.model.place import Frame, Owner, Stack
from unstall.model.recording import KINDS, LineReader, LineWriter, Recording, header_line, read
from unstall.testing import look, stretch

PROCESS = Process("1-abc", 1, 1_700_000_000.5, 0, ("uvicorn", "shop:app"), "3.11.9", 100_000_000)
LOOP = Loop("1-abc", 1, "uvloop.Loop", "MainThread")
STRETCH = stretch(look(wait="poll"), in_flight=3)
PULSE = Pulse("1-abc", 1, 0, 1_000_000_000, Histogram.of([1, 2, 3]), requests=2)
LOSSES = Losses("1-abc", {"looks": 2})
ENTRIES = (PROCESS, LOOP, STRETCH, PULSE, LOSSES)
FULL = Recording.of(ENTRIES, tool="unstall 0.1.0")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def test_a_recording_is_read_as_it_was_saved(path: Path) -> None:
    FULL.save(path)
    assert read(path) == FULL


ANY_ENTRIES = st.lists(st.one_of(*map(values_of, KINDS.values())), max_size=5)


@given(ANY_ENTRIES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_recording_is_read_as_it_was_saved(path: Path, entries: list[Any]) -> None:
    recording = Recording.of(entries, tool="unstall 0.1.0")
    recording.save(path)
    assert read(path) == recording


@given(st.lists(ANY_ENTRIES, max_size=4))
def test_combining_keeps_everything_and_is_associative(parts: list[list[Any]]) -> None:
    first, second, third, *_ = [*map(Recording.of, parts), *[Recording()] * 3]
    assert (first + second) + third == first + (second + third)
    assert _lines(first + second) == _lines(first) + _lines(second)


def _lines(recording: Recording) -> Counter[str]:
    return Counter(map(line_of, recording.entries()))


def test_an_entry_is_one_line_after_those_of_its_frames() -> None:
    writer, reader = LineWriter(), LineReader()
    for entry in ENTRIES:
        *frames, own = writer.lines(entry)
        assert all(reader.entry(line) is None for line in frames)
        assert reader.entry(own) == entry


def test_a_frame_is_written_once_and_read_as_one_object() -> None:
    writer, reader = LineWriter(), LineReader()
    first = writer.lines(STRETCH)
    again = writer.lines(replace(STRETCH, in_flight=4))
    assert (len(first), len(again)) == (1 + len(STRETCH.looks[0].stack.frames), 1)
    one, other = [reader.entry(line) for line in (*first, *again)][len(first) - 1 :]
    assert isinstance(one, Stretch)
    assert isinstance(other, Stretch)
    assert one.looks[0].stack.frames is other.looks[0].stack.frames


def test_a_stack_shares_the_lines_of_its_outer_frames() -> None:
    outer, left, right = (Frame("a.py", n, "f", "a", Owner.APP) for n in (1, 2, 3))
    writer = LineWriter()
    writer.lines(stretch(replace(look(), stack=Stack((outer, left)))))
    lines = writer.lines(stretch(replace(look(), stack=Stack((outer, right)))))
    assert json.loads(lines[0])["of"] == 1
    assert len(lines) == 2


def test_a_writer_that_begins_anew_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstall.model.recording._MOST_FRAMES", 2)
    writer, reader = LineWriter(), LineReader()
    for line in range(1, 20):
        frames = tuple(Frame("a.py", line + n, "f", "a", Owner.APP) for n in range(3))
        entry = stretch(replace(look(), stack=Stack(frames)))
        assert [reader.entry(text) for text in writer.lines(entry)][-1] == entry


def test_a_stretch_whose_frames_were_lost_is_skipped(path: Path) -> None:
    FULL.save(path)
    kept = [line for line in path.read_text().splitlines() if '"kind":"frame"' not in line]
    path.write_text("\n".join(kept) + "\n")
    recording = read(path)
    assert recording.stretches == ()
    assert recording.flaws == (f"line 4 of {path} is not part of a recording and was skipped",)


def test_of_many_bad_lines_a_few_are_told(path: Path) -> None:
    path.write_text(header_line("unstall 0.1.0") + "\n" + "oh\n" * 100)
    flaws = read(path).flaws
    assert (len(flaws), flaws[-1][:14]) == (21, "80 more lines ")


def test_flaws_of_both_halves_are_kept() -> None:
    left, right = Recording(tool="a", flaws=("cut",)), Recording(tool="b", flaws=("skipped",))
    assert (left + right).flaws == ("cut", "skipped")
    assert ((left + right).tool, (Recording() + right).tool) == ("a", "b")


def test_a_last_line_that_was_cut_is_told_and_the_rest_is_read(path: Path) -> None:
    FULL.save(path)
    path.write_text(path.read_text()[:-20])
    last = len(path.read_text().splitlines())
    recording = read(path)
    assert recording.processes == (PROCESS,)
    assert recording.losses == ()
    assert recording.flaws == (
        f"line {last} of {path} is cut off, as when the writer was killed; what comes before it was read",
    )


def test_a_last_line_without_its_newline_is_whole(path: Path) -> None:
    FULL.save(path)
    path.write_text(path.read_text().rstrip("\n"))
    assert read(path) == FULL


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        "17",
        '{"kind": "dream"}',
        '{"kind": []}',
        '{"pid": 1}',
        '{"kind": "losses", "process": "1", "dropped": [1]}',
        '{"kind": "stretch", "process": "1"}',
        '{"kind": "frame", "number": 1}',
        '{"kind": "frame", "number": 2, "of": 17, "file": "a", "line": 1, "function": "f"}',
        line_of(STRETCH).replace('"frame":', '"frame":17'),
        line_of(replace(STRETCH, looks=())).replace(str(STRETCH.until_ns), "9" * 400),
        line_of(PROCESS).replace("1700000000.5", "Infinity"),
        line_of(PULSE).replace("[[1,1]", "[[99999999999999,1]"),
    ],
)
def test_a_line_that_is_not_ours_is_told_and_skipped(path: Path, line: str) -> None:
    lines = [header_line("unstall 0.1.0"), line_of(PROCESS), line, line_of(LOSSES)]
    path.write_text("\n".join(lines) + "\n")
    recording = read(path)
    assert (recording.processes, recording.losses) == ((PROCESS,), (LOSSES,))
    assert recording.flaws == (f"line 3 of {path} is not part of a recording and was skipped",)


def test_a_blank_line_is_no_flaw(path: Path) -> None:
    path.write_text(f"{header_line('unstall 0.1.0')}\n\n{line_of(PROCESS)}\n\n")
    assert read(path).flaws == ()


def test_files_may_be_joined_with_cat(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    second = Recording.of([Process("2-def", 2, 1.0, 0, (), "3.12.1", 1)], tool="unstall 0.1.0")
    FULL.save(path)
    second.save(other)
    joined = tmp_path / "both.jsonl"
    joined.write_bytes(path.read_bytes() + other.read_bytes())
    assert read(joined) == FULL + second


def test_a_field_of_a_later_minor_version_does_no_harm(path: Path) -> None:
    data = json.loads(line_of(LOOP)) | {"weather": "fine"}
    path.write_text(f"{header_line('unstall 0.9')}\n{json.dumps(data)}\n")
    assert read(path).loops == (LOOP,)


def test_a_newer_version_is_refused_with_its_writer_named(path: Path) -> None:
    path.write_text('{"kind": "recording", "version": 2, "tool": "unstall 3.0"}\n')
    with pytest.raises(NewerRecording, match=r"written by unstall 3\.0 in version 2 .*upgrade"):
        read(path)


@pytest.mark.parametrize(
    "text",
    ["", "hello\n", "{}\n", "[1]\n", '{"kind": "recording"}\n', '{"kind": "loop", "version": 1}\n'],
)
def test_what_is_no_recording_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(RecordingError, match="is not a recording: it begins with"):
        read(path)


def test_a_binary_file_is_refused_and_not_a_crash(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(RecordingError):
        read(path)


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(RecordingError, match=r"run\.jsonl cannot be read"):
        read(path)
