"""One file for all workers: found by its name, kept whole through crashes, gone with the last of them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.export.families import counter, gauge
from unstall.export import processes
from unstall.export.joining import Alone, join, name_for, sweep
from unstall.export.segment import Segment
from unstall.export.slot import Slot
from unstall.export.snapshot import encode, families_in, summed
from unstall.model.metric import Family

CHILD = """
import sys, time
from pathlib import Path
from tests.export.families import counter
from unstall.export.segment import Segment
from unstall.export.slot import Slot
from unstall.export.snapshot import encode
segment = Segment(Path(sys.argv[1]), print)
slot = segment.claim(1, 2)
cell = slot.cell()
cell.begin(1, time.monotonic_ns(), 0)
slot.publish(1, encode([counter("c_total", ((), float(sys.argv[2])))]))
print("ready", flush=True)
sys.stdin.readline()
if sys.argv[3] == "release":
    segment.release()
elif sys.argv[3] == "leave":
    segment.leave()
"""


class Child:
    """A process of its own with `count` in a counter of its slot."""

    def __init__(self, file: Path, count: int, end: str = "crash") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(file), str(count), end],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.said = []
        while (line := self.process.stdout.readline()) not in ("ready\n", ""):
            self.said.append(line)
        assert line, "the child has failed"

    def end(self) -> None:
        self.process.communicate("\n", timeout=20)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=20)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "private" / "segment"


@pytest.fixture
def children(file: Path) -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        if child.process.poll() is None:
            child.kill()


def total(segment: Segment) -> float:
    read = [families_in(state.snapshot) for state in segment.read() if state.snapshot]
    return sum(sample.value for family in summed(read) for sample in family.samples)


def pids(segment: Segment) -> set[int]:
    return {state.pid for state in segment.read() if state.pid}


def counted(value: float) -> bytes:
    return encode([counter("c_total", ((), value))])


def test_workers_see_each_others_numbers(file: Path, children: list[Child]) -> None:
    children += [Child(file, 10), Child(file, 20)]
    mine = Segment(file)
    mine.claim().publish(1, counted(3))
    assert total(mine) == 33
    assert pids(mine) == {os.getpid(), *(child.process.pid for child in children)}


def test_what_a_killed_worker_counted_stays_in_the_sum(file: Path, children: list[Child]) -> None:
    """Else a restart would look to Prometheus like a reset of everybody's counters."""
    mine = Segment(file)
    mine.claim().publish(1, counted(3))
    for number in range(3):
        children.append(Child(file, 10))
        assert total(mine) == 3 + 10 * (number + 1)
        children[-1].kill()
        assert total(mine) == 3 + 10 * (number + 1)
    assert len(mine.read()) == 3  # mine, the last of the dead, and the gone: places are used again


def test_a_reader_sees_the_same_sum_at_every_moment_while_the_dead_are_buried(
    file: Path, children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Segment(file)
    mine.claim().publish(1, counted(3))
    children.append(Child(file, 10))
    children[0].kill()
    sums = []
    real = Slot.begin

    def looked_at(*args: object, **rest: object) -> object:
        sums.append(total(mine))  # the dead one is among the gone, and its place not yet taken
        return real(*args, **rest)  # type: ignore[arg-type]

    other = Segment(file)
    monkeypatch.setattr(Slot, "begin", looked_at)
    monkeypatch.setattr(
        os, "getpid", lambda: 4_000_000
    )  # another process, as far as slots are concerned
    other.claim()
    assert sums == [13]
    assert total(mine) == 13


def test_a_worker_that_stops_and_lives_on_takes_its_numbers_along(
    file: Path, children: list[Child]
) -> None:
    mine = Segment(file)
    mine.claim().publish(1, counted(3))
    children.append(Child(file, 10, "release"))
    children[0].end()
    assert total(mine) == 3


def test_a_worker_that_leaves_in_good_order_stays_in_the_sum(
    file: Path, children: list[Child]
) -> None:
    mine = Segment(file)
    mine.claim().publish(1, counted(3))
    children.append(Child(file, 10, "leave"))
    children[0].end()
    assert total(mine) == 13


@pytest.mark.parametrize("end", ["release", "leave"])
def test_the_last_one_removes_the_file(file: Path, children: list[Child], end: str) -> None:
    children += [Child(file, 1, end), Child(file, 2, end)]
    children[0].end()
    assert file.exists()
    children[1].end()
    assert not file.exists()


def test_what_a_crash_of_all_left_is_dropped_and_said(file: Path, children: list[Child]) -> None:
    children.append(Child(file, 10))
    children[0].kill()
    said: list[str] = []
    mine = Segment(file, said.append)
    (sentence,) = said
    assert sentence == (
        f"the shared numbers in {file} were left by processes that are gone "
        f"({children[0].process.pid}): they are dropped, and counting begins anew"
    )
    assert total(mine) == 0


def test_a_worker_that_joins_the_living_is_told_nothing(file: Path, children: list[Child]) -> None:
    children.append(Child(file, 10))
    said: list[str] = []
    Segment(file, said.append)
    assert said == []


def test_a_number_that_another_process_has_got_is_not_taken_for_the_same(
    file: Path, children: list[Child]
) -> None:
    children.append(Child(file, 10))
    pid = children[0].process.pid
    assert processes.status(pid, processes.started(pid)).alive
    assert not processes.status(pid, processes.started(pid) + 1).alive


def test_a_stopped_process_is_alive_and_a_zombie_is_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = processes.started(process.pid)
    process.send_signal(signal.SIGSTOP)
    until(lambda: processes.status(process.pid, began).stopped)
    assert processes.status(process.pid, began) == (True, True)
    process.kill()
    until(lambda: not processes.status(process.pid, began).alive)
    process.communicate()
    assert not processes.status(process.pid, began).alive


def test_a_file_of_another_version_is_replaced(file: Path) -> None:
    file.parent.mkdir(mode=0o700)
    file.write_bytes(b"something else" * 100_000)
    mine = Segment(file)
    mine.claim().publish(1, counted(3))
    assert total(mine) == 3


def test_a_removed_file_is_noticed(file: Path) -> None:
    mine = Segment(file)
    mine.claim()
    assert mine.current()
    file.unlink()
    assert not mine.current()
    Segment(file)
    assert not mine.current()


def test_a_program_that_becomes_another_by_exec_gets_its_own_place_again(file: Path) -> None:
    before = Segment(file)
    before.claim().publish(1, counted(3))
    after = Segment(file)
    after.claim().publish(1, counted(4))
    assert [state.pid for state in after.read() if state.pid] == [os.getpid()]
    assert total(after) == 7


def test_a_folder_that_others_may_enter_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    with pytest.raises(OSError, match="is open to others"):
        Segment(folder / "segment")


def test_a_link_is_not_followed(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir(mode=0o700)
    target = tmp_path / "precious"
    target.write_text("keep")
    file.symlink_to(target)
    with pytest.raises(OSError, match="symbolic"):
        Segment(file)
    assert target.read_text() == "keep"


# --- joining -------------------------------------------------------------------------------------


def test_the_next_folder_is_taken_where_the_first_cannot_be_written(tmp_path: Path) -> None:
    said: list[str] = []
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    segment, slot = join("key", said.append, places=[blocked / "below", tmp_path / "second"])
    slot.publish(1, counted(3))
    assert said == []
    assert isinstance(segment, Segment)
    assert segment.file.parent == tmp_path / "second"


def test_a_worker_without_any_folder_speaks_for_itself_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    segment, slot = join("key", said.append, places=[blocked / "below"])
    slot.publish(1, counted(3))
    assert isinstance(segment, Alone)
    (state,) = segment.read()
    assert state.pid == os.getpid()
    assert said == [
        "workers cannot share their numbers, so each speaks for itself alone: "
        f"{blocked / 'below'}: Not a directory"
    ]


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC])
def test_a_full_or_read_only_memory_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pwrite", refuse)
    said: list[str] = []
    segment, _ = join("key", said.append, places=[tmp_path / "memory"])
    assert isinstance(segment, Alone)
    (sentence,) = said
    assert os.strerror(code) in sentence
    assert list((tmp_path / "memory").iterdir()) == []


