"""Room for a long computation on many small objects."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_FRAMES = 8_000
"""Expressions nest, and so do the questions about them; the interpreter's own 1,000 are few."""


@contextmanager
def room_to_work() -> Iterator[None]:
    """No garbage collection, deeper recursion; afterwards both are as before.

    Syntax trees are millions of objects that all stay: looking through them again and again for garbage takes
    more than twice as long as the work.
    """
    was_on, limit = gc.isenabled(), sys.getrecursionlimit()
    gc.disable()
    sys.setrecursionlimit(max(limit, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
        if was_on:
            _keep_old()
            gc.enable()


@contextmanager
def swept() -> Iterator[None]:
    """What is made inside and is garbage afterwards goes at once; nothing older is looked through for it."""
    if gc.get_freeze_count():  # somebody else's frozen objects stay frozen
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()


def _keep_old() -> None:
    """All that is left counts as old at once: to look through it as if it were young takes seconds."""
    if not gc.get_freeze_count():  # somebody else's frozen objects stay frozen
        gc.freeze()
        gc.unfreeze()
