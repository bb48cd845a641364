"""Code that stalls a loop for each cause, for real, and beside each its clean twin.

    python -m tests.live.causes NAME            prints the stalls seen, as JSON

Run in a process of its own, so that nothing else on the loop or the heap blurs what is seen.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import json
import os
import pdb
import re
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import psycopg2

from unstall.explain.report import report_of
from unstall.model.codec import dump
from unstall.settings import Settings
from unstall.watch.monitor import Monitor

LONG_S = 0.4
ITERATIONS = int(os.environ.get("CAUSES_PBKDF2", "2000000"))
Scenario = Callable[[], Awaitable[None]]


# --- waiting ------------------------------------------------------------------------------------


async def waiting() -> None:
    connection = await asyncio.to_thread(psycopg2.connect, os.environ["CAUSES_DSN"])
    await asyncio.sleep(0.2)
    cursor = connection.cursor()
    cursor.execute("select pg_sleep(0.4)")  # the line to blame
    connection.close()


async def waiting_clean() -> None:
    async with await psycopg.AsyncConnection.connect(os.environ["CAUSES_DSN"]) as connection:
        await connection.execute("select pg_sleep(0.4)")


# --- gil ----------------------------------------------------------------------------------------


async def gil() -> None:
    re.match(r"(a+)+$", "a" * 24 + "b")


async def gil_clean() -> None:
    re.match(r"(a+)+$", "a" * 9 + "b")


async def gil_thread() -> None:
    """The loop is innocent: a worker thread holds the interpreter lock."""
    worker = threading.Thread(target=re.match, args=(r"(a+)+$", "a" * 24 + "b"), name="reports")
    worker.start()
    while worker.is_alive():
        await asyncio.sleep(0.01)


async def gil_thread_clean() -> None:
    worker = threading.Thread(
        target=hashlib.pbkdf2_hmac, args=("sha256", b"password", b"salt", ITERATIONS)
    )
    worker.start()
    while worker.is_alive():
        await asyncio.sleep(0.01)


async def gil_crowd() -> None:
    """The loop is innocent again: it computes for a moment, and four threads compute beside it."""
    threads = [threading.Thread(target=crunch, args=(0.5,)) for _ in range(4)]
    await asyncio.to_thread(
        start, threads
    )  # to start one waits for it, and that would be a stall, too
    while any(thread.is_alive() for thread in threads):
        crunch(0.05)
        await asyncio.sleep(0.001)


def start(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()


async def gil_crowd_clean() -> None:
    for _ in range(10):
        crunch(0.02)
        await asyncio.sleep(0.001)


# --- cpu ----------------------------------------------------------------------------------------


async def cpu_c() -> None:
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", ITERATIONS)


async def cpu_c_clean() -> None:
    await asyncio.to_thread(hashlib.pbkdf2_hmac, "sha256", b"password", b"salt", ITERATIONS)


async def cpu_python() -> None:
    crunch(LONG_S)


async def cpu_python_clean() -> None:
    for _ in range(40):
        crunch(LONG_S / 40)
        await asyncio.sleep(0)


def crunch(seconds: float) -> int:
    """Pure Python until the thread has used that much CPU."""
    total, end = 0, time.thread_time() + seconds
    while time.thread_time() < end:
        for n in range(20_000):  # so that it hardly ever asks
            total += n * n
    return total


# --- lock ---------------------------------------------------------------------------------------


async def lock() -> None:
    guard = threading.Lock()
    hold(guard, LONG_S)
    with guard:
        pass


async def lock_clean() -> None:
    guard = asyncio.Lock()
    await guard.acquire()
    asyncio.get_running_loop().call_later(LONG_S, guard.release)
    async with guard:
        pass


def hold(guard: threading.Lock, seconds: float) -> None:
    guard.acquire()
    threading.Timer(seconds, guard.release).start()


async def future() -> None:
    """A thread computes, and the loop waits for it: the wait is at fault, not the thread."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(crunch, LONG_S).result()


