"""Computing: in Python, in C with and without the interpreter lock, and for the collector."""

from __future__ import annotations

import asyncio
import gc
import gzip
import hashlib
import importlib
import json
import random
import re
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

from benchmarks.cases.case import SLOW_S, Case, Group, Place
from unstall.model.finding import Cause

kept = SimpleNamespace()
HEAP: list[list[int]] = []
STEPS = 30


def fill_heap() -> None:
    gc.disable()
    HEAP.extend([n] for n in range(5_000_000))


def keep_text() -> None:
    """Long enough to be parsed for about `SLOW_S` here."""
    piece = json.dumps([{"order": n, "price": n / 3, "text": "x" * 20} for n in range(20_000)])
    began = time.perf_counter()
    json.loads(piece)
    times = max(1, int(SLOW_S / (time.perf_counter() - began)))
    kept.text = f"[{','.join([piece] * times)}]"


def keep_numbers() -> None:
    chance = random.Random(1)
    piece = [chance.random() for _ in range(200_000)]
    began = time.perf_counter()
    sorted(piece)
    times = max(1, int(0.8 * SLOW_S / (time.perf_counter() - began)))
    kept.numbers = piece * times
    chance.shuffle(kept.numbers)


def keep_bytes() -> None:
    piece = random.Random(1).randbytes(1_000_000)
    began = time.perf_counter()
    zlib.compress(piece)
    kept.bytes = piece * max(1, int(SLOW_S / (time.perf_counter() - began)))
    kept.folder = Path(tempfile.mkdtemp(prefix="matrix-"))


def count_rounds() -> None:
    """As many rounds of PBKDF2 as fill `SLOW_S`, and as many repetitions in a regular expression."""
    began = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 100_000)
    kept.rounds = int(100_000 * SLOW_S / (time.perf_counter() - began))
    kept.repeated = 18
    took = 0.0
    while took < 0.8 * SLOW_S:
        kept.repeated += 1
        began = time.perf_counter()
        re.match(r"(a+)+$", "a" * kept.repeated + "b")
        took = time.perf_counter() - began


def start_regex_thread() -> None:
    count_rounds()
    kept.go = threading.Event()

    def run() -> None:
        kept.go.wait()
        time.sleep(0.05)  # the loop idles by then
        re.match(r"(a+)+$", "a" * kept.repeated + "b")

    threading.Thread(target=run, name="reports", daemon=True).start()


def write_library() -> None:
    """A module of somebody else's that takes its time when it is imported."""
    folder = Path(tempfile.mkdtemp(prefix="matrix-")) / "site-packages"
    folder.mkdir()
    source = (
        f"import time\nend = time.monotonic() + {SLOW_S}\nwhile time.monotonic() < end:\n    pass\n"
    )
    folder.joinpath("heavy_library.py").write_text(source)
    sys.path.append(str(folder))


def crunch(seconds: float) -> int:
    """Python until the thread has used that much CPU."""
    total, end = 0, time.thread_time() + seconds
    while time.thread_time() < end:  # stalls
        for n in range(200):  # stalls
            total += n * n  # stalls
    return total


async def python_loop() -> None:
    crunch(SLOW_S)


async def ten_in_one_step() -> None:
    for _ in range(10):
        crunch(SLOW_S / 10)


async def many_small_steps() -> None:
    await asyncio.gather(*(small_step() for _ in range(STEPS)))


async def small_step() -> None:
    crunch(1.0 / STEPS)


async def pbkdf2() -> None:
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", kept.rounds)  # stalls


async def zlib_compress() -> None:
    zlib.compress(kept.bytes)  # stalls


async def gzip_write() -> None:
    with gzip.open(kept.folder / "orders.gz", "wb") as file:
        file.write(kept.bytes)  # stalls


async def slow_import() -> None:
    importlib.import_module("heavy_library")  # stalls


async def import_statement() -> None:
    import heavy_library  # type: ignore[import-not-found] # noqa: F401 # stalls


async def regex() -> None:
    re.match(r"(a+)+$", "a" * kept.repeated + "b")  # stalls


async def json_loads() -> None:
    json.loads(kept.text)  # stalls


async def sorting() -> None:
    sorted(kept.numbers)  # stalls


async def gc_collect() -> None:
    gc.collect()  # stalls


async def regex_in_a_thread() -> None:
    """The loop is innocent: no line of it is marked."""
    kept.go.set()
    for _ in range(20):
        await asyncio.sleep(0.05)


CASES = (
    Case(python_loop, Group.CPU, Cause.CPU, "US200", where=crunch),
    Case(ten_in_one_step, Group.CPU, Cause.CPU, "US200", place=Place.DEPENDENCY, where=crunch),
    Case(many_small_steps, Group.CPU, Cause.SATURATED, "US903", where=crunch),
    Case(pbkdf2, Group.CPU, Cause.CPU, "US201", prepare=count_rounds),
    Case(zlib_compress, Group.CPU, Cause.CPU, "US202", prepare=keep_bytes),
    Case(gzip_write, Group.CPU, Cause.CPU, "US202", prepare=keep_bytes),
    Case(slow_import, Group.CPU, Cause.CPU, "US112", prepare=write_library),
    Case(import_statement, Group.CPU, Cause.CPU, "US112", prepare=write_library),
    Case(regex, Group.GIL, Cause.GIL, "US206", prepare=count_rounds),
    Case(json_loads, Group.GIL, Cause.GIL, "US205", prepare=keep_text),
    Case(sorting, Group.GIL, Cause.GIL, "US200", prepare=keep_numbers),
    Case(regex_in_a_thread, Group.GIL, Cause.GIL, "US904", prepare=start_regex_thread),
    Case(gc_collect, Group.GC, Cause.GC, "US901", prepare=fill_heap),
)
