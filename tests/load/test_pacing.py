"""The garbage collector keeps quiet during a run, and only then."""

from __future__ import annotations

import gc
from contextlib import suppress

from unstall.load.pacing import quiet_gc


def test_full_collections_pause_inside_and_come_back_even_after_an_error() -> None:
    before = gc.get_threshold()
    inside = before
    with suppress(LookupError), quiet_gc():
        inside = gc.get_threshold()
        raise LookupError
    assert inside[:2] == before[:2]
    assert inside[2] >= 1_000_000
    assert gc.get_threshold() == before
