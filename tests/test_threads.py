"""Asking for the stacks of all threads does no harm."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from importlib import import_module
from typing import Any

import pytest

from unstall import threads


@pytest.mark.parametrize("collects", [True, False])
def test_no_collection_may_begin_meanwhile_and_afterwards_it_is_as_before(
    collects: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    original = sys._current_frames

    def current_frames() -> dict[int, object]:
        seen.append(gc.isenabled())
        return original()  # type: ignore[return-value]

    monkeypatch.setattr(sys, "_current_frames", current_frames)
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        assert threading.get_ident() in threads.frames()
        assert (seen, gc.isenabled()) == ([False], collects)
    finally:
        (gc.enable if before else gc.disable)()


own_locks = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="all interpreters of this Python share one lock"
)


def _interpreters() -> Any:
    return import_module("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")


@own_locks
def test_beside_another_interpreter_nothing_is_shown_and_afterwards_all_of_it_again() -> None:
    interpreters = _interpreters()
    assert not threads.beside_interpreters()
    other = interpreters.create()
    try:
        assert threads.beside_interpreters()
        assert threads.frames() == {}
    finally:
        interpreters.destroy(other)
    assert not threads.beside_interpreters()
    assert threading.get_ident() in threads.frames()


@own_locks
@pytest.mark.slow
def test_interpreters_may_come_and_go_while_stacks_are_asked_for() -> None:
    """CPython's own function ends this process within the first of them."""
    done = subprocess.run(
        [sys.executable, "-c", _COMING_AND_GOING, _interpreters().__name__],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()) == (0, ["seen", "unseen"]), done.stderr


_COMING_AND_GOING = """
import importlib, sys, threading
from unstall.threads import frames

interpreters = importlib.import_module(sys.argv[1])
seen = set()
over = threading.Event()

def come_and_go():
    for _ in range(6):
        one = interpreters.create()
        interpreters.run_string(one, "import json")
        interpreters.destroy(one)
        over.wait(0.005)
    over.set()

threading.Thread(target=come_and_go).start()
while not over.is_set():
    seen.add("seen" if frames() else "unseen")
print(*sorted(seen))
"""
