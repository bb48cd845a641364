"""What a trap puts in the place of others behaves like them, and keeps nothing alive."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import select
import sqlite3
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import unstall

REPLACED: tuple[Callable[[], Any], ...] = (
    lambda: time.sleep,
    lambda: os.stat,
    lambda: os.fsync,
    lambda: select.select,
    lambda: sqlite3.connect,
)


@pytest.mark.parametrize("named", REPLACED, ids=["sleep", "stat", "fsync", "select", "connect"])
def test_a_function_goes_to_another_process_by_its_name(named: Callable[[], Any]) -> None:
    original = named()
    with unstall.trap(threshold_ms=0):
        assert named() is not original
        sent = [pickle.dumps(named(), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
        assert pickle.loads(sent[0]) is named()
        assert copy.deepcopy(named()) is named()
    assert all(pickle.loads(each) is original for each in sent)


def test_an_exception_keeps_no_step_alive() -> None:
    """Its traceback leads to the frames of the loop, and these to what they were about to run."""

    class Basket:
        pass

    async def fail(basket: Basket) -> None:
        raise ValueError(basket)

    async def main() -> list[weakref.ref[Basket]]:
        basket = Basket()
        task = asyncio.ensure_future(fail(basket))
        done = weakref.ref(basket)
        del basket
        with pytest.raises(ValueError, match="Basket"):
            await task
        del task
        await asyncio.sleep(0)
        return [done]

    gc.collect()
    gc.disable()
    try:
        with unstall.trap(threshold_ms=0):
            (done,) = asyncio.run(main())
        assert done() is None
    finally:
        gc.enable()


def test_a_loop_that_has_ended_is_freed_at_once() -> None:
    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        await asyncio.to_thread(int)
        return weakref.ref(asyncio.get_running_loop())

    with unstall.trap(threshold_ms=200):
        loop = asyncio.run(main())
        gc.collect()
        assert loop() is None
