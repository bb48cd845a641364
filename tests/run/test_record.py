"""The recording on disk, and the ledger in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.lines import line_of
from unstall.errors import UsageError
from unstall.explain.report import report_of, settled
from unstall.model.observation import Loop, Losses, Process, Stretch
from unstall.model.recording import header_line, read
from unstall.run.record import Ledger, RecordFile

PROCESS = Process("1-a", 1, 0.0, 0, ("python",), "3.11.7", 100)
LOOP = Loop("1-a", 1, "asyncio", "MainThread")


def stretch(due: int, until: int, *, ongoing: bool = False, loop: int = 1) -> Stretch:
    return Stretch("1-a", loop, "MainThread", due - 20, due, until, ongoing=ongoing)


def test_a_recording_begins_with_its_header_and_is_read_back(tmp_path: Path) -> None:
    record = RecordFile(tmp_path / "run.jsonl")
    record.begin()
    record.write(PROCESS)
    record.close()
    assert read(record.path).processes == (PROCESS,)
    assert not record.replaced


def test_an_earlier_recording_is_overwritten_and_anything_else_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(header_line("unstall 0.0.1") + "\n" + line_of(PROCESS) + "\n")
    record = RecordFile(path)
    assert read(path).processes == (PROCESS,)
    record.begin()
    record.close()
    assert record.replaced
    assert read(path).processes == ()
    path.write_text("dear diary\n")
    with pytest.raises(UsageError, match="holds something that is no recording"):
        RecordFile(path)
    assert path.read_text() == "dear diary\n"


def test_nothing_is_lost_or_left_behind_when_the_command_does_not_start(tmp_path: Path) -> None:
    path, new = tmp_path / "run.jsonl", tmp_path / "new.jsonl"
    path.write_text(header_line("unstall 0.0.1") + "\n" + line_of(PROCESS) + "\n")
    for record in (RecordFile(path), RecordFile(new)):
        record.close()
    assert read(path).processes == (PROCESS,)
    assert not new.exists()


@pytest.mark.parametrize("name", ["missing/run.jsonl", "."])
def test_a_place_that_cannot_be_written_is_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        RecordFile(tmp_path / name)


def test_a_full_disk_ends_the_file_and_not_the_run() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    record = RecordFile(full)
    record.begin()
    record.write(replace(PROCESS, command=("x" * 100_000,)))
    record.write(LOOP)
    record.close()
    assert record.failed is not None
    assert "ends early" in record.failed


def test_what_a_child_repeats_after_it_connected_again_is_known() -> None:
    ledger = Ledger()
    assert [ledger.add(PROCESS), ledger.add(LOOP)] == [True, True]
    assert [ledger.add(PROCESS), ledger.add(LOOP)] == [False, False]
    assert ledger.recording().loops == (LOOP,)


def test_losses_add_up() -> None:
    ledger = Ledger()
    for dropped in ({"looks": 2}, {}, {"looks": 3, "lines": 1}):
        ledger.add(Losses("1-a", dropped))
    assert ledger.recording().losses == (Losses("1-a", {"looks": 5, "lines": 1}),)


@pytest.mark.parametrize("collect", ["ledger", "file"])
def test_a_stall_is_counted_once_however_often_it_was_told(collect: str) -> None:
    told = [
        stretch(100, 300, ongoing=True),
        stretch(105, 1_100, ongoing=True),
        stretch(102, 1_200),
        stretch(2_000, 2_300, ongoing=True),
        stretch(2_000, 3_000, ongoing=True),
        stretch(100, 250, ongoing=True, loop=2),
    ]
    if collect == "ledger":
        ledger = Ledger()
        for each in told:
            ledger.add(each)
        kept = ledger.recording().stretches
    else:
        kept = settled(told)
    assert set(kept) == {told[2], told[4], told[5]}


def test_a_stall_that_never_ended_is_in_the_report() -> None:
    ledger = Ledger()
    ledger.add(PROCESS)
    ledger.add(stretch(100, 300, ongoing=True))
    report = report_of(ledger.recording(), "x")
    assert len(report.stalls) == 1
    assert report.coverage["stalls"] == 1


def test_a_note_that_is_repeated_is_a_number() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.note("a Python 3.9 process was left alone")
    assert ledger.recording().flaws == ("a Python 3.9 process was left alone (3 times)",)
