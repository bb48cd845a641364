"""After each test of traps the interpreter is as it was before."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from unstall.traps.hooks import HOOKS
from unstall.traps.primitives import PRIMITIVES
from unstall.traps.regions import ALLOWED
from unstall.watch.audit import AUDIT


def _interpreter() -> dict[str, Any]:
    """All that a trap touches."""
    state: dict[str, Any] = {}
    for row in PRIMITIVES:
        module = import_module(row.module)
        owner = getattr(module, row.owner, None) if row.owner else module
        for name in row.names:
            found = vars(owner).get(name) if owner else None
            state[f"{row.module}.{row.owner}.{name}"] = id(found)  # ours is equal to the original
    state["sqlite3.connect"] = id(sqlite3.connect)
    state["importers"] = list(sys.meta_path)
    state["policy"] = asyncio.get_event_loop_policy()
    state["steps"] = vars(asyncio.Handle)["_run"]
    state["run_forever"] = asyncio.BaseEventLoop.run_forever
    state["listening"] = AUDIT.listened
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None:
        state["tools"] = [monitoring.get_tool(number) for number in range(6)]
    return state


def _threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if "unstall" in each.name}


@pytest.fixture(autouse=True)
def everything_is_restored() -> Iterator[None]:
    before, threads = _interpreter(), _threads()
    failures = list(HOOKS.sight.failures)
    yield
    assert _interpreter() == before
    assert _threads() <= threads  # those of other tests may end meanwhile
    assert HOOKS.sight.failures == failures
    assert AUDIT.failures == []
    assert not HOOKS.sight.openings
    assert HOOKS.sight.inside == set()
    assert not ALLOWED.get()
