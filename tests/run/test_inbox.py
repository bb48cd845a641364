"""The parent's folder: who made it, and who may clear it away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from unstall.errors import TargetError
from unstall.run.inbox import Inbox, sweep


@pytest.fixture
def dead() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def left_behind(folder: Path, pid: int, *, age_s: float = 3600) -> Path:
    """What `kill -9` leaves: a folder with a socket that nobody listens at."""
    left = folder / f"unstall-{pid}-abc_123x"
    left.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(left / "socket"))
    os.utime(left, (time.time() - age_s,) * 2)
    return left


def test_the_folder_carries_our_number_and_goes_with_us() -> None:
    with Inbox() as inbox:
        assert inbox.folder.name.startswith(f"unstall-{os.getpid()}-")
        assert inbox.folder.stat().st_mode & 0o777 == 0o700
    assert not inbox.folder.exists()


def test_what_a_killed_run_left_is_removed(tmp_path: Path, dead: int) -> None:
    left = left_behind(tmp_path, dead)
    sweep(tmp_path)
    assert not left.exists()


def test_the_folder_of_a_live_process_stays(tmp_path: Path) -> None:
    left = left_behind(tmp_path, os.getpid())
    sweep(tmp_path)
    assert left.exists()


def test_a_folder_somebody_listens_in_stays_whatever_its_number(tmp_path: Path, dead: int) -> None:
    folder = tmp_path / f"unstall-{dead}-elsewhere"  # another container's process
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        listening.listen()
        sweep(tmp_path)
        assert folder.exists()


def test_a_folder_that_is_being_made_stays_and_an_old_empty_one_goes(
    tmp_path: Path, dead: int
) -> None:
    folder = tmp_path / f"unstall-{dead}-new"
    folder.mkdir()
    sweep(tmp_path)
    assert folder.exists()
    sweep(tmp_path, now=lambda: time.time() + 3600)
    assert not folder.exists()


def test_what_is_not_ours_stays(tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [tmp_path / name for name in ("unstall-x", f"unstall-{dead}", f"my-unstall-{dead}-x")]
    for other in others:
        other.mkdir()
    file = tmp_path / f"unstall-{dead}-file"
    file.write_text("")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / f"unstall-{dead}-link"
    link.symlink_to(elsewhere)
    sweep(tmp_path, now=lambda: time.time() + 3600)
    assert all(path.exists() for path in (*others, file, link, elsewhere))
    left = left_behind(tmp_path, dead)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    sweep(tmp_path)
    assert left.exists()


def test_a_folder_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    sweep(tmp_path / "nowhere")


def test_no_place_for_a_folder_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: object) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "mkdtemp", none)
    with pytest.raises(TargetError, match=r"no temporary folder can be made .* name one in TMPDIR"):
        Inbox()
