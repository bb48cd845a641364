"""Why a stretch was late, as tables of decisions. Each cause has a near miss that is not it.

The threshold is 100 ms; a heartbeat is due 20 ms after the one before.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from unstall.explain.cause import cause_of
from unstall.model.finding import Cause
from unstall.model.observation import Holder, Look, Stretch, Wait
from unstall.model.place import Stack
from unstall.testing import THRESHOLD_NS, frame, library, look, ns_of, stack, stdlib, stretch

PEER = Wait("poll", 7, "10.0.0.5:5432")
FUTEX = Wait("futex")
PEN = Holder("thread pen", cpu_ns=400_000_000)
RAN = Holder("thread pen", cpu_ns=440_000_000)
LATE = 500


def cause(seen: Stretch) -> Cause:
    return cause_of(seen, THRESHOLD_NS).cause


def waits(wait: Wait | str = PEER, times: int = 40, tip: Stack | None = None) -> Look:
    return look(tip, until_ms=500, times=times, wait=wait)


def computes(times: int = 40) -> Look:
    return look(until_ms=500, times=times, running=True)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        # starved: only if the stall would have stayed under the threshold without it
        pytest.param(stretch(stopped_ms=450), Cause.STARVED, id="stopped"),
        pytest.param(
            stretch(waits(), stopped_ms=390), Cause.WAITING,
            id="stopped, and late by 110 ms without it",
        ),
        pytest.param(stretch(waits(), queued_ms=450), Cause.STARVED, id="queued for a processor"),
        pytest.param(
            stretch(computes(), queued_ms=390, cpu_ms=110), Cause.CPU,
            id="queued, and late by 110 ms without it",
        ),
        pytest.param(
            stretch(waits(), late_ms=120, stopped_ms=55), Cause.WAITING,
            id="stopped for the lesser part",
        ),
        pytest.param(stretch(waits(), queued_ms=None), Cause.WAITING, id="queueing is not told"),
        pytest.param(
            stretch(computes(), queued_ms=None, throttled_ms=450, cpu_ms=50), Cause.STARVED,
            id="throttled, where queueing is not told",
        ),
        pytest.param(
            stretch(computes(), queued_ms=None, throttled_ms=None, cpu_ms=50), Cause.UNKNOWN,
            id="the same without a limit that is known",
        ),
        pytest.param(
            stretch(computes(), queued_ms=0, throttled_ms=450, cpu_ms=50, ongoing=True), Cause.STARVED,
            id="throttled, and not yet counted as queued",
        ),
        pytest.param(
            stretch(throttled_ms=450, cpu_ms=50), Cause.STARVED,
            id="throttled with whoever held the lock, and nobody could look",
        ),
        pytest.param(
            stretch(throttled_ms=200, cpu_ms=50), Cause.UNKNOWN,
            id="throttled for the lesser part, and nobody could look",
        ),
        pytest.param(
            stretch(computes(), queued_ms=None, throttled_ms=900, cpu_ms=490), Cause.CPU,
            id="throttled at another time than when it computed",
        ),
        pytest.param(
            stretch(waits(), queued_ms=None, throttled_ms=900), Cause.WAITING,
            id="throttled, but seen to wait",
        ),
        pytest.param(
            stretch(computes(), queued_ms=0, throttled_ms=900, cpu_ms=490), Cause.CPU,
            id="other threads were throttled, and the loop's own was not",
        ),
        pytest.param(stretch(suspended_ms=3.6e6), Cause.STARVED, id="the machine slept"),
        pytest.param(
            stretch(waits(), suspended_ms=3.6e6), Cause.WAITING,
            id="the machine slept, and a step was late without it",
        ),
        # gc
        pytest.param(stretch(computes(), gc_ms=450, cpu_ms=490), Cause.GC, id="collecting"),
        pytest.param(
            stretch(computes(), gc_ms=390, cpu_ms=490), Cause.CPU,
            id="collecting, and late by 110 ms without it",
        ),
        pytest.param(stretch(stopped_ms=450, gc_ms=450), Cause.STARVED, id="stopped while collecting"),
        # gil
        pytest.param(stretch(gil_ms=450, holder=PEN), Cause.GIL, id="another thread in C"),
        pytest.param(stretch(computes(1), gil_ms=450, cpu_ms=490), Cause.GIL, id="one call in C"),
        pytest.param(stretch(look(), gil_ms=450), Cause.GIL, id="C code waits with the lock"),
        pytest.param(
            stretch(waits(), gil_ms=390), Cause.WAITING,
            id="whoever held the lock did not run, and the loop was late by 110 ms without it",
        ),
        pytest.param(
            stretch(computes(1), gil_ms=390), Cause.UNKNOWN,
            id="the same, and what the loop did was not seen",
        ),
        pytest.param(
            stretch(waits(times=1), late_ms=160, gil_ms=110, ongoing=True), Cause.WAITING,
            id="whoever held the lock did not run, and the loop still waits without it",
        ),
        pytest.param(
            stretch(waits(times=1), late_ms=160, gil_ms=110), Cause.GIL,
            id="the same, and it was over at once",
        ),
        pytest.param(
            stretch(waits(FUTEX, times=1), late_ms=160, gil_ms=110, ongoing=True), Cause.GIL,
            id="whoever held the lock did not run, and the loop waits for a lock",
        ),
        pytest.param(
            stretch(computes(), gil_ms=450, cpu_ms=150, queued_ms=0, throttled_ms=300), Cause.UNKNOWN,
            id="throttled while it held the lock, and so were those who asked for it",
        ),
        pytest.param(
            stretch(computes(1), gil_ms=450, cpu_ms=490, throttled_ms=300), Cause.GIL,
            id="one call in C, and others were throttled",
        ),
        pytest.param(
            stretch(computes(1), gil_ms=450, holder=RAN, cpu_ms=5, throttled_ms=300),
            Cause.GIL, id="another thread ran in C, so it was others that were throttled",
        ),
        pytest.param(
            stretch(waits(times=1), gil_ms=450, holder=RAN, others_ms=440, cpu_ms=5, throttled_ms=300),
            Cause.GIL, id="the same, and one look saw a wait",
        ),
        pytest.param(
            stretch(look(), gil_ms=450, throttled_ms=300), Cause.GIL,
            id="C code waits with the lock, or was throttled",
        ),
        pytest.param(
            stretch(computes(1), late_ms=1_000, gil_ms=600, cpu_ms=450, throttled_ms=200), Cause.UNKNOWN,
            id="one call in C for less than half of it, or for more",
        ),
        pytest.param(
            stretch(computes(1), gil_ms=400, cpu_ms=100, others_ms=150, throttled_ms=250), Cause.UNKNOWN,
            id="others computed a little, and nobody got the lock because all were throttled",
        ),
        pytest.param(stretch(waits(), gil_ms=240), Cause.WAITING, id="locked out for the lesser part"),
        pytest.param(
            stretch(computes(), gil_ms=240, cpu_ms=490, holder=PEN), Cause.CPU,
            id="another thread ran, and others got the lock",
        ),
        # waiting
        pytest.param(stretch(waits()), Cause.WAITING, id="a wait on a peer"),
        pytest.param(
            stretch(look(times=40)), Cause.WAITING, id="no CPU, in no system call that can be read"
        ),
        pytest.param(stretch(waits(), cpu_ms=230), Cause.WAITING, id="waited for the greater part"),
        # cpu
        pytest.param(stretch(computes(), cpu_ms=490), Cause.CPU, id="computing"),
        pytest.param(stretch(waits(), cpu_ms=270), Cause.CPU, id="computed for the greater part"),
        pytest.param(stretch(cpu_ms=490), Cause.CPU, id="computing, unseen"),
        pytest.param(
            stretch(computes(), cpu_ms=200, queued_ms=200), Cause.CPU,
            id="computing as far as it was let",
        ),
        # unknown
        pytest.param(stretch(computes(), cpu_ms=100), Cause.UNKNOWN, id="running without CPU time"),
        pytest.param(stretch(waits(), cpu_ms=None), Cause.UNKNOWN, id="no CPU time is known"),
        pytest.param(stretch(), Cause.UNKNOWN, id="nobody looked"),
    ],
)  # fmt: skip
def test_a_stretch_has_one_cause(seen: Stretch, expected: Cause) -> None:
    assert cause(seen) is expected


# --- a lock, or C code that waits for its own threads ---------------------------------------

LOCKS = [
    pytest.param(stack(frame(call="lock.acquire")), id="acquire, in C"),
    pytest.param(stack(frame(call="with self._lock")), id="with"),
    pytest.param(stack(frame(call="jobs.get")), id="a SimpleQueue, in C"),
    pytest.param(stack(frame(), stdlib("threading:Condition.wait")), id="condition"),
    pytest.param(stack(frame(), stdlib("queue:Queue.get")), id="queue"),
    pytest.param(stack(frame(), stdlib("concurrent.futures._base:Future.result")), id="future"),
    pytest.param(
        stack(frame(), stdlib("multiprocessing.synchronize:SemLock.__enter__")), id="semaphore"
    ),
]
C_CODE = [
    pytest.param(stack(frame(call="engine.run")), id="a method of C code"),
    pytest.param(stack(frame(), library("polars:collect", call="frame.collect")), id="a library's"),
    pytest.param(stack(frame()), id="a line that calls nothing readable"),
]  # fmt: skip


@pytest.mark.parametrize("tip", LOCKS)
def test_a_futex_at_a_python_lock_is_a_lock(tip: Stack) -> None:
    diagnosis = cause_of(stretch(waits("futex", tip=tip)), THRESHOLD_NS)
    assert diagnosis.cause is Cause.LOCK
    assert diagnosis.wait == Wait("futex")


@pytest.mark.parametrize("tip", C_CODE)
def test_a_futex_inside_c_code_is_a_wait(tip: Stack) -> None:
    assert cause(stretch(waits("futex", tip=tip))) is Cause.WAITING


@pytest.mark.parametrize("tip", LOCKS)
def test_another_system_call_at_the_same_place_is_no_lock(tip: Stack) -> None:
    assert cause(stretch(waits("poll", tip=tip))) is Cause.WAITING


# --- many steps -----------------------------------------------------------------------------


def steps(count: int, each_ms: float, stopped_ms: float = 0) -> Stretch:
    """Steps of equal length in a row, each seen at its begin and near its end."""
    looks = [
        look(
            step=n + 1,
            from_ms=20 + n * each_ms,
            until_ms=20 + (n + 0.8) * each_ms,
            times=4,
            running=True,
        )
        for n in range(count)
    ]
    return stretch(*looks, late_ms=count * each_ms, cpu_ms=count * each_ms, stopped_ms=stopped_ms)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(steps(8, 60), Cause.SATURATED, id="eight of 60 ms"),
        pytest.param(steps(3, 60), Cause.SATURATED, id="just enough steps"),
        pytest.param(steps(2, 90), Cause.CPU, id="two are not many"),
        pytest.param(steps(8, 99.5), Cause.SATURATED, id="each just under the threshold"),
        pytest.param(steps(8, 100), Cause.CPU, id="each a stall by itself"),
        pytest.param(steps(8, 500), Cause.CPU, id="a burst of long ones"),
    ],
)
def test_many_small_steps_saturate_a_loop_and_long_ones_stall_it(
    seen: Stretch, expected: Cause
) -> None:
    assert cause(seen) is expected


def test_a_burst_of_blocking_requests_is_a_wait_and_not_load() -> None:
    looks = [
        look(step=n + 1, from_ms=20 + n * 500, until_ms=500 + n * 500, times=9, wait=PEER)
        for n in range(8)
    ]
    assert cause(stretch(*looks, late_ms=4_000)) is Cause.WAITING


def test_a_step_seen_once_between_rare_looks_is_not_called_long() -> None:
    looks = [look(step=n + 1, from_ms=20 + n * 250, running=True) for n in range(8)]
    assert cause(stretch(*looks, late_ms=2_000, cpu_ms=1_950)) is Cause.SATURATED


def test_small_steps_stay_many_when_there_was_no_room_for_all_of_them() -> None:
    """As it was seen: twelve of thirty steps fill the room, and none of them lasted for the rest."""
    seen = replace(steps(12, 33), until_ns=ns_of(1_020), cpu_ns=ns_of(990), dropped_looks=36)
    assert cause(seen) is Cause.SATURATED


def test_an_idle_loop_is_no_step() -> None:
    looks = [
        look(step=n % 2, from_ms=20 + n * 30, until_ms=40 + n * 30, times=3, wait=PEER)
        for n in range(5)
    ]
    assert cause(stretch(*looks, late_ms=150)) is not Cause.SATURATED


def test_a_doubt_comes_before_many_steps() -> None:
    assert cause(steps(8, 60, stopped_ms=450)) is Cause.STARVED


# --- who is blamed, and how it is said ------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "blamed"),
    [
        pytest.param(stretch(waits(), stopped_ms=450), False, id="stopped"),
        pytest.param(stretch(waits(), queued_ms=450), False, id="queued"),
        pytest.param(stretch(waits(), gil_ms=450, holder=PEN), False, id="another thread"),
        pytest.param(
            stretch(computes(1), gil_ms=450, cpu_ms=490, holder=PEN), True,
            id="the loop computed as well",
        ),
        pytest.param(stretch(computes(1), gil_ms=450, cpu_ms=490), True, id="one call in C"),
        pytest.param(stretch(computes(), gc_ms=450, cpu_ms=490), True, id="collecting"),
        pytest.param(stretch(waits()), True, id="waiting"),
        pytest.param(
            stretch(waits(times=1), gil_ms=450, holder=RAN, others_ms=440, cpu_ms=5, throttled_ms=300),
            False, id="another thread ran, and some were throttled",
        ),
        pytest.param(
            stretch(look(), gil_ms=450, throttled_ms=300), False,
            id="idle, locked out or throttled, and no system call could be read",
        ),
        pytest.param(
            stretch(waits(times=1), late_ms=1_000, gil_ms=950, holder=PEN, throttled_ms=500), False,
            id="whoever held the lock ran for less than half of it, the rest may be throttling",
        ),
        pytest.param(
            stretch(computes(1), late_ms=1_000, gil_ms=600, cpu_ms=450, throttled_ms=200), False,
            id="a call in C of its own for less than half of it, if throttling is what it may be",
        ),
        pytest.param(
            stretch(waits(), late_ms=1_000, gil_ms=550, throttled_ms=200), True,
            id="waiting, and for long enough without the lock and without the limit",
        ),
        pytest.param(
            stretch(computes(), gil_ms=240, cpu_ms=490, throttled_ms=300), True, id="computing"
        ),
    ],
)  # fmt: skip
def test_the_loop_is_blamed_only_for_what_its_step_did(seen: Stretch, blamed: bool) -> None:
    assert cause_of(seen, THRESHOLD_NS).blames_loop is blamed


def test_the_evidence_names_call_peer_looks_and_cpu() -> None:
    because = cause_of(stretch(waits(times=30), look(times=10)), THRESHOLD_NS).because
    for part in ("poll", "10.0.0.5:5432", "30 of 40", "0% CPU"):
        assert part in because


def test_the_thread_that_held_the_lock_is_named() -> None:
    because = cause_of(stretch(gil_ms=450, holder=PEN), THRESHOLD_NS).because
    assert "most likely by thread pen" in because


def test_the_wait_seen_most_is_the_one_reported() -> None:
    some, most = Wait("recvfrom", 7), Wait("poll", 7)
    seen = stretch(waits(some, times=3), waits(most, times=30), waits(some, times=9))
    assert cause_of(seen, THRESHOLD_NS).wait == most


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (stretch(cpu_ms=None), "the CPU time of the loop's thread could not be read"),
        (
            stretch(cpu_ms=52, unwatched_ms=400),
            "the loop's thread used 10% CPU, unseen: the watch itself was held up for 0.40 s",
        ),
        (stretch(cpu_ms=52, unwatched_ms=40), "the loop's thread used 10% CPU, unseen"),
        (stretch(cpu_ms=52), "the loop's thread used 10% CPU, unseen"),
    ],
)
def test_an_unknown_cause_says_what_is_missing(seen: Stretch, said: str) -> None:
    assert cause_of(seen, THRESHOLD_NS).because == said


@pytest.mark.parametrize("late_ms", [101, 500, 15_000])
def test_a_rule_does_not_depend_on_how_long_it_lasted(late_ms: float) -> None:
    assert cause(stretch(waits(), late_ms=late_ms)) is Cause.WAITING
    assert cause(stretch(computes(), late_ms=late_ms, cpu_ms=late_ms)) is Cause.CPU


def test_a_cpu_limit_is_named_where_it_explains_what_was_measured() -> None:
    for seen in (
        stretch(stopped_ms=450, throttled_ms=900),
        stretch(queued_ms=450, throttled_ms=400),
        stretch(queued_ms=None, throttled_ms=450),
    ):
        assert "its CPU limit throttled the process" in cause_of(seen, THRESHOLD_NS).because


def test_a_cpu_limit_that_hardly_bit_is_not_named() -> None:
    for seen in (stretch(stopped_ms=450, throttled_ms=10), stretch(queued_ms=450)):
        assert "limit" not in cause_of(seen, THRESHOLD_NS).because


# --- a thread that was started and did not begin --------------------------------------------


BEGINS = (
    stdlib("threading:Thread.start"),
    stdlib("threading:Event.wait"),
    stdlib("threading:Condition.wait"),
)
STARTS = [
    pytest.param(stack(frame(call="worker.start"), *BEGINS), id="a thread"),
    pytest.param(
        stack(
            frame(call="pool.submit"),
            stdlib("concurrent.futures.thread:ThreadPoolExecutor.submit"),
            stdlib("concurrent.futures.thread:ThreadPoolExecutor._adjust_thread_count"),
            *BEGINS,
        ),
        id="a pool's",
    ),
    pytest.param(
        stack(frame(), library("anyio._backends._asyncio:AsyncIOBackend.run_sync_in_worker_thread"), *BEGINS),
        id="anyio's",
    ),
    pytest.param(stack(frame(), BEGINS[0]), id="in the call that makes it"),
]  # fmt: skip
REALLY_LOCKED = [
    pytest.param(stack(frame("shop.jobs:Job.start"), *BEGINS[1:]), id="a start of its own"),
    pytest.param(stack(frame(), stdlib("threading:Thread.join")), id="a join"),
    pytest.param(
        stack(frame("shop.jobs:run"), *BEGINS[:1], frame("shop.locks:Traced.wait"), *BEGINS[1:]),
        id="the app's own code below it",
    ),
]  # fmt: skip


@pytest.mark.parametrize("tip", STARTS)
@pytest.mark.parametrize("times", [1, 40])
def test_a_thread_that_does_not_begin_is_nobodys_lock(tip: Stack, times: int) -> None:
    diagnosis = cause_of(stretch(waits("futex", times, tip)), THRESHOLD_NS)
    assert (diagnosis.cause, diagnosis.blames_loop) == (Cause.UNKNOWN, False)
    assert f"to begin, at {times} of {times} looks" in diagnosis.because


@pytest.mark.parametrize("tip", REALLY_LOCKED)
def test_another_wait_for_a_thread_is_a_lock(tip: Stack) -> None:
    diagnosis = cause_of(stretch(waits("futex", tip=tip)), THRESHOLD_NS)
    assert (diagnosis.cause, diagnosis.blames_loop) == (Cause.LOCK, True)


@pytest.mark.parametrize("tip", STARTS)
def test_a_lock_after_a_start_that_took_less_is_a_lock(tip: Stack) -> None:
    held = look(stack(frame(call="lock.acquire")), from_ms=200, until_ms=500, times=30, wait=FUTEX)
    begun = look(tip, from_ms=70, until_ms=190, times=31, wait=FUTEX)
    diagnosis = cause_of(stretch(begun, held), THRESHOLD_NS)
    assert (diagnosis.cause, diagnosis.blames_loop) == (Cause.LOCK, True)
    assert "30 of 61 looks" in diagnosis.because


@pytest.mark.parametrize("tip", STARTS)
def test_a_limit_that_kept_the_thread_from_beginning_is_named(tip: Stack) -> None:
    diagnosis = cause_of(stretch(waits("futex", tip=tip), throttled_ms=450), THRESHOLD_NS)
    assert diagnosis.cause is Cause.STARVED
    assert "its CPU limit throttled the process" in diagnosis.because


@pytest.mark.parametrize("tip", STARTS)
def test_threads_that_compute_may_be_why_it_does_not_begin(tip: Stack) -> None:
    seen = stretch(waits("futex", 4, tip), late_ms=300, others_ms=290, crowded_ms=280)
    assert cause(seen) is Cause.GIL


def test_threads_started_step_after_step_are_no_load() -> None:
    tip = stack(frame(), *BEGINS)
    looks = [
        look(tip, step=n, from_ms=100 * n, until_ms=100 * n + 60, times=6, wait=FUTEX)
        for n in range(1, 5)
    ]
    assert cause(stretch(*looks)) is Cause.UNKNOWN


# --- crowded out ----------------------------------------------------------------------------


def test_threads_that_compute_beside_a_loop_that_gets_few_turns_are_the_cause() -> None:
    crowded = stretch(look(wait=FUTEX, times=3), late_ms=300, cpu_ms=50, others_ms=250, gil_ms=20)
    diagnosis = cause_of(crowded, THRESHOLD_NS)
    assert diagnosis.cause is Cause.GIL
    assert not diagnosis.blames_loop


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(stretch(late_ms=300, cpu_ms=1, others_ms=60, crowded_ms=290), id="no look"),
        pytest.param(
            stretch(look(running=True), late_ms=300, cpu_ms=40, others_ms=70, crowded_ms=250),
            id="a look at a thread that is ready to run",
        ),
        pytest.param(
            stretch(look(running=True), late_ms=400, cpu_ms=50, gil_ms=210, others_ms=250),
            id="the watchdog was locked out as well",
        ),
    ],
)
def test_a_crowd_is_also_told_by_the_watchdogs_own_waits(seen: Stretch) -> None:
    diagnosis = cause_of(seen, THRESHOLD_NS)
    assert diagnosis.cause is Cause.GIL
    assert not diagnosis.blames_loop


def test_the_threads_of_a_crowd_are_named() -> None:
    crowd = Holder("threads a and b and 6 more", cpu_ns=250_000_000)
    seen = stretch(late_ms=300, cpu_ms=1, others_ms=260, crowded_ms=290, holder=crowd)
    assert "threads a and b and 6 more computed" in cause_of(seen, THRESHOLD_NS).because


def test_a_wait_for_a_thread_that_computes_is_that_wait() -> None:
    result = look(
        stack(frame(), stdlib("concurrent.futures._base:Future.result")), wait=FUTEX, times=9
    )
    seen = stretch(result, late_ms=300, cpu_ms=1, others_ms=290, crowded_ms=280)
    assert cause(seen) is Cause.LOCK


def test_one_look_that_caught_it_as_it_woke_does_not_excuse_a_wait_for_a_thread() -> None:
    inside = stack(frame(), stdlib("concurrent.futures._base:Future.result"))
    looks = look(inside, wait=FUTEX, times=4), look(inside, running=True)
    assert (
        cause(stretch(*looks, late_ms=300, cpu_ms=1, others_ms=290, crowded_ms=280)) is Cause.LOCK
    )
    awake = look(inside, running=True, times=5)
    assert cause(stretch(awake, late_ms=300, cpu_ms=1, others_ms=290, crowded_ms=280)) is Cause.GIL


@pytest.mark.parametrize(
    "stalled",
    [
        pytest.param(
            stretch(look(wait=FUTEX, times=9), late_ms=300, cpu_ms=1, others_ms=290),
            id="the watchdog was on time again and again: the lock was free",
        ),
        pytest.param(
            stretch(look(wait=PEER, times=2), late_ms=300, cpu_ms=1, others_ms=290, gil_ms=20),
            id="a wait in the kernel while others compute",
        ),
        pytest.param(
            stretch(look(wait=FUTEX, times=3), late_ms=300, cpu_ms=1, others_ms=20, gil_ms=20),
            id="nobody computed",
        ),
    ],
)
def test_others_are_not_the_cause_of_a_wait_that_is_the_loops_own(stalled: Stretch) -> None:
    assert cause_of(stalled, THRESHOLD_NS).cause in (Cause.WAITING, Cause.LOCK)
