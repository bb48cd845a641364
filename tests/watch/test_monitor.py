"""The monitor as a user switches it on: what it sees, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import io
import linecache
import multiprocessing
import os
import pdb
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import Router
from starlette.testclient import TestClient

from tests.support.stalls import accuses
from unstall.explain.report import report_of
from unstall.model.finding import Stall
from unstall.model.observation import Process, Pulse, Stretch
from unstall.model.recording import Entry
from unstall.settings import Settings
from unstall.threads import BESIDE_INTERPRETERS, GREEN
from unstall.watch import source
from unstall.watch.monitor import Monitor
from unstall.watch.scope import REQUESTS

SETTINGS = Settings(threshold_ms=60, root=Path.cwd())
LONG_S = 0.25
PATIENCE_S = 20.0
RUNNERS = {"asyncio": asyncio.run, "uvloop": uvloop.run}


def hooks() -> tuple[Any, ...]:
    return (
        asyncio.BaseEventLoop.__dict__["run_forever"],
        uvloop.Loop.__dict__.get("run_forever"),
        ServerErrorMiddleware.__call__,
        Router.lifespan,
        tuple(gc.callbacks),
        tuple(sys.meta_path),
    )


@pytest.fixture(autouse=True)
def nothing_stays_patched() -> Iterator[None]:
    before, threads = hooks(), set(threading.enumerate())
    yield
    assert hooks() == before
    left = [t for t in set(threading.enumerate()) - threads if t.name.startswith("unstall")]
    for thread in left:
        thread.join(PATIENCE_S)
    assert not [thread for thread in left if thread.is_alive()]


async def blocks_once(seconds: float = LONG_S) -> None:
    await asyncio.sleep(0.1)
    time.sleep(seconds)
    await asyncio.sleep(0.1)


def accusing(stalls: list[Stall]) -> list[Stall]:
    """Without the stalls of a machine that is out of processors."""
    return [stall for stall in stalls if not stall.ongoing and accuses(stall)]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_stall_is_told_while_it_lasts_and_once_more_when_it_is_over(
    run: Callable[..., None],
) -> None:
    told: list[bool] = []
    heard = threading.Event()

    def tell(stall: Stall) -> None:
        if stall.site and stall.site.function.endswith("main"):
            told.append(stall.ongoing)
            heard.set()

    async def main() -> None:
        await asyncio.sleep(0.1)
        assert heard.wait(PATIENCE_S), "it is told while this still blocks"
        assert told[0]
        await until(lambda: not told[-1])

    with Monitor(SETTINGS, on_stall=tell):
        run(main())
    assert told[-1] is False
    assert told.count(False) == 1


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_loop_on_another_thread_is_watched_on_that_thread(run: Callable[..., None]) -> None:
    stalls: list[Stall] = []
    with Monitor(SETTINGS, on_stall=stalls.append) as monitor:
        thread = threading.Thread(target=lambda: run(blocks_once()), name="portal")
        thread.start()
        thread.join()
    assert [loop.thread for loop in monitor.recording().loops] == ["portal"]
    (stall,) = accusing(stalls)
    assert stall.site is not None
    assert stall.site.function == "blocks_once"
    assert stall.site.call == "time.sleep"


class Disk:
    """Of this file nobody gets a line before a moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after_s: float) -> None:
        self._after = time.monotonic() + after_s
        self._text_of, self._getline = source.text_of, linecache.getline
        linecache.cache.pop(__file__, None)
        monkeypatch.setattr(source, "text_of", self._late_text)
        monkeypatch.setattr(linecache, "getline", self._late_line)

    def _wait(self, file: str) -> None:
        if file == __file__:
            time.sleep(max(0.0, self._after - time.monotonic()))

    def _late_text(self, file: str) -> Any:
        self._wait(file)
        return self._text_of(file)

    def _late_line(self, file: str, line: int) -> str:
        self._wait(file)
        return self._getline(file, line)


