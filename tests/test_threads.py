"""Asking for the stacks of all threads does no harm."""

from __future__ import annotations

import gc
import sys
import threading

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
