"""Who is seen at work, and who was at work before."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.lanes.work import eventually
from unstall.settings import Settings
from unstall.testing.holders import Holders
from unstall.watch.monitor import Monitor


def threads_in(holders: Holders) -> list[str]:
    return [str(hold) for hold in holders.now() if hold.what.startswith("thread")]


def test_a_thread_of_a_pool_that_goes_on_to_other_work_is_seen() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1, thread_name_prefix="pool") as pool:
        before = pool.submit(ours.recv, 1)
        assert eventually(before.running)
        with Holders() as holders:
            left_out = threads_in(holders) == []
            theirs.send(b"x")
            before.result()
            pool.submit(ours.recv, 1)
            eventually(lambda: threads_in(holders) != [])
            told = threads_in(holders)
            theirs.send(b"x")  # before anything is asserted, for the pool waits for its thread
    assert left_out
    assert [each.rpartition(" for ")[0] for each in told] == ["thread 'pool_0' was at socket.recv"]


def test_a_monitor_of_the_application_is_not_what_a_thread_does() -> None:
    ours, theirs = socket.socketpair()
    told: list[str] = []
    with ours, theirs, ThreadPoolExecutor(1, thread_name_prefix="pool") as pool:

        async def used() -> None:
            waiting = asyncio.get_running_loop().run_in_executor(pool, ours.recv, 1)
            while not told:
                await asyncio.sleep(0.01)
                told.extend(threads_in(holders))
            theirs.send(b"x")
            await waiting

        with Monitor(Settings(measure=True)), Holders() as holders:
            asyncio.run(used())
    assert [each.rpartition(" for ")[0] for each in told] == ["thread 'pool_0' was at socket.recv"]


def test_it_can_be_asked_from_several_threads_while_others_come_and_go() -> None:
    end = threading.Event()
    errors: list[BaseException] = []

    def busy(pool: ThreadPoolExecutor) -> None:
        while not end.is_set():
            pool.submit(sorted, range(1000)).result()

    def ask(holders: Holders) -> None:
        try:
            for _ in range(100):
                holders.now()
                holders.longest()
        except BaseException as error:
            errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with Holders() as holders, ThreadPoolExecutor(2) as pool:
            workers = [threading.Thread(target=busy, args=(pool,)) for _ in range(2)]
            asking = [threading.Thread(target=ask, args=(holders,)) for _ in range(3)]
            for thread in (*workers, *asking):
                thread.start()
            for thread in asking:
                thread.join()
            end.set()
            for thread in workers:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    assert errors == []
