"""Sleeping, and waiting for other threads."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from benchmarks.cases.case import SLOW_S, Case, Group, Place, later, start_helper
from unstall.model.finding import Cause

kept = SimpleNamespace()


def hold_locks() -> None:
    start_helper()
    kept.lock = threading.Lock()
    kept.lock.acquire()
    kept.semaphore = threading.Semaphore(0)


def hold_rlock() -> None:
    """Only the thread that took it can let it go."""
    kept.rlock, kept.go = threading.RLock(), threading.Event()
    held = threading.Event()

    def hold() -> None:
        with kept.rlock:
            held.set()
            kept.go.wait()
            time.sleep(SLOW_S)

    threading.Thread(target=hold, daemon=True).start()
    held.wait()


def start_thread() -> None:
    kept.go = threading.Event()

    def run() -> None:
        kept.go.wait()
        time.sleep(SLOW_S)

    kept.thread = threading.Thread(target=run, daemon=True)
    kept.thread.start()


def start_pool() -> None:
    kept.pool = ThreadPoolExecutor(1)
    kept.pool.submit(int).result()


def start_other_loop() -> None:
    kept.loop = asyncio.new_event_loop()
    threading.Thread(target=kept.loop.run_forever, name="other loop", daemon=True).start()


async def time_sleep() -> None:
    time.sleep(SLOW_S)  # stalls


async def sleep_in_dependency() -> None:
    time.sleep(SLOW_S)  # stalls


async def sleep_in_helper() -> None:
    Price().of(3)


class Price:
    def of(self, item: int) -> int:
        return self.ask() * item

    def ask(self) -> int:
        time.sleep(SLOW_S)  # stalls
        return 1


async def lock_acquire() -> None:
    later(kept.lock.release)
    kept.lock.acquire()  # stalls


async def with_lock() -> None:
    later(kept.lock.release)
    with kept.lock:  # stalls
        pass


async def with_rlock() -> None:
    kept.go.set()
    with kept.rlock:  # stalls
        pass


async def semaphore_acquire() -> None:
    later(kept.semaphore.release)
    kept.semaphore.acquire()  # stalls


async def event_wait() -> None:
    threading.Event().wait(SLOW_S)  # stalls


async def queue_get() -> None:
    jobs: queue.Queue[int] = queue.Queue()
    later(lambda: jobs.put(1))
    jobs.get()  # stalls


async def simple_queue_get() -> None:
    jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
    later(lambda: jobs.put(1))
    jobs.get()  # stalls


async def future_result() -> None:
    future: Future[int] = Future()
    later(lambda: future.set_result(1))
    future.result()  # stalls


async def executor_result() -> None:
    future = kept.pool.submit(time.sleep, SLOW_S)
    future.result()  # stalls


async def thread_join() -> None:
    kept.go.set()
    kept.thread.join()  # stalls


async def answer_of_other_loop() -> None:
    work: Any = asyncio.sleep(SLOW_S)
    asyncio.run_coroutine_threadsafe(work, kept.loop).result()  # stalls


_SLEEP = (Group.SLOW, Cause.WAITING, "US101")
_LOCK = (Group.SLOW, Cause.LOCK, "US109")

CASES = (
    Case(time_sleep, *_SLEEP, quick=True),
    Case(sleep_in_dependency, *_SLEEP, place=Place.DEPENDENCY),
    Case(sleep_in_helper, *_SLEEP, where=Price.ask),
    Case(lock_acquire, *_LOCK, prepare=hold_locks),
    Case(with_lock, *_LOCK, prepare=hold_locks),
    Case(with_rlock, *_LOCK, prepare=hold_rlock),
    Case(semaphore_acquire, *_LOCK, prepare=hold_locks),
    Case(event_wait, *_LOCK),
    Case(queue_get, *_LOCK, place=Place.CHILD, prepare=start_helper),
    Case(simple_queue_get, *_LOCK, prepare=start_helper),
    Case(future_result, *_LOCK, prepare=start_helper),
    Case(executor_result, *_LOCK, prepare=start_pool),
    Case(thread_join, *_LOCK, prepare=start_thread),
    Case(answer_of_other_loop, *_LOCK, prepare=start_other_loop),
)