def may_look(stretch: Stretch) -> bool:
    """Else the machine was short of processors, not of looks."""
    doubts = stretch.doubts
    return doubts.stopped_ns + doubts.gil_ns + (doubts.queued_ns or 0) <= 1e8


@pytest.mark.parametrize(
    ("after_s", "call"), [(0.7, "time.sleep"), (3.0, "")], ids=["soon", "late"]
)
def test_looks_go_on_while_the_source_comes_from_a_slow_disk(
    after_s: float, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        await asyncio.sleep(0.1)
        time.sleep(0.4)
        await until(lambda: monitor.recording().stretches)

    with Monitor(SETTINGS) as monitor:
        Disk(monkeypatch, after_s)
        began = time.monotonic()
        asyncio.run(main())
        took = time.monotonic() - began
    (stretch, *_) = [s for s in monitor.recording().stretches if s.late_ns > 300_000_000]
    if may_look(stretch):
        assert sum(look.times for look in stretch.looks) >= 5
        assert took < 2.5
    assert {look.stack.frames[-1].call for look in stretch.looks} == {call}


def test_a_loop_that_ended_before_its_source_came_keeps_no_other_from_being_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def short() -> None:
        await asyncio.sleep(0.1)
        time.sleep(LONG_S)

    async def main() -> None:
        await asyncio.to_thread(asyncio.run, short())
        await asyncio.sleep(0.1)
        time.sleep(0.4)
        await until(lambda: len(monitor.recording().stretches) > 1)

    with Monitor(SETTINGS) as monitor:
        Disk(monkeypatch, 5.0)
        asyncio.run(main())
    (stretch, *_) = [s for s in monitor.recording().stretches if s.late_ns > 300_000_000]
    if may_look(stretch):
        assert sum(look.times for look in stretch.looks) >= 5


def test_who_settles_waits_no_longer_than_asked_and_hurries_no_later_stall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled: list[bool] = []

    async def main() -> None:
        await asyncio.sleep(0.1)
        Disk(monkeypatch, 0.6)
        time.sleep(0.2)
        await asyncio.sleep(0)
        settled.append(await asyncio.to_thread(monitor.settle, 0.1))
        settled.append(await asyncio.to_thread(monitor.settle, PATIENCE_S))
        watchdog = monitor._watchdog
        assert watchdog is not None
        assert not any(subject.hurried for subject in watchdog.subjects())

    with Monitor(SETTINGS) as monitor:
        asyncio.run(main())
    assert settled == [False, True]


GREEN_THREADS = """
from gevent import monkey
monkey.patch_all()
import asyncio, time
from unstall import Monitor

async def main():
    await asyncio.sleep(0.05)
    time.sleep(0.3)
    return 7

with Monitor() as monitor:
    print(asyncio.run(main()))
print(*monitor.statistics().inactive, sep="\\n")
"""


def test_where_threads_are_greenlets_the_host_is_left_alone_and_it_is_said() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", GREEN_THREADS],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == ["7", GREEN]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="all interpreters share one lock")
def test_beside_another_interpreter_a_stall_is_told_without_its_line_and_once_why() -> None:
    told: list[Process] = []
    interpreters = import_module(
        "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    )

    def keep(entry: Entry) -> None:
        if isinstance(entry, Process):
            told.append(entry)

    async def main() -> None:
        await asyncio.sleep(0.1)
        other = interpreters.create()
        try:
            for _ in range(2):
                time.sleep(LONG_S)
                await asyncio.sleep(0.1)
        finally:
            interpreters.destroy(other)

    with Monitor(SETTINGS, listeners=(keep,)) as monitor:
        asyncio.run(main())
    unseen = [stretch for stretch in monitor.recording().stretches if not stretch.looks]
    assert sum(stretch.until_ns - stretch.due_ns > 0.2e9 for stretch in unseen) == 2
    assert [BESIDE_INTERPRETERS in process.inactive for process in told] == [False, True]
    gaps = report_of(monitor.recording(), "app").gaps
    assert f"a hook does not work here: {BESIDE_INTERPRETERS}" in gaps


def test_two_loops_at_once_are_told_apart() -> None:
    stalls: list[Stall] = []

    async def idles() -> None:
        await asyncio.sleep(0.1 + LONG_S + 0.1)

    with Monitor(SETTINGS, on_stall=stalls.append):
        threads = [
            threading.Thread(target=lambda work=work: asyncio.run(work()))
            for work in (blocks_once, idles)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({stall.loop for stall in accusing(stalls)}) == 1


def test_a_loop_that_runs_already_is_watched_from_the_start_call_on() -> None:
    stalls: list[Stall] = []

    async def main() -> None:
        monitor = Monitor(SETTINGS, on_stall=stalls.append).start()
        await blocks_once()
        monitor.stop()

    asyncio.run(main())
    assert [stall.site.function for stall in accusing(stalls) if stall.site] == ["blocks_once"]


def test_a_loop_that_runs_on_another_thread_can_be_attached() -> None:
    stalls: list[Stall] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with Monitor(SETTINGS, on_stall=stalls.append) as monitor:
        monitor.attach(loop)
        asyncio.run_coroutine_threadsafe(blocks_once(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
    loop.close()
    assert len(accusing(stalls)) == 1


def test_a_clean_loop_is_silent() -> None:
    stalls: list[Stall] = []

    async def main() -> None:
        await asyncio.gather(*(asyncio.sleep(0.3) for _ in range(100)))
        await asyncio.to_thread(time.sleep, 0.3)

    with Monitor(SETTINGS, on_stall=stalls.append) as monitor:
        asyncio.run(main())
    assert accusing(stalls) == []
    assert sum(pulse.lag.count for pulse in monitor.recording().pulses) > 0


def test_a_second_monitor_in_one_process_sees_the_same_and_breaks_nothing() -> None:
    first, second = Monitor(SETTINGS), Monitor(SETTINGS)
    with first, second:
        asyncio.run(blocks_once())
    for monitor in (first, second):
        assert len(monitor.recording().stretches) >= 1


def test_one_run_of_asyncio_is_one_loop_and_the_next_another() -> None:
    with Monitor(SETTINGS) as monitor:
        for _ in range(2):
            asyncio.run(blocks_once(0))
    assert [loop.loop for loop in monitor.recording().loops] == [1, 2]


def test_start_and_stop_may_be_called_twice() -> None:
    monitor = Monitor(SETTINGS)
    assert monitor.start() is monitor.start()
    monitor.stop()
    monitor.stop()
    assert not monitor.statistics().running


def test_a_callback_that_raises_is_removed_and_counted_and_the_host_goes_on() -> None:
    def explode(_: object) -> None:
        raise RuntimeError("a user's own mistake")

    with Monitor(SETTINGS, on_stall=explode, listeners=(explode,)) as monitor:
        asyncio.run(blocks_once())
    assert monitor.statistics().dropped == {"listener removed after RuntimeError": 2}
    assert len(monitor.recording().stretches) >= 1


def test_listeners_get_the_process_its_loops_its_pulses_and_its_stretches() -> None:
    seen: list[object] = []
    with Monitor(SETTINGS, listeners=(seen.append,)):
        asyncio.run(blocks_once())
    assert isinstance(seen[0], Process)
    assert {type(entry) for entry in seen} >= {Process, Stretch, Pulse}


def test_statistics_show_the_stall_that_goes_on_now() -> None:
    seen = threading.Event()

    def look(monitor: Monitor) -> None:
        while not monitor.statistics().blocked_s:
            time.sleep(0.01)
        seen.set()

    async def main() -> None:
        await asyncio.sleep(0.1)
        assert seen.wait(PATIENCE_S), "it is seen while this still blocks"

    with Monitor(SETTINGS) as monitor:
        threading.Thread(target=look, args=(monitor,), daemon=True).start()
        asyncio.run(main())
        assert monitor.statistics().blocked_s == 0.0


def _stalls_in_child(queue: Any, monitor: Monitor) -> None:
    asyncio.run(blocks_once())
    time.sleep(0.2)
    recording = monitor.recording()
    queue.put((os.getpid(), recording.processes[0].pid, len(recording.stretches)))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that is what is tested
def test_a_forked_child_is_watched_as_a_process_of_its_own() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with Monitor(SETTINGS) as monitor:
        asyncio.run(blocks_once())  # so that the parent's watchdog runs when it forks
        child = context.Process(target=_stalls_in_child, args=(queue, monitor))
        child.start()
        pid, recorded_pid, stretches = queue.get(timeout=20)
        child.join()
        assert monitor.recording().processes[0].pid == os.getpid()
    assert pid == recorded_pid == child.pid
    assert stretches >= 1


def _waits_without_a_loop(queue: Any, monitor: Monitor) -> None:
    time.sleep(LONG_S * 2)
    queue.put(len(monitor.recording().stretches))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that is what is tested
def test_a_pool_worker_forked_from_a_running_loop_is_not_accused_of_standing_still() -> None:
    async def main(monitor: Monitor) -> int:
        await asyncio.sleep(0.1)
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        worker = context.Process(target=_waits_without_a_loop, args=(queue, monitor))
        worker.start()
        stretches = await asyncio.to_thread(queue.get, timeout=20)
        worker.join()
        return int(stretches)

    with Monitor(SETTINGS) as monitor:
        assert asyncio.run(main(monitor)) == 0


def test_thousands_of_short_loops_leave_no_open_files_behind() -> None:
    async def nothing() -> None:
        pass

    def opened() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    with Monitor(SETTINGS):
        asyncio.run(nothing())
        time.sleep(0.1)
        before = opened()
        for _ in range(200):
            asyncio.run(nothing())
        deadline = time.monotonic() + PATIENCE_S
        while opened() > before + 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert opened() <= before + 4


# --- what is no stall, and what is one after all --------------------------------------------


class Types(io.StringIO):
    """A user at a prompt who thinks for a while."""

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        time.sleep(LONG_S)
        return "continue\n"


def test_a_debuggers_prompt_is_counted_apart_and_nobody_is_called() -> None:
    stalls: list[Stall] = []

    async def main() -> None:
        await asyncio.sleep(0.1)
        pdb.Pdb(stdin=Types(), stdout=io.StringIO(), nosigint=True, readrc=False).set_trace()
        sys.settrace(None)
        await asyncio.sleep(0.1)

    with Monitor(SETTINGS, on_stall=stalls.append) as monitor:
        asyncio.run(main())
    assert accusing(stalls) == []
    statistics = monitor.statistics()
    assert statistics.paused == 1
    assert statistics.stalls == sum(not stall.ongoing for stall in stalls)
    assert len(monitor.recording().stretches) == statistics.stalls + 1


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_stall_in_a_loops_last_step_is_not_lost(run: Callable[..., None]) -> None:
    async def main() -> None:
        await asyncio.sleep(0)
        time.sleep(0.12)

    with Monitor(SETTINGS) as monitor:
        for _ in range(10):
            run(main())
    assert len(monitor.recording().stretches) >= 10


@pytest.mark.parametrize("blocks_at", ["start", "end"])
def test_start_up_is_over_when_the_lifespan_has_completed_its_own(blocks_at: str) -> None:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        if blocks_at == "start":
            time.sleep(LONG_S)
        yield
        if blocks_at == "end":
            time.sleep(LONG_S)

    with Monitor(SETTINGS) as monitor, TestClient(Starlette(lifespan=lifespan)):
        time.sleep(0.1)
    begun = REQUESTS.begun
    recording = monitor.recording()
    # As if this process had served nobody before.
    stretches = [
        replace(stretch, served_before=stretch.served_before - begun)
        for stretch in recording.stretches
    ]
    report = report_of(replace(recording, stretches=tuple(stretches)), "app")
    startup, counted = list(filter(accuses, report.startup)), list(filter(accuses, report.stalls))
    assert (len(startup), len(counted)) == ((1, 0) if blocks_at == "start" else (0, 1))
