"""Inside the child: nothing until a loop runs, and never a word to the host."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.run.running import clean_environment
from unstall.run.child import FirstLoop
from unstall.run.environment import SITE, child_environment
from unstall.settings import Settings
from unstall.watch.monitor import Monitor


def test_the_first_loop_starts_the_monitor_and_is_watched_by_it() -> None:
    began = asyncio.BaseEventLoop.__dict__["run_forever"]
    started: list[Monitor] = []

    def start(path: str) -> Monitor:
        started.append(Monitor(Settings(threshold_ms=100)).start())
        return started[0]

    FirstLoop("nowhere", start).install()
    assert started == []
    for _ in range(2):
        asyncio.run(asyncio.sleep(0))
    (monitor,) = started
    monitor.stop()
    assert len(monitor.recording().loops) >= 2
    assert asyncio.BaseEventLoop.__dict__["run_forever"] is began


def test_a_loop_that_starts_while_the_monitor_is_loaded_is_watched_too() -> None:
    started: list[Monitor] = []
    loading, loaded = threading.Event(), threading.Event()

    def load() -> None:
        loading.set()
        assert loaded.wait(10)

    def start(path: str) -> Monitor:
        started.append(Monitor(Settings(threshold_ms=100)).start())
        return started[0]

    FirstLoop("nowhere", start, load).install()
    first = threading.Thread(target=asyncio.run, args=(asyncio.sleep(0.05),))
    first.start()
    assert loading.wait(10)
    second = threading.Thread(target=asyncio.run, args=(asyncio.sleep(0.05),), name="second")
    second.start()
    second.join(0.2)  # it would have run and ended by now, unseen
    assert second.is_alive()
    loaded.set()
    first.join(10)
    second.join(10)
    (monitor,) = started
    monitor.stop()
    assert "second" in {loop.thread for loop in monitor.recording().loops}


def test_a_monitor_that_cannot_start_leaves_the_loop_alone() -> None:
    def start(path: str) -> Monitor:
        raise RuntimeError("no")

    FirstLoop("nowhere", start).install()
    assert asyncio.run(asyncio.sleep(0, 7)) == 7


def test_an_interpreter_that_runs_no_loop_imports_next_to_nothing() -> None:
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        env={
            **clean_environment(),
            **child_environment(clean_environment(), Path("/nowhere")),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    alone = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(bare.stdout.split()) - set(alone.stdout.split()) == {
        "__future__",
        "sitecustomize",
        "unstall",
        "unstall.run",
        "unstall.run.child",
        "unstall.watch",
        "unstall.watch.discover",
    }


def test_a_parent_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import asyncio; print(asyncio.run(asyncio.sleep(0.2, 3)))"],
        env=child_environment(clean_environment(), tmp_path / "nobody"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_process_that_dies_of_a_signal_it_raises_says_its_last_words_first() -> None:
    code = (
        "import signal, sys\n"
        "from unstall.run.farewell import Farewell\n"
        "Farewell(lambda: print('flushed', flush=True)).start()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('handled', flush=True))\n"
        "signal.raise_signal(signal.SIGINT)\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == "handled\nflushed\n"


@pytest.mark.parametrize(
    ("before", "after"), [({}, str(SITE)), ({"PYTHONPATH": ""}, str(SITE)),
                          ({"PYTHONPATH": "/a:/b"}, f"{SITE}{os.pathsep}/a:/b")],
)  # fmt: skip
def test_the_callers_pythonpath_follows_ours(before: dict[str, str], after: str) -> None:
    child = child_environment(before, Path("/s"), "50")
    assert child["PYTHONPATH"] == after
    assert child["UNSTALL_THRESHOLD_MS"] == "50"
    assert child["UNSTALL_ROOT"] == str(Path.cwd())


def test_a_root_that_was_set_is_kept() -> None:
    assert child_environment({"UNSTALL_ROOT": "/x"}, Path("/s"))["UNSTALL_ROOT"] == "/x"
