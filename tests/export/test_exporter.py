"""The exporter as a user switches it on, in one process: what it shows, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from unstall.errors import UsageError
from unstall.export import Exporter, joining
from unstall.export.workers import State
from unstall.meters import METERS, Counter
from unstall.model.metric import Family, Sample
from unstall.settings import Settings
from unstall.watch.monitor import Monitor

# A machine that runs other things too must not make a clean loop look bad.
SETTINGS = Settings(threshold_ms=150, root=Path.cwd(), measure=False)
PATIENCE_S = 20.0
RUNNERS = {"asyncio": asyncio.run, "uvloop": uvloop.run}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A segment for this test alone; and after it no thread, no meter and no file is left."""
    monkeypatch.setenv("UNSTALL_SEGMENT", "tests")
    monkeypatch.delenv("UNSTALL_METRICS_PORT", raising=False)
    monkeypatch.setattr(joining, "folders", lambda: [tmp_path / "memory"])
    before, threads = METERS.families(), set(threading.enumerate())
    yield tmp_path / "memory"
    until(lambda: not [t.name for t in set(threading.enumerate()) - threads
                       if t.name.startswith("unstall")])  # fmt: skip
    assert [f.name for f in METERS.families()] == [f.name for f in before]
    assert list((tmp_path / "memory").glob("*")) == []


