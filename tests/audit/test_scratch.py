"""The folder of an import is gone afterwards, however the audit ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unstall.audit.scratch import ended_in_order, scratch, sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="apps are not imported there")

WAITS = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also under nohup
from unstall.audit.scratch import scratch
with scratch() as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_folder(number: signal.Signals, tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", WAITS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().decode().strip())
        assert folder.parent == tmp_path
        process.send_signal(number)
        process.wait()
    assert list(tmp_path.iterdir()) == []
    if number is not signal.SIGINT:
        assert process.returncode == 128 + number


def test_signals_are_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with ended_in_order():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_a_killed_one_has_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f"unstall_audit_{dead_pid()}_ab12"
    (left / "inner").mkdir(parents=True)
    sweep(str(tmp_path), now=lambda: left.stat().st_mtime + 600)
    assert not left.exists()


def test_what_is_new_lives_or_is_no_folder_of_ours_stays(tmp_path: Path) -> None:
    dead = dead_pid()
    fresh, living = (
        tmp_path / f"unstall_audit_{dead}_a",
        tmp_path / f"unstall_audit_{os.getpid()}_b",
    )
    other, link = tmp_path / f"unstall_{dead}_c", tmp_path / f"unstall_audit_{dead}_d"
    for each in (fresh, living, other):
        each.mkdir()
    link.symlink_to(other)
    sweep(str(tmp_path), now=lambda: fresh.stat().st_mtime + 5)
    assert fresh.exists()
    fresh.rmdir()
    sweep(str(tmp_path), now=lambda: living.stat().st_mtime + 600)
    assert living.exists()
    assert other.exists()
    assert link.is_symlink()


def test_an_import_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch() as folder:
        assert list(tmp_path.iterdir()) == [Path(folder)]
    assert list(tmp_path.iterdir()) == []