def test_a_half_written_allocation_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[: len(data) // 2], at))
    segment, _ = join("key", lambda _: None, places=[tmp_path / "memory"])
    assert isinstance(segment, Alone)


def test_a_name_holds_no_path_and_is_the_same_for_the_same_key() -> None:
    assert name_for("shop/../api") == name_for("shop/../api")
    assert "/" not in name_for("shop/../api")
    assert name_for("a") != name_for("b")


def test_a_process_that_no_server_started_has_a_name_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("UNSTALL_SEGMENT", raising=False)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert name_for() == f"{processes.namespace()}-{os.getpid()}-{processes.started(os.getpid())}"


def test_workers_of_one_server_have_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from unstall.export.joining import name_for; print(name_for(), flush=True)"
    monkeypatch.delenv("UNSTALL_SEGMENT", raising=False)
    server = (
        "import subprocess, sys\n"
        f"for _ in range(2): subprocess.run([sys.executable, '-c', {code!r}], check=True)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", server],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    ).stdout.split()
    assert len(said) == 2
    assert len(set(said)) == 1
    shell = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "{code}"; "{sys.executable}" -c "{code}"; true'],
        capture_output=True, text=True, check=True, start_new_session=True,
    ).stdout.split()  # fmt: skip
    assert len(set(shell)) == 2


def test_what_dead_servers_left_is_swept_away_and_nothing_else(
    tmp_path: Path, children: list[Child]
) -> None:
    folder = tmp_path / "memory"
    space = processes.namespace()
    dead, living = folder / f"{space}-dead", folder / f"{space}-living"
    children += [Child(dead, 1), Child(living, 2)]
    children[0].kill()
    foreign = folder / f"{space + 1}-dead"
    foreign.write_bytes(dead.read_bytes())
    sweep(folder, keep="mine")
    assert sorted(folder.iterdir()) == sorted([living, foreign])


def test_gauges_of_the_dead_are_not_kept(file: Path, children: list[Child]) -> None:
    mine = Segment(file)
    slot = mine.claim()
    families: list[Family] = [gauge("g", ((), 5)), counter("c_total", ((), 1))]
    slot.publish(1, encode(families))
    Segment(file).claim()
    gone = mine.read()[-1]
    assert gone.pid == 0
    assert [family.name for family in families_in(gone.snapshot or {})] == ["c_total"]


def test_a_reader_of_another_process_sees_the_beat_of_a_moment_ago(
    file: Path, children: list[Child]
) -> None:
    children.append(Child(file, 1))
    (state,) = (state for state in Segment(file).read() if state.pid)
    (loop,) = state.loops
    assert 0 <= time.monotonic_ns() - loop.last_ns < 60_000_000_000
    assert json.loads(json.dumps(state.snapshot))["families"]


def until(true: object) -> None:
    assert callable(true)
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
