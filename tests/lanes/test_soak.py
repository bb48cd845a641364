"""Nothing is lost when calls end in every way they can; `benchmarks/soak.py` does this for ten minutes."""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from benchmarks.support.soaking import ASKS, Soaked, soak


def soaked(seconds: float) -> Soaked:
    return asyncio.run(soak(seconds, seed=3))


@pytest.mark.slow
def test_every_slot_thread_and_permit_comes_back() -> None:
    # a process of its own: every thread that is left counts, and must be of the soak
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        found = alone.submit(soaked, 8.0).result()
    assert found.missing == ()
    for ask in set(ASKS):
        assert found.done[f"{ask.__name__} done"], f"{ask.__name__} never got through"
        assert found.done[f"{ask.__name__} cancelled"], f"{ask.__name__} was never cancelled"
