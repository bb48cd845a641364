"""What the benchmark of lanes gives to its workers; in a module of its own, so that processes find it."""

from __future__ import annotations

import time


def nothing() -> None:
    return


def compute(seconds: float) -> int:
    """Pure Python, by the CPU time of its thread, so that jobs beside each other do not get easier."""
    end = time.thread_time() + seconds
    rounds = 0
    while time.thread_time() < end:
        rounds += sum(n * n for n in range(100)) > 0
    return rounds
