"""Stalls of known beginning, and when a watcher first says something about each.

    python -m benchmarks.support.stalls TOOL LOOP TIMES SEED     prints one JSON object per stall

TOOL is unstall, aiocop or debug; its threshold is 100 ms.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import uvloop

THRESHOLD_S = 0.1
STALL_S = 0.5


@dataclass(frozen=True, slots=True)
class Told:
    """Seconds are from the moment at which the stall passed the threshold."""

    kind: str
    lasted_s: float
    first_s: float | None
    """Until the first word; None when there was none."""
    while_it_lasted: bool


class Words:
    """When something was said, and whether the stall was said to be going on."""

    def __init__(self) -> None:
        self.said: list[tuple[int, bool]] = []

    def __call__(self, ongoing: bool) -> None:
        self.said.append((time.monotonic_ns(), ongoing))


# --- four ways to stall a loop, and one that no thread of this process can tell of in time ----------


def sleep() -> None:
    time.sleep(STALL_S)


def cpu() -> None:
    end = time.monotonic() + STALL_S
    while time.monotonic() < end:
        sum(n * n for n in range(200))


def lock() -> None:
    held = threading.Lock()
    held.acquire()
    threading.Timer(STALL_S, held.release).start()
    with held:
        pass


def free_c() -> Callable[[], None]:
    """C that lets go of the interpreter lock, as long as the others on this machine."""
    tried = 200_000
    before = time.monotonic()
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", tried)
    iterations = int(tried * STALL_S / (time.monotonic() - before))
    return lambda: bytes_of(iterations)


def bytes_of(iterations: int) -> None:
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", iterations)


def holding_c() -> None:
    """C that holds the interpreter lock: nobody in Python can speak before it returns."""
    re.match(r"(a+)+$", "a" * 24 + "b")


# --- who speaks -----------------------------------------------------------------------------------


def listen_unstall(words: Words) -> Callable[[], Any]:
    from unstall import Monitor, Settings

    settings = Settings(threshold_ms=THRESHOLD_S * 1e3)
    monitor = Monitor(settings, on_stall=lambda stall: words(stall.ongoing))
    return monitor.start


def listen_aiocop(words: Words) -> Callable[[], Any]:
    import aiocop

    aiocop.patch_audit_functions()
    aiocop.start_blocking_io_detection(trace_depth=20)
    aiocop.detect_slow_tasks(
        threshold_ms=int(THRESHOLD_S * 1e3), on_slow_task=lambda event: words(False)
    )
    activate: Callable[[], Any] = aiocop.activate
    return activate


def listen_debug(words: Words) -> Callable[[], Any]:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "took" in record.getMessage():
                words(False)

    logging.getLogger("asyncio").addHandler(Handler())
    return lambda: asyncio.get_running_loop().set_debug(True)


LISTENERS = {"unstall": listen_unstall, "aiocop": listen_aiocop, "debug": listen_debug}


async def stage(tool: str, times: int, seed: int) -> list[Told]:
    chance = random.Random(seed)
    words = Words()
    LISTENERS[tool](words)()
    kinds = {"sleep": sleep, "cpu": cpu, "c without GIL": free_c(), "lock": lock}
    kinds["c with GIL"] = holding_c
    await asyncio.sleep(0.3)
    order = [kind for kind in kinds for _ in range(times)]
    chance.shuffle(order)
    told = []
    for kind in order:
        await asyncio.sleep(chance.uniform(0.1, 0.2))  # anywhere between two heartbeats
        words.said.clear()
        told.append(await once(kind, kinds[kind], words))
    return told


async def once(kind: str, stall: Callable[[], None], words: Words) -> Told:
    begun = time.monotonic_ns()
    stall()
    ended = time.monotonic_ns()
    await asyncio.sleep(0.15)  # time for those who speak only afterwards
    first = words.said[0] if words.said else None
    return Told(
        kind,
        (ended - begun) / 1e9,
        (first[0] - begun) / 1e9 - THRESHOLD_S if first else None,
        any(ongoing and at < ended for at, ongoing in words.said),
    )


def main(tool: str, loop: str, times: int, seed: int) -> None:
    run = uvloop.run if loop == "uvloop" else asyncio.run
    json.dump([asdict(told) for told in run(stage(tool, times, seed))], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