async def future_clean() -> None:
    pool = ThreadPoolExecutor(1)
    await asyncio.get_running_loop().run_in_executor(pool, crunch, LONG_S)
    pool.shutdown(wait=False)  # to wait until its thread has gone would be a stall, too


# --- gc -----------------------------------------------------------------------------------------


HEAP: list[list[int]] = []
"""Filled before the loop runs, so that only the collection is on the loop."""


async def collecting() -> None:
    gc.collect()


async def collecting_clean() -> None:
    gc.freeze()
    gc.collect()
    gc.unfreeze()


# --- starved ------------------------------------------------------------------------------------


async def starved() -> None:
    await stopped_for(0.6)


async def starved_clean() -> None:
    await stopped_for(0.0)


async def stopped_for(seconds: float) -> None:
    """SIGSTOP and SIGCONT from outside, while this loop idles."""
    pid = os.getpid()
    stop = f"kill -STOP {pid}; sleep {seconds};" if seconds else ""
    command = ["/bin/sh", "-c", f"sleep 0.2; {stop} kill -CONT {pid}"]
    # to start one waits until it runs, and that would be a stall, too
    outside = await asyncio.to_thread(subprocess.Popen, command)
    while outside.poll() is None:
        await asyncio.sleep(0.01)


# --- a debugger ---------------------------------------------------------------------------------


async def debugger() -> None:
    """One is attached and lets the program run: that excuses nothing."""
    with debugged("break start\ncontinue\n", after_s=0.0):
        time.sleep(LONG_S)  # the line to blame


async def debugger_clean() -> None:
    """It stands at the prompt until somebody types."""
    with debugged("continue\n", after_s=0.6):
        pass


@contextmanager
def debugged(commands: str, after_s: float) -> Iterator[None]:
    reader, writer = os.pipe()
    types = threading.Timer(after_s, os.write, (writer, commands.encode()))
    types.start()
    with os.fdopen(reader) as stdin:
        debugger = pdb.Pdb(stdin=stdin, stdout=io.StringIO(), nosigint=True, readrc=False)
        debugger.set_trace(sys._getframe(2))
        yield
        sys.settrace(None)
    types.join()
    os.close(writer)


# --- saturated ----------------------------------------------------------------------------------


async def saturated() -> None:
    await asyncio.gather(*(small_step() for _ in range(50)))


async def callbacks() -> None:
    """No task among them: bare callbacks, one after the other at the same address."""
    for _ in range(50):
        asyncio.get_running_loop().call_soon(crunch, 0.02)
    await asyncio.sleep(0)


async def callbacks_clean() -> None:
    """A third of the loop's time, so that a busy machine does not make it the other."""
    for n in range(25):
        asyncio.get_running_loop().call_later(n * 0.06, crunch, 0.02)
    await asyncio.sleep(1.6)


async def saturated_clean() -> None:
    for _ in range(50):
        await small_step()
        await asyncio.sleep(0.005)


async def small_step() -> None:
    crunch(0.02)


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        waiting, waiting_clean, gil, gil_clean, gil_thread, gil_thread_clean, gil_crowd, gil_crowd_clean,
        cpu_c, cpu_c_clean,
        cpu_python, cpu_python_clean, lock, lock_clean, future, future_clean, callbacks, callbacks_clean,
        collecting, collecting_clean,
        starved, starved_clean, debugger, debugger_clean, saturated, saturated_clean,
    )
}  # fmt: skip


def main(name: str, loop: str) -> None:
    if name.startswith("collecting"):
        gc.disable()
        HEAP.extend([n] for n in range(4_000_000))
    monitor = Monitor(Settings(root=Path.cwd())).start()

    async def run() -> None:
        await asyncio.sleep(0.2)
        await SCENARIOS[name]()
        await asyncio.sleep(0.2)

    if loop == "uvloop":
        import uvloop

        uvloop.run(run())
    else:
        asyncio.run(run())
    monitor.stop()
    report = report_of(monitor.recording(), name)
    json.dump(
        {
            "stalls": [dump(stall) for stall in report.stalls],
            "findings": [dump(finding) for finding in report.findings],
            "gaps": report.gaps,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "asyncio")
