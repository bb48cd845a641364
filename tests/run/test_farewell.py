"""The last words of a process that does not end through `atexit`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from unstall.run.farewell import Farewell

EXIT = "import os, threading, time\nfrom unstall.run.farewell import Farewell\n"


@pytest.fixture
def originals() -> Iterator[tuple[Callable[..., object], Callable[..., object]]]:
    both = signal.raise_signal, os._exit
    yield both
    signal.raise_signal, os._exit = both


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", EXIT + code], capture_output=True, text=True, check=False
    )


def test_both_functions_are_put_back(
    originals: tuple[Callable[..., object], Callable[..., object]],
) -> None:
    farewell = Farewell(lambda: None)
    farewell.start()
    assert signal.raise_signal is not originals[0]
    assert os._exit is not originals[1]
    farewell.stop()
    assert (signal.raise_signal, os._exit) == originals


def test_what_somebody_wrapped_since_is_left_and_says_nothing(
    originals: tuple[Callable[..., object], Callable[..., object]],
) -> None:
    said: list[str] = []
    farewell = Farewell(lambda: said.append("flushed"))
    farewell.start()
    ours = signal.raise_signal
    signal.raise_signal = theirs = partial(ours)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        farewell.stop()
        assert signal.raise_signal is theirs
        assert os._exit is originals[1]
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        signal.raise_signal(signal.SIGHUP)
        assert signal.sigwait([signal.SIGHUP]) == signal.SIGHUP  # it was raised all the same
        assert said == []
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        signal.signal(signal.SIGHUP, before)


def test_a_handled_signal_is_no_farewell(
    originals: tuple[Callable[..., object], Callable[..., object]],
) -> None:
    said: list[str] = []
    before = signal.signal(signal.SIGHUP, lambda *_: said.append("handled"))
    farewell = Farewell(lambda: said.append("flushed"))
    farewell.start()
    try:
        signal.raise_signal(signal.SIGHUP)
        assert said == ["handled"]
    finally:
        farewell.stop()
        signal.signal(signal.SIGHUP, before)


def test_last_words_are_said_once_before_the_exit() -> None:
    done = python("Farewell(lambda: print('flushed', flush=True)).start()\nos._exit(7)")
    assert (done.returncode, done.stdout, done.stderr) == (7, "flushed\n", "")


def test_words_that_take_too_long_do_not_hold_up_the_exit() -> None:
    began = time.monotonic()
    done = python("Farewell(lambda: time.sleep(60)).start()\nos._exit(7)")
    assert (done.returncode, done.stderr) == (7, "")
    assert time.monotonic() - began < 30


def test_the_wait_is_bounded_by_what_was_asked() -> None:
    begun: list[int] = []
    go = threading.Event()

    def flush() -> None:
        begun.append(1)
        go.wait(60)

    farewell = Farewell(flush, wait_s=0.01)
    farewell.start()
    farewell._say()  # comes back, for nobody lets the flush end before
    farewell._say()
    go.set()
    assert begun == [1]


def test_where_no_thread_can_start_the_exit_goes_on() -> None:
    done = python(
        'def no(self): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = no\n"
        "Farewell(lambda: print('flushed')).start()\nos._exit(7)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