def until(true: Any, what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def get(exporter: Exporter, path: str) -> str:
    assert exporter.address is not None
    try:
        with urllib.request.urlopen(exporter.address + path, timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as answer:  # health, when nobody can serve
        with answer:
            body = answer.read().decode()
    return body if path == "health" else ""


def family(exporter: Exporter, name: str) -> Family:
    (found,) = (family for family in exporter.families() if family.name == name)
    return found


def sample(exporter: Exporter, name: str) -> Sample:
    (found,) = family(exporter, name).samples
    return found


async def served(exporter: Exporter) -> None:
    await soon(lambda: exporter.address is not None)


async def soon(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.01)


def accusing(samples: Iterable[Sample]) -> list[Sample]:
    """Of stalls, by cause and site: without those of a machine that is out of processors."""
    caused = [each for each in samples if each.labels[0] != "starved"]
    return [each for each in caused if each.labels[:2] != ("unknown", "")]


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_stall_is_shown_while_it_lasts_and_counted_when_it_is_over(run: Any) -> None:
    during: list[str] = []

    def look_in(exporter: Exporter) -> None:
        # A word that accuses nobody is of a machine that is out of processors; the next may be better.
        until(lambda: [w for w in exporter.view().workers if w.words and w.words["site"]])
        during.extend(get(exporter, path) for path in ("metrics", "health", "fragment"))

    async def main(exporter: Exporter) -> None:
        await served(exporter)
        looker = threading.Thread(target=look_in, args=(exporter,))
        looker.start()
        while looker.is_alive():
            time.sleep(1.5)  # STALLS
            await asyncio.sleep(0.3)
        looker.join()
        await asyncio.to_thread(
            until, lambda: family(exporter, "asyncio_eventloop_stall_seconds").samples
        )

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        run(main(exporter))
        stalls = family(exporter, "asyncio_eventloop_stall_seconds").samples
    metrics, health, fragment = during
    found = {f.name: f for f in text_string_to_metric_families(metrics)}
    assert found["asyncio_eventloop_blocked_seconds"].samples[0].value > 0.15
    (blamed,) = found["asyncio_eventloop_blocked_info"].samples
    site = (
        f"{__name__}:test_a_stall_is_shown_while_it_lasts_and_counted_when_it_is_over.<locals>.main"
    )
    assert (blamed.labels["cause"], blamed.labels["site"]) == ("waiting", site)
    (worker,) = json.loads(health)["workers"]
    assert (worker["pid"], worker["state"]) == (os.getpid(), "frozen")
    assert worker["stall"]["call"] == "time.sleep"
    assert "1 of 1 worker frozen" in fragment
    assert [s.labels[:2] for s in accusing(stalls)] == [("waiting", site)]


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
def test_a_clean_loop_shows_no_stall_and_is_hardly_busy(run: Any) -> None:
    async def main(exporter: Exporter) -> list[float]:
        await served(exporter)
        await asyncio.gather(*(asyncio.sleep(2.2) for _ in range(50)))
        found = await asyncio.to_thread(sample, exporter, "asyncio_eventloop_utilization_ratio")
        return [found.value]

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        (busy,) = run(main(exporter))
        assert accusing(family(exporter, "asyncio_eventloop_stall_seconds").samples) == []
        assert sample(exporter, "unstall_victims_total").value == 0
    assert busy < 0.5


def test_a_busy_loop_is_shown_as_busy_and_its_tasks_are_counted() -> None:
    async def main(exporter: Exporter) -> tuple[float, float]:
        await served(exporter)
        others = [asyncio.create_task(asyncio.sleep(60)) for _ in range(20)]
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            await asyncio.sleep(0)
        asked = asyncio.create_task(
            asyncio.to_thread(
                lambda: [
                    sample(exporter, f"asyncio_{n}")
                    for n in ("eventloop_utilization_ratio", "tasks")
                ]
            )
        )
        while not asked.done():
            await asyncio.sleep(0)
        for task in others:
            task.cancel()
        ratio, tasks = await asked
        return ratio.value, tasks.value

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        busy, tasks = asyncio.run(main(exporter))
    assert busy > 0.1  # of a processor that is shared
    assert tasks >= 20


def test_whoever_asks_at_the_port_reads_what_was_counted_a_moment_ago() -> None:
    orders = Counter("unstall_test_orders_total", "Orders.")

    async def main(exporter: Exporter) -> None:
        await served(exporter)
        for number in range(1, 4):  # far within the five seconds after which it is written anyway
            orders.add(())
            text = await asyncio.to_thread(get, exporter, "metrics")
            assert f"unstall_test_orders_total {number}" in text.replace(".0", "")

    METERS.add(orders)
    try:
        with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
            asyncio.run(main(exporter))
    finally:
        METERS.remove(orders)


def test_asked_on_a_loop_it_does_not_wait() -> None:
    async def main(exporter: Exporter) -> None:
        await served(exporter)
        slept: list[float] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "sleep", slept.append)
            exporter.view()
        assert slept == []

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        asyncio.run(main(exporter))


def test_lag_is_a_histogram_of_all_beats() -> None:
    async def main(exporter: Exporter) -> None:
        await served(exporter)
        await asyncio.sleep(0.5)

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        asyncio.run(main(exporter))
        until(lambda: family(exporter, "asyncio_eventloop_lag_seconds").samples)
        assert sum(sample(exporter, "asyncio_eventloop_lag_seconds").buckets) >= 10


def test_nothing_is_served_before_a_loop_runs() -> None:
    """A supervisor that imports the application takes no port from its workers."""
    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        time.sleep(0.2)
        assert exporter.address is None
        assert exporter.view().workers == ()
        asyncio.run(served(exporter))
        assert get(exporter, "metrics").startswith("# HELP asyncio_eventloop_")


def test_a_loop_that_runs_already_is_shown_too() -> None:
    async def main() -> None:
        monitor = Monitor(SETTINGS).start()
        await asyncio.sleep(0)
        exporter = Exporter(monitor, port=0).start()
        await served(exporter)
        await soon(lambda: [w.state for w in exporter.view().workers] == [State.ALIVE])
        exporter.stop()
        monitor.stop()

    asyncio.run(main())


def test_a_loop_that_has_ended_is_not_shown_as_frozen() -> None:
    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        for _ in range(3):
            asyncio.run(served(exporter))
        until(lambda: exporter.view().workers == ())
        time.sleep(0.4)
        assert exporter.view().workers == ()


def test_a_monitor_that_stops_first_leaves_no_frozen_worker_behind() -> None:
    async def main(monitor: Monitor, exporter: Exporter) -> None:
        await served(exporter)
        monitor.stop()
        await soon(lambda: exporter.view().workers == ())
        await asyncio.sleep(0.5)
        assert exporter.view().workers == ()

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        asyncio.run(main(monitor, exporter))


def test_several_loops_are_one_worker_judged_by_the_one_that_stands_still() -> None:
    async def beats(stop: threading.Event) -> None:
        while not stop.is_set():
            await asyncio.sleep(0.01)

    async def stands() -> None:
        await asyncio.sleep(0.3)
        time.sleep(1.5)

    stop = threading.Event()
    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        one = threading.Thread(target=lambda: asyncio.run(beats(stop)))
        two = threading.Thread(target=lambda: asyncio.run(stands()))
        one.start()
        two.start()
        until(lambda: exporter.view().workers and exporter.view().workers[0].words)
        (worker,) = exporter.view().workers
        assert (worker.loops, worker.state) == (2, State.FROZEN)
        stop.set()
        one.join()
        two.join()


def test_of_two_exporters_in_a_process_one_writes_and_both_show() -> None:
    async def main(one: Exporter, two: Exporter) -> None:
        await served(one)
        await served(two)
        while not (one.view().workers and two.view().workers):
            await asyncio.sleep(0.01)
        assert len(one.view().workers) == len(two.view().workers) == 1
        one.stop()
        while not two.view().workers:
            await asyncio.sleep(0.01)

    with (
        Monitor(SETTINGS) as monitor,
        Exporter(monitor, port=0) as one,
        Exporter(monitor, port=0) as two,
    ):
        asyncio.run(main(one, two))


def test_a_segment_that_somebody_removed_is_replaced(place: Path) -> None:
    async def main(exporter: Exporter) -> None:
        await served(exporter)
        (file,) = place.iterdir()
        file.unlink()
        while list(place.iterdir()) == [] or not exporter.view().workers:
            await asyncio.sleep(0.01)

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        asyncio.run(main(exporter))


def test_without_any_folder_a_worker_still_shows_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(joining, "folders", lambda: [blocked / "below"])
    said: list[str] = []

    async def main(exporter: Exporter) -> None:
        await served(exporter)
        while not exporter.view().workers:
            await asyncio.sleep(0.01)

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0, say=said.append) as exporter:
        asyncio.run(main(exporter))
    (sentence,) = said
    assert sentence.startswith("workers cannot share their numbers")


