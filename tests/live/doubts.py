"""Processes that fork, end or are throttled beside a watched loop.

    python -m tests.live.doubts NAME LOOP

Every stall that is told goes to standard error.
"""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import anyio._backends._asyncio  # else the first call reads files on the loop
import anyio.to_thread

from tests.live.causes import crunch
from unstall.model.finding import Stall
from unstall.settings import Settings
from unstall.watch.monitor import Monitor

Scenario = Callable[[str], None]
GROUP = "DOUBTS_GROUP"
"""Names the file that takes a process into a control group."""


def tell(stall: Stall) -> None:
    place = f"{stall.site.function} " if stall.site else ""
    print(f"STALL {stall.cause} {place}{stall.because}", file=sys.stderr, flush=True)


def run(work: Coroutine[Any, Any, Any], loop: str) -> None:
    # Without asyncio's debug mode, which reads source on the loop for every future that it makes.
    if loop == "uvloop":
        import uvloop

        uvloop.run(work, debug=False)
    else:
        asyncio.run(work, debug=False)


async def idle(seconds: float = 0.3) -> None:
    await asyncio.sleep(seconds)


# --- ends -----------------------------------------------------------------------------------


def returns(loop: str) -> None:
    run(idle(), loop)


def exits(loop: str) -> None:
    async def work() -> None:
        await idle()
        asyncio.get_running_loop().call_soon(sys.exit, 3)
        await idle()

    run(work(), loop)


def exits_at_once(loop: str) -> None:
    async def work() -> None:
        await idle()
        os._exit(3)

    run(work(), loop)


def raises(loop: str) -> None:
    async def work() -> None:
        await idle()
        raise RuntimeError("the application's own")

    run(work(), loop)


def is_interrupted(loop: str) -> None:
    async def work() -> None:
        await idle()
        os.kill(os.getpid(), signal.SIGINT)
        await idle()

    run(work(), loop)


def leaves_a_loop_in_a_daemon_thread(loop: str) -> None:
    threading.Thread(target=run, args=(idle(60), loop), daemon=True).start()
    run(idle(), loop)


def leaves_a_daemon_thread_that_computes(loop: str) -> None:
    threading.Thread(target=crunch, args=(60,), daemon=True).start()
    time.sleep(0.3)


def waits_for_a_thread(loop: str) -> None:
    threading.Thread(target=time.sleep, args=(0.7,)).start()
    run(idle(), loop)


def takes_long_to_exit(loop: str) -> None:
    atexit.register(time.sleep, 1.0)  # after the watch began, so it runs while that is still on
    run(idle(), loop)


def exits_with_a_loop_that_stands_still(loop: str) -> None:
    """Never run to its end, never closed."""

    async def work() -> None:
        asyncio.get_running_loop().stop()
        await idle()

    standing = asyncio.new_event_loop()
    task = standing.create_task(work())
    standing.run_forever()
    time.sleep(0.5)
    task.cancel()
    standing.run_until_complete(asyncio.gather(task, return_exceptions=True))
    standing.close()


# --- forks ----------------------------------------------------------------------------------


def preloads(loop: str) -> None:
    """As gunicorn does with `preload_app`: watched in the parent, served in the children."""
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            run(idle(0.5), loop)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def forks_while_a_loop_runs(loop: str) -> None:
    """The child keeps the copy of a running loop, and does something else for a while."""

    async def work() -> None:
        await idle()
        child = os.fork()
        if child == 0:
            time.sleep(0.6)
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)
        await idle()

    run(work(), loop)


def forks_a_pool(loop: str) -> None:
    async def work() -> None:
        await idle()
        with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
            running = asyncio.get_running_loop()
            await asyncio.gather(*(running.run_in_executor(pool, time.sleep, 0.5) for _ in "ab"))

    run(work(), loop)


def forks_and_runs_a_loop_of_its_own(loop: str) -> None:
    async def work() -> None:
        await idle()
        child = os.fork()
        if child == 0:
            thread = threading.Thread(target=run, args=(idle(0.5), loop))
            thread.start()
            thread.join()
            os._exit(0)
        await asyncio.to_thread(os.waitpid, child, 0)

    run(work(), loop)


# --- a CPU limit ----------------------------------------------------------------------------


def computes_a_little(loop: str) -> None:
    """Steps of 30 ms of CPU, under the threshold unless something takes the processor away."""

    async def work() -> None:
        for _ in range(10):
            await idle(0.02)
            crunch(0.03)

    run(work(), loop)


# --- threads --------------------------------------------------------------------------------


def starts_threads_that_are_late(loop: str) -> None:
    """As where no processor is free: each begins 0.3 s after it was started."""
    name = next(n for n in ("_start_joinable_thread", "_start_new_thread") if hasattr(threading, n))
    start = getattr(threading, name)

    def start_late(function: Callable[..., object], *args: Any, **named: Any) -> object:
        def begin(*given: Any) -> None:
            time.sleep(0.3)
            function(*given)

        return start(begin, *args, **named)

    async def work() -> None:
        await idle()
        setattr(threading, name, start_late)
        threading.Thread(target=int).start()
        await asyncio.to_thread(int)
        await anyio.to_thread.run_sync(int)
        setattr(threading, name, start)
        await idle()

    run(work(), loop)


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        returns, exits, exits_at_once, raises, is_interrupted, leaves_a_loop_in_a_daemon_thread,
        leaves_a_daemon_thread_that_computes, waits_for_a_thread, takes_long_to_exit,
        exits_with_a_loop_that_stands_still, preloads, forks_while_a_loop_runs, forks_a_pool,
        forks_and_runs_a_loop_of_its_own, computes_a_little, starts_threads_that_are_late,
    )
}  # fmt: skip


if __name__ == "__main__":
    if GROUP in os.environ:
        Path(os.environ[GROUP]).write_text(str(os.getpid()), encoding="ascii")
    Monitor(Settings(root=Path.cwd()), on_stall=tell).start()
    SCENARIOS[sys.argv[1]](sys.argv[2])
