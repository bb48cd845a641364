"""Whom a full pool is blamed on, and who is left in peace beside them."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.support.measured import spin
from unstall.explain.pools import DEFAULT_EXECUTOR, SHARED, pool_findings
from unstall.explain.report import report_of
from unstall.model.anatomy import Threads
from unstall.model.finding import Finding
from unstall.model.histogram import Histogram
from unstall.report.text import render
from unstall.settings import Settings
from unstall.watch.monitor import Monitor

MS = 1_000_000


def row(function: str, calls: int = 10, *, pool: str = SHARED, **given: Any) -> Threads:
    """Calls of 1 ms that never waited, unless said otherwise; times in ms."""
    worked, queued = given.pop("worked", 1), given.pop("queued", 0)
    return Threads(
        "1-a", 0, 1, pool, 40, function, calls,
        Histogram.of([int(queued * MS)] * calls), Histogram.of([int(worked * MS)] * calls), **given,
    )  # fmt: skip


def codes(*rows: Threads) -> list[tuple[str, str]]:
    return [(f.code, f.entry.function if f.entry else "") for f in pool_findings(rows)]


# --- US302 and US305: long work where everybody waits for a thread ----------------------------


def test_who_keeps_the_shared_pool_is_named_when_others_wait_for_it() -> None:
    long = row("app:convert", worked=12_000, calls=40)
    short = row("app:list_orders", calls=100, queued=4_000, full=37)
    (finding,) = pool_findings([short, long])
    assert (finding.code, finding.entry and finding.entry.function) == ("US302", "app:convert")
    assert finding.runs_on == "thread pool"
    assert finding.evidence[0].because == (
        "40 calls kept a thread for 12.0 s at most; 37 calls found all 40 threads taken and waited 4.0 s "
        "at most"
    )


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ({"worked": 12_000}, {"queued": 0}),  # nobody waited
        ({"worked": 12_000}, {"queued": 50, "full": 3}),  # nor long
        ({"worked": 80}, {"queued": 4_000, "full": 3}),  # many short ones
        ({"worked": 12_000, "pool": "billing"}, {"queued": 4_000, "full": 3, "pool": "billing"}),
    ],
)
def test_long_work_that_kept_nobody_waiting_is_no_finding(
    long: dict[str, Any], short: dict[str, Any]
) -> None:
    assert codes(row("app:convert", **long), row("app:short", **short)) == []


def test_who_kept_little_of_a_full_pool_is_not_blamed() -> None:
    rows = [row("app:a", worked=9_000), row("app:b", worked=500), row("app:c", queued=900, full=4)]
    assert codes(*rows) == [("US302", "app:a")]


def test_names_that_wait_behind_long_work_are_told() -> None:
    long = row("app:export", pool=DEFAULT_EXECUTOR, worked=3_000)
    names = row("socket:getaddrinfo", pool=DEFAULT_EXECUTOR, worked=900, queued=960, full=10)
    (finding,) = pool_findings([long, names])
    assert finding.code == "US305"
    assert "a name waited 960 ms to be resolved" in (finding.evidence[0].because or "")
    assert codes(names) == [], "slow names are nobody's long work"


# --- US303: computing -------------------------------------------------------------------------


def test_computing_that_the_loop_had_to_wait_for_is_told() -> None:
    computes = row("app:render", worked=200, computed_ns=1_050 * MS, switches=380)
    assert codes(computes) == [("US303", "app:render")]


@pytest.mark.parametrize(
    "given",
    [
        {"worked": 200, "computed_ns": 1_050 * MS, "switches": 3},  # without the lock, or alone
        {"worked": 200, "computed_ns": 1_050 * MS, "switches": 210},  # our own beat asked
        {"worked": 900, "computed_ns": 1_050 * MS, "switches": 1_900},  # it waits
        {"worked": 1, "computed_ns": 9 * MS, "switches": 150},  # too short to matter
        {
            "worked": 40,
            "computed_ns": 350 * MS,
            "switches": 150,
        },  # too little to tell it from chance
        {"worked": 100},  # not known
    ],
)
def test_computing_that_was_in_nobodys_way_is_no_finding(given: dict[str, Any]) -> None:
    assert codes(row("app:render", **given)) == []


# --- US301: hops ------------------------------------------------------------------------------


def test_hops_that_buy_nothing_are_told_when_there_are_many() -> None:
    tiny = row("app:settings", 2_000, worked=0.002, queued=0.06)
    assert codes(tiny) == [("US301", "app:settings")]
    assert codes(replace(tiny, calls=400)) == []
    assert codes(row("app:read", 2_000, worked=0.3, queued=0.06)) == [], "it may wait for something"


# --- US304: callers that go on ----------------------------------------------------------------


def seen(work: Any) -> tuple[Finding, ...]:
    """What a real monitor has to say of the work."""
    with Monitor(Settings(slow_ms=0.0, threshold_ms=5_000)) as monitor:
        asyncio.run(work())
    report = report_of(monitor.recording(), "test")
    assert render(report)
    return report.findings


def test_a_time_out_that_leaves_its_thread_is_told_with_how_long_that_went_on() -> None:
    def charge() -> None:
        time.sleep(1.3)

    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anyio.to_thread.run_sync(charge)
        await asyncio.sleep(1.35)

    (finding,) = seen(work)
    assert finding.code == "US304"
    assert "charge" in (finding.entry.function if finding.entry else "")
    assert (finding.evidence[0].because or "").startswith("a caller went on without the thread")


def test_a_thread_that_never_comes_back_is_told_as_well() -> None:
    done = threading.Event()

    async def work() -> None:
        with anyio.move_on_after(0.05):
            await anyio.to_thread.run_sync(done.wait, abandon_on_cancel=True)
        await asyncio.sleep(1.2)

    with Monitor(Settings(slow_ms=0.0, threshold_ms=5_000)) as monitor:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(work())
        finally:
            rows = monitor._threads.taken(time.monotonic_ns())
            done.set()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
    assert [code for code, _ in codes(*rows)] == ["US304"]


def test_a_call_with_a_time_out_of_its_own_and_one_that_ends_in_time_are_clean() -> None:
    async def work() -> None:
        with anyio.move_on_after(0.05):  # the scope waits for the thread
            await anyio.to_thread.run_sync(time.sleep, 0.2)
        async with asyncio.timeout(5):
            await anyio.to_thread.run_sync(time.sleep, 0.2)
        with anyio.move_on_after(0.05):
            await anyio.to_thread.run_sync(time.sleep, 0.2, abandon_on_cancel=True)

    assert seen(work) == ()


def hashed() -> None:
    for _ in range(12):
        hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 60_000)


@pytest.mark.skipif(not hasattr(resource, "RUSAGE_THREAD"), reason="threads are not told apart")
@pytest.mark.parametrize(
    ("work", "busy", "told"),
    [(lambda: spin(300), True, True), (hashed, True, False), (lambda: spin(300), False, False)],
)
def test_computing_is_told_where_it_holds_the_lock_that_a_busy_loop_wants(
    work: Callable[[], None], busy: bool, told: bool
) -> None:
    """As if it had had the processor to itself: what others take from it here is none of its doing.

    Nor are the times that our own threads asked for the interpreter lock meanwhile.
    """

    async def main() -> None:
        for _ in range(5):
            task = asyncio.ensure_future(anyio.to_thread.run_sync(work))
            while busy and not task.done():
                await asyncio.sleep(0)
            await task

    with Monitor(Settings(slow_ms=0.0)) as monitor:
        asyncio.run(main())
    (row,) = [r for r in monitor.recording().threads if r.worked.max_ns > 50 * MS]
    ours = (row.worked.sum_ns - row.computed_ns) // (10 * MS)
    alone = replace(
        row, worked=Histogram.of([row.computed_ns]), switches=max(row.switches - ours, 0)
    )
    assert [code for code, _ in codes(alone)] == (["US303"] if told else [])
