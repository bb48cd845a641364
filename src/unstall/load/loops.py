"""The loop that a process of our own runs its load on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


def run_on_best(main: Coroutine[None, None, T]) -> T:
    """On uvloop if it is installed: it sends about twice as much on one core."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
