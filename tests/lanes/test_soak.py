"""Nothing is lost when calls end in every way they can; `benchmarks/soak.py` does this for ten minutes."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.support.soaking import ASKS, soak


@pytest.mark.slow
def test_every_slot_thread_and_permit_comes_back() -> None:
    found = asyncio.run(soak(8.0, seed=3))
    assert found.missing == ()
    for ask in set(ASKS):
        assert found.done[f"{ask.__name__} done"], f"{ask.__name__} never got through"
        assert found.done[f"{ask.__name__} cancelled"], f"{ask.__name__} was never cancelled"
