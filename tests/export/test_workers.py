"""What siblings conclude about each other from what stands in the slots."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from tests.export.families import gauge
from unstall.export import processes
from unstall.export.slot import LoopState, SlotState
from unstall.export.snapshot import _packed
from unstall.export.workers import State, View, look
from unstall.model.metric import Family

MS = 1_000_000
NOW = 500_000 * MS
WALL_S = 1_000.0
ME = os.getpid()
WORDS = {"cause": "waiting", "site": "shop.orders:create", "entry": "GET /x", "startup": False}


def loop(age_ms: int, words: dict[str, Any] | None = None, number: int = 1) -> LoopState:
    return LoopState(number, NOW - age_ms * MS, 0, 3 * MS, words)


def slot(*loops: LoopState, families: tuple[Family, ...] = ()) -> SlotState:
    snapshot = {"families": [_packed(family) for family in families]}
    began = processes.started(ME)
    return SlotState(ME, began, 1, 100 * MS, 20 * MS, loops, snapshot)


def seen(*states: SlotState) -> View:
    return look(lambda: states, lambda: NOW, WALL_S)


def values(view: View, name: str) -> dict[tuple[str, ...], float]:
    (family,) = (family for family in view.families if family.name == name)
    return {sample.labels: sample.value for sample in family.samples}


def test_a_worker_whose_loop_beats_is_alive() -> None:
    view = seen(slot(loop(10)))
    (worker,) = view.workers
    assert (worker.state, worker.blocked_s, worker.tick_age_s) == (State.ALIVE, 0.0, 0.01)
    assert worker.lag_s == 0.003
    assert values(view, "asyncio_eventloop_blocked_seconds") == {(str(ME),): 0.0}
    assert values(view, "asyncio_eventloop_last_tick_timestamp_seconds") == {
        (str(ME),): WALL_S - 0.01
    }
    assert values(view, "asyncio_eventloop_blocked_info") == {}


def test_a_beat_that_is_late_by_less_than_the_threshold_is_nothing() -> None:
    assert seen(slot(loop(119))).workers[0].state is State.ALIVE
    assert seen(slot(loop(121))).workers[0].state is State.FROZEN


def test_a_frozen_worker_is_shown_with_what_its_watchdog_said() -> None:
    view = seen(slot(loop(2_020, WORDS)))
    (worker,) = view.workers
    assert (worker.state, worker.blocked_s, worker.silent) == (State.FROZEN, 2.0, False)
    assert values(view, "asyncio_eventloop_blocked_info") == {
        (str(ME), "waiting", "shop.orders:create", "GET /x"): 1.0
    }


def test_one_that_cannot_say_a_word_is_shown_by_the_age_of_its_beat() -> None:
    (worker,) = seen(slot(loop(5_020))).workers
    assert (worker.state, worker.silent, worker.words) == (State.FROZEN, True, {})
    view = seen(slot(loop(5_020)))
    assert values(view, "asyncio_eventloop_blocked_info") == {(str(ME), "unknown", "", ""): 1.0}


def test_nobody_is_called_silent_before_a_watchdog_would_have_spoken() -> None:
    assert not seen(slot(loop(900))).workers[0].silent


def test_who_has_moved_between_two_looks_was_only_late_to_be_read() -> None:
    states = [slot(loop(900)), slot(loop(0))]
    view = look(lambda: (states.pop(0),), lambda: NOW, WALL_S)
    assert view.workers[0].state is State.ALIVE


@pytest.mark.parametrize(
    ("words", "state"),
    [({"startup": True}, State.STARTING), ({"cause": "paused"}, State.PAUSED), ({}, State.FROZEN)],
)
def test_imports_and_debuggers_are_told_apart_from_a_freeze(
    words: dict[str, Any], state: State
) -> None:
    assert seen(slot(loop(900, WORDS | words))).workers[0].state is state


def test_a_stopped_process_is_called_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "status", lambda *_: processes.Status(alive=True, stopped=True))
    assert seen(slot(loop(900))).workers[0].state is State.STOPPED
    assert seen(slot(loop(1))).workers[0].state is State.ALIVE


def test_the_loop_that_is_silent_longest_decides() -> None:
    view = seen(slot(loop(10), loop(700, WORDS, number=2)))
    (worker,) = view.workers
    assert (worker.state, worker.loops, worker.words) == (State.FROZEN, 2, WORDS)


def test_a_process_without_a_loop_is_no_worker() -> None:
    assert seen(slot()).workers == ()


def test_of_a_dead_worker_no_gauge_is_shown() -> None:
    dead = replace(slot(loop(10_000), families=(gauge("g", ((), 1)),)), started=1)
    view = seen(dead, slot(loop(1), families=(gauge("g", ((), 2)),)))
    assert len(view.workers) == 1
    assert values(view, "asyncio_eventloop_blocked_seconds") == {(str(ME),): 0.0}


def test_a_loop_that_stands_still_is_busy_though_nobody_could_write_it_down() -> None:
    old = gauge("asyncio_eventloop_utilization_ratio", ((), 0.02))
    assert values(seen(slot(loop(5_000), families=(old,))), old.name) == {(str(ME),): 1.0}
    assert values(seen(slot(loop(10), families=(old,))), old.name) == {(str(ME),): 0.02}


def test_stalls_of_all_workers_come_with_the_newest_first() -> None:
    one, two = slot(loop(1)), slot(loop(1))
    one = replace(one, snapshot={"stalls": [{"at": 5.0}, {"at": 9.0}]})
    two = replace(two, snapshot={"stalls": [{"at": 7.0}]})
    assert [words["at"] for _, words in seen(one, two).stalls()] == [9.0, 7.0, 5.0]
