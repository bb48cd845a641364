"""What we started ends when we are killed; who ends well has nothing reaped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from unstall.reaper import NAME, ended_with_us

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]

STARTS = """
import subprocess, sys, time
from unstall.reaper import ended_with_us

words = ["/bin/sh", "-c", sys.argv[1]]
child = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
with ended_with_us(child.pid):
    print(child.pid, flush=True)
    time.sleep(600)
"""
STUBBORN = "trap '' TERM INT HUP; sleep 600 & sleep 600; sleep 600"


def in_group(group: int) -> list[int]:
    """Those of a process group that are not merely waiting to be collected."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def reapers() -> set[int]:
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if NAME.encode() in file.read_bytes().split(b"\0"):
                found.add(int(file.parent.name))
        except OSError:
            continue
    return found


def waited_for(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


def becomes_empty(group: int) -> bool:
    return waited_for(lambda: not in_group(group))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["sleep 600; true", STUBBORN], ids=["polite", "stubborn"])
def test_a_group_ends_when_who_started_it_is_killed(command: str) -> None:
    words = [sys.executable, "-c", STARTS, command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        group = int(starter.stdout.readline())
        assert in_group(group)
        starter.kill()
    assert starter.returncode == -signal.SIGKILL
    assert becomes_empty(group)


def test_after_the_block_nothing_is_ended_and_nobody_waits() -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as child:
        try:
            before = reapers()
            with ended_with_us(child.pid):
                assert waited_for(
                    lambda: reapers() - before
                )  # its name comes a moment after itself
            assert waited_for(lambda: reapers() <= before)
            assert child.poll() is None
        finally:
            child.kill()


def test_the_block_s_own_error_comes_through() -> None:
    with pytest.raises(ZeroDivisionError), ended_with_us(2**22 - 1):
        raise ZeroDivisionError
