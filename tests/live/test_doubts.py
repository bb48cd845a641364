"""What is no stall: a process that ends, forks, or is kept off its processors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.doubts import GROUP

ROOT = Path(__file__).resolve().parents[2]
LOOPS = ("asyncio", "uvloop")
ENDS = {
    "returns": 0,
    "exits": 3,
    "exits_at_once": 3,
    "raises": 1,
    "is_interrupted": -2,
    "leaves_a_loop_in_a_daemon_thread": 0,
    "leaves_a_daemon_thread_that_computes": 0,
    "waits_for_a_thread": 0,
    "takes_long_to_exit": 0,
    "exits_with_a_loop_that_stands_still": 0,
}
FORKS = ("preloads", "forks_while_a_loop_runs", "forks_a_pool", "forks_and_runs_a_loop_of_its_own")

pytestmark = pytest.mark.live


def process(name: str, loop: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-m", "tests.live.doubts", name, loop],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def accused(done: subprocess.CompletedProcess[str]) -> list[str]:
    """On a machine that is out of processors a stall may be real, and then it is told as that.

    Or as one of which too little was seen, with no line to blame.
    """
    told = [line for line in done.stderr.splitlines() if line.startswith("STALL")]
    return [line for line in told if not line.startswith(("STALL starved", "STALL unknown the "))]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", ENDS)
def test_the_end_of_a_process_is_its_own_and_no_stall(name: str, loop: str) -> None:
    done = process(name, loop)
    assert done.returncode == ENDS[name], done.stderr
    assert accused(done) == []
    assert "unstall" not in done.stderr, done.stderr
    own = {"raises": 1, "is_interrupted": 1, "exits": 1}  # asyncio may tell of a task that is left
    assert done.stderr.count("Traceback") <= own.get(name, 0) + (name == "is_interrupted")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("name", FORKS)
def test_a_fork_is_no_stall_in_the_parent_or_the_child(name: str, loop: str) -> None:
    done = process(name, loop)
    assert done.returncode == 0, done.stderr
    assert accused(done) == []
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("loop", LOOPS)
def test_a_thread_that_the_system_does_not_run_is_nobodys_lock(loop: str) -> None:
    done = process("starts_threads_that_are_late", loop)
    assert done.returncode == 0, done.stderr
    assert accused(done) == []
    assert "STALL unknown the loop's thread had started another" in done.stderr


# --- a CPU limit ----------------------------------------------------------------------------


@pytest.fixture
def limited_group() -> Iterator[Path]:
    """A control group with a fifth of a processor."""
    for folder, limit, quota in (
        ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "20000"),
        ("/sys/fs/cgroup", "cpu.max", "20000 100000"),
    ):
        group = Path(folder) / f"unstall-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(quota, encoding="ascii")
        except OSError:
            group.rmdir()
            continue
        yield group
        group.rmdir()
        return
    pytest.skip("no control group with a CPU limit can be made here")


def test_a_loop_that_a_cpu_limit_stops_is_starved_and_the_limit_is_named(
    limited_group: Path,
) -> None:
    done = process("computes_a_little", "asyncio", **{GROUP: str(limited_group / "cgroup.procs")})
    told = [line for line in done.stderr.splitlines() if line.startswith("STALL")]
    assert done.returncode == 0, done.stderr
    assert told
    assert accused(done) == []
    assert "its CPU limit throttled the process" in done.stderr


def test_the_same_work_without_a_limit_is_no_stall() -> None:
    assert accused(process("computes_a_little", "asyncio")) == []
