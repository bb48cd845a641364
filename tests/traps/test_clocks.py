"""A thread waited if nothing else explains why it was off its processor."""

from __future__ import annotations

import threading

from unstall.traps.clocks import Clocks, Moment, waited_ns

BEFORE = Moment(wall=0, cpu=0, process=0, queued=0, switches=10)


def after(**parts: int) -> Moment:
    return BEFORE._replace(**{"wall": 1_000, "cpu": 100, "process": 100, "switches": 11, **parts})


def test_off_the_processor_of_its_own_will_is_a_wait() -> None:
    assert waited_ns(BEFORE, after()) == 900


def test_a_thread_that_never_let_go_did_not_wait() -> None:
    assert waited_ns(BEFORE, after(switches=10)) == 0


def test_what_others_computed_may_have_been_a_wait_for_the_interpreter_lock() -> None:
    assert waited_ns(BEFORE, after(process=100 + 700)) == 200
    assert waited_ns(BEFORE, after(process=100 + 5_000)) == 0


def test_a_queue_for_processors_is_nobodys_fault() -> None:
    assert waited_ns(BEFORE, after(queued=900)) == 0


def test_a_real_wait_is_seen_and_a_real_computation_is_not() -> None:
    clocks = Clocks()
    try:
        before = clocks.read()
        threading.Event().wait(0.02)
        waited = clocks.read()
        sum(range(1_000))
        computed = clocks.read()
    finally:
        clocks.close()
    assert waited.switches > before.switches
    assert waited.wall - before.wall > waited.cpu - before.cpu
    assert computed.cpu > waited.cpu
