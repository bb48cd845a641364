"""Source that is read by another thread, and kept as `linecache` keeps it."""

from __future__ import annotations

import linecache
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.disk import PATIENCE_S, Disk
from unstall.watch import source
from unstall.watch.source import Sources


def brought(sources: Sources, file: Path) -> bool:
    """Whether it is at hand in the end."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := sources.at_hand(str(file))) and time.monotonic() < deadline:
        time.sleep(0.001)
    return found


def test_text_is_kept_as_linecache_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "open_end.py"
    file.write_bytes("x = 'é'\r\ny = 2".encode())
    assert brought(Sources(), file)
    kept = linecache.cache.pop(str(file))
    assert linecache.getlines(str(file)) == ["x = 'é'\n", "y = 2\n"]
    assert kept == linecache.cache[str(file)]


def test_text_that_was_put_out_of_memory_comes_from_the_disk(tmp_path: Path) -> None:
    file = tmp_path / "cold.py"
    file.write_text("x = 1\n" * 10_000)
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert brought(Sources(), file)
    assert len(linecache.cache[str(file)]) == 4


def test_a_promise_to_read_it_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "lazy.py"
    file.write_text("x = 1\n")
    linecache.cache[str(file)] = (lambda: pytest.fail("it is read on the thread that asks"),)
    assert brought(Sources(), file)
    assert linecache.getlines(str(file)) == ["x = 1\n"]


@pytest.mark.parametrize("name", ["none.py", "", "not_utf8.py", "of_no_encoding.py", "large.py"])
def test_where_there_is_no_text_nobody_waits_for_it_and_one_thread_tries(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not_utf8.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / "of_no_encoding.py").write_bytes(b"# coding: none\n")
    (tmp_path / "large.py").write_bytes(b"x = 1\n" * 10)
    disk = Disk(monkeypatch, slow=lambda _: False)
    monkeypatch.setattr(source, "_LARGEST", 50)
    sources = Sources()
    for _ in range(3):
        assert brought(sources, tmp_path / name)
    assert disk.asked == [str(tmp_path / name)]
    assert str(tmp_path / name) not in linecache.cache


def test_of_many_files_on_a_slow_disk_few_are_read_at_once_and_one_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    monkeypatch.setattr(source, "_AGAIN_S", PATIENCE_S)
    waits: list[float] = []
    wait = source._Coming.wait

    def noted(coming: Any, seconds: float) -> bool:
        waits.append(seconds)
        return wait(coming, seconds)

    monkeypatch.setattr(source._Coming, "wait", noted)
    sources, files = Sources(), [tmp_path / f"m{n}.py" for n in range(30)]
    for file in files:
        file.write_text("x = 1\n")
    here = [sources.at_hand(str(file)) for file in files]
    assert here == [False] * 30
    assert len(waits) == 1
    disk.turns.set()
    for file in files:
        assert brought(sources, file)
    assert disk.most <= source._MOST


def test_what_came_too_late_for_its_look_is_taken_in_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    monkeypatch.setattr(source, "_MOST", 1)
    late, later = tmp_path / "late.py", tmp_path / "later.py"
    for file in (late, later):
        file.write_text("x = 1\n")
    sources = Sources()
    assert not sources.at_hand(str(late))
    assert not sources.at_hand(str(later))
    disk.turns.set()
    assert brought(sources, later)
    assert linecache.cache[str(late)]


def test_files_that_never_come_keep_few_others_from_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, slow=lambda file: "lost" in file)
    monkeypatch.setattr(source, "_LOST_S", 0.0)
    monkeypatch.setattr(source, "_MOST", 1)
    (tmp_path / "here.py").write_text("x = 1\n")
    sources = Sources()
    assert not any(sources.at_hand(f"lost{n}") for n in range(5))
    assert brought(sources, tmp_path / "here.py")
    assert not any(sources.at_hand(f"lost{n}") for n in range(100))
    assert len(sources._coming) == source._MOST_LOST
    disk.turns.set()


def test_what_is_no_file_costs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "start_new_thread", lambda *_: pytest.fail("a thread"))
    assert Sources().at_hand("<string>")


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, PermissionError])
def test_where_no_thread_can_start_the_asker_reads(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> int:
        raise error("can't start new thread")

    monkeypatch.setattr(source, "start_new_thread", refuses)
    (tmp_path / "a.py").write_text("x = 1\n")
    assert Sources().at_hand(str(tmp_path / "a.py"))
    assert linecache.getline(str(tmp_path / "a.py"), 1) == "x = 1\n"


def test_a_host_that_breaks_open_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: str) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(source, "text_of", breaks)
    assert brought(Sources(), tmp_path / "a.py")