def test_build_information_is_shown_only_if_it_is_given() -> None:
    async def shown(exporter: Exporter) -> list[tuple[str, ...]]:
        while not any(f.name == "asyncio_tasks" for f in exporter.families()):
            await asyncio.sleep(0.01)
        found = [f for f in exporter.families() if f.name == "app_build_info"]
        return [s.labels for f in found for s in f.samples]

    def info(**arguments: Any) -> list[tuple[str, ...]]:
        with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0, **arguments) as exporter:
            return asyncio.run(shown(exporter))

    assert info() == []
    assert info(version="1.2") == [("1.2", "")]
    assert info(environ={"APP_VERSION": "3", "APP_COMMIT": "abc"}) == [("3", "abc")]


def test_the_port_comes_from_the_environment_if_it_is_not_given() -> None:
    with Monitor(SETTINGS) as monitor:
        exporter = Exporter(monitor, environ={"UNSTALL_METRICS_PORT": "0"})
        with exporter:
            asyncio.run(served(exporter))
            assert exporter.address is not None


def test_without_a_port_a_worker_is_shown_by_its_siblings_alone() -> None:
    async def main(exporter: Exporter) -> None:
        while not exporter.view().workers:
            await asyncio.sleep(0.01)

    with Monitor(SETTINGS) as monitor, Exporter(monitor, environ={}) as exporter:
        asyncio.run(main(exporter))
        assert exporter.address is None


def test_a_port_that_is_none_is_said_at_once() -> None:
    with pytest.raises(UsageError, match="UNSTALL_METRICS_PORT is 'ninety', which is no port"):
        Exporter(Monitor(SETTINGS), environ={"UNSTALL_METRICS_PORT": "ninety"})
    with pytest.raises(UsageError, match="port is '70000', which is no port"):
        Exporter(Monitor(SETTINGS), port=70_000)


def test_start_and_stop_may_be_called_twice_and_again() -> None:
    with Monitor(SETTINGS) as monitor:
        exporter = Exporter(monitor, port=0)
        for _ in range(2):
            assert exporter.start() is exporter.start()
            asyncio.run(served(exporter))
            exporter.stop()
            exporter.stop()
            assert exporter.address is None


def _shows_itself(queue: Any, exporter: Exporter) -> None:
    async def main() -> list[int]:
        while exporter.address is None or len(exporter.view().workers) < 2:
            await asyncio.sleep(0.01)
        return [worker.pid for worker in exporter.view().workers]

    silent = exporter.address is None
    workers = asyncio.run(main())
    queue.put((silent, os.getpid(), workers))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that is what is tested
def test_a_forked_child_that_runs_a_loop_is_a_worker_of_its_own() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    async def main(exporter: Exporter) -> Any:
        await served(exporter)
        child = context.Process(target=_shows_itself, args=(queue, exporter))
        child.start()
        said = await asyncio.to_thread(queue.get, timeout=PATIENCE_S)
        await asyncio.to_thread(child.join)
        return said, child.pid

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        (silent, pid, workers), child = asyncio.run(main(exporter))
        assert silent
        assert pid == child
        assert set(workers) == {os.getpid(), child}
        assert exporter.address is not None
        assert "unstall_victims_total" in get(
            exporter, "metrics"
        )  # the parent's server is untouched


def _waits(queue: Any) -> None:
    time.sleep(0.6)
    queue.put(sorted(t.name for t in threading.enumerate()))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that is what is tested
def test_a_forked_child_that_runs_no_loop_does_nothing() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    async def main(exporter: Exporter) -> Any:
        await served(exporter)
        child = context.Process(target=_waits, args=(queue,))
        child.start()
        names = await asyncio.to_thread(queue.get, timeout=PATIENCE_S)
        await asyncio.to_thread(child.join)
        mine = [(os.getpid(), State.ALIVE)]
        await soon(lambda: [(w.pid, w.state) for w in exporter.view().workers] == mine)
        return names

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        names = asyncio.run(main(exporter))
    assert not [name for name in names if name.startswith("unstall")]


def test_an_error_of_ours_ends_the_metrics_and_not_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    async def main(exporter: Exporter) -> int:
        await served(exporter)
        monkeypatch.setattr(exporter, "_turn", lambda _: 1 / 0)
        exporter._wake.set()
        while not said:
            await asyncio.sleep(0.01)
        return 7

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0, say=said.append) as exporter:
        assert asyncio.run(main(exporter)) == 7
    assert said == ["metrics are written no longer after ZeroDivisionError: division by zero"]


def test_thousands_of_short_loops_leave_no_open_files_behind() -> None:
    async def nothing() -> None:
        pass

    with Monitor(SETTINGS) as monitor, Exporter(monitor, port=0) as exporter:
        asyncio.run(served(exporter))
        before = opened()
        for _ in range(200):
            asyncio.run(nothing())
        until(lambda: opened() <= before + 4)


def opened() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
