"""What is counted as a pool is used, on a pool of our own and a clock that is set by hand."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from unstall.gates.flow import FLOW
from unstall.gates.gate import Kind, Loan, Reading
from unstall.gates.registry import Registry, Turnstile


class Pool:
    limit: int | None = 2
    lent = 0


class Everywhere(dict[str, bool]):
    """All code but the gates' own is the application's."""

    def __missing__(self, file: str) -> bool:
        self[file] = "unstall/gates" not in file
        return self[file]


KIND = Kind(
    "test",
    anchor=lambda pool: pool,
    name_of=lambda pool: "shop",
    read=lambda pool: Reading(pool.limit, idle=0, used=pool.lent),
    timed_out=lambda error, got_slot: isinstance(error, TimeoutError) and not got_slot,
    refused=lambda error: isinstance(error, OverflowError),
)


class Rig:
    """A registry, its turnstile and its time."""

    def __init__(self, kind: Kind = KIND) -> None:
        self.now = 1
        self.pool = Pool()
        self.broken: list[BaseException] = []
        self.registry = Registry(Everywhere(), clock=lambda: self.now)
        self.registry.failed = lambda kind, error: self.broken.append(error)
        self.gate = Turnstile(self.registry, kind)

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


@pytest.fixture
def rig() -> Iterator[Rig]:
    FLOW.set(None)
    rig = Rig()
    yield rig
    FLOW.set(None)
    assert rig.broken == []


def test_a_wait_and_a_hold_are_measured(rig: Rig) -> None:
    pool, slot = Pool(), object()
    loan = rig.gate.ask(pool)
    rig.pass_s(0.25)
    rig.gate.given(loan, slot)
    rig.pass_s(2.0)
    rig.gate.released(slot)
    (seen,) = rig.registry.statistics()
    assert (seen.name, seen.kind, seen.limit) == ("shop", "test", 2)
    assert (seen.acquired, seen.wait_s) == (1, 0.25)
    assert (seen.returned, seen.use_s) == (1, 2.0)
    assert (seen.timeouts, seen.refused, seen.nested, seen.pending) == (0, 0, 0, 0)


def test_opening_a_connection_is_no_part_of_the_wait(rig: Rig) -> None:
    pool, slot = Pool(), object()
    loan = rig.gate.ask(pool)
    rig.pass_s(0.25)
    rig.gate.slot()
    since = rig.gate.now()
    rig.pass_s(3.0)
    rig.gate.created(None, since)
    rig.gate.given(loan, slot)
    (seen,) = rig.registry.statistics()
    assert (seen.wait_s, seen.created, seen.create_s) == (0.25, 1, 3.0)


def test_who_waits_is_pending(rig: Rig) -> None:
    pool = Pool()
    loan = rig.gate.ask(pool)
    assert rig.registry.statistics()[0].pending == 1
    rig.gate.given(loan, object())
    assert rig.registry.statistics()[0].pending == 0


def test_a_time_out_is_counted_and_its_wait_too(rig: Rig) -> None:
    loan = rig.gate.ask(rig.pool)
    rig.pass_s(5.0)
    rig.gate.refused(loan, TimeoutError(), rig.pool)
    (seen,) = rig.registry.statistics()
    assert (seen.timeouts, seen.acquired, seen.wait_s, seen.pending) == (1, 1, 5.0, 0)


def test_a_connection_that_could_not_be_opened_is_no_time_out_of_the_pool(rig: Rig) -> None:
    loan = rig.gate.ask(rig.pool)
    rig.gate.slot()
    rig.gate.refused(loan, TimeoutError(), rig.pool)
    (seen,) = rig.registry.statistics()
    assert (seen.timeouts, seen.acquired, seen.pending) == (0, 0, 0)


def test_a_pool_that_lets_nobody_wait_is_counted_apart(rig: Rig) -> None:
    rig.gate.refused(rig.gate.ask(rig.pool), OverflowError(), rig.pool)
    (seen,) = rig.registry.statistics()
    assert (seen.refused, seen.timeouts, seen.acquired) == (1, 0, 0)


def test_a_slot_that_is_taken_away_again_counts_once(rig: Rig) -> None:
    """httpcore gives a connection that another request turns out to have taken."""
    rig.gate.ask(rig.pool)
    slot = object()
    rig.pass_s(1.0)
    rig.gate.given_here(slot)
    rig.pass_s(1.0)
    rig.gate.given_here(slot)
    rig.pass_s(4.0)
    rig.gate.released(slot)
    (seen,) = rig.registry.statistics()
    assert (seen.acquired, seen.wait_s, seen.returned, seen.use_s) == (1, 2.0, 1, 4.0)


def test_a_request_that_fails_after_it_had_its_slot_returns_it(rig: Rig) -> None:
    loan, slot = rig.gate.ask(rig.pool), object()
    rig.gate.given_here(slot)
    rig.pass_s(1.0)
    rig.gate.refused(loan, ValueError(), rig.pool)
    (seen,) = rig.registry.statistics()
    assert (seen.acquired, seen.returned, seen.use_s) == (1, 1, 1.0)
    assert not rig.registry.loans


def test_asking_again_inside_the_pool_is_the_same_asking(rig: Rig) -> None:
    pool = Pool()
    loan = rig.gate.ask(pool)
    assert rig.gate.ask(pool) is False
    rig.gate.given(False, object())
    rig.gate.given(loan, object())
    assert rig.registry.statistics()[0].acquired == 1


def test_a_slot_returned_twice_is_held_once(rig: Rig) -> None:
    slot = object()
    rig.gate.given(rig.gate.ask(rig.pool), slot)
    rig.gate.released(slot)
    rig.gate.released(slot)
    assert rig.registry.statistics()[0].returned == 1


def test_a_slot_that_was_lost_does_not_haunt_its_flow(rig: Rig) -> None:
    pool, slot, seen = Pool(), object(), list[object]()
    rig.registry.on_nested = seen.append
    rig.gate.given(rig.gate.ask(pool), slot)
    rig.gate.given(rig.gate.ask(Pool()), slot)  # the number of a dead object is given out again
    rig.gate.released(slot)
    rig.gate.ask(pool)
    assert seen == []


def test_a_pool_that_is_gone_has_no_gate(rig: Rig) -> None:
    pool: Pool | None = Pool()
    rig.gate.refused(rig.gate.ask(pool), ValueError(), pool)
    assert len(rig.registry.gates()) == 1
    pool = None
    gc.collect()
    assert rig.registry.gates() == []


def test_a_name_stays_with_the_pool_that_takes_its_place(rig: Rig) -> None:
    old, new = Pool(), Pool()
    rig.registry.name(old, KIND, "orders")
    rig.registry.follow(old, new, KIND)
    gate = rig.registry.known(new)
    assert gate is not None
    assert gate.name == "orders"


def test_a_pool_named_before_it_lives_has_its_name_when_it_does() -> None:
    alive: list[Pool] = []
    late = Kind(
        "late", lambda pool: pool if alive else None, lambda pool: "?", KIND.read, KIND.timed_out
    )
    rig, pool = Rig(late), Pool()
    rig.registry.name(pool, late, "orders")
    assert rig.gate.ask(pool) is False
    alive.append(pool)
    loan = rig.gate.ask(pool)
    assert isinstance(loan, Loan)
    assert loan.gate.name == "orders"


def test_two_pools_of_one_name_are_one_series(rig: Rig) -> None:
    pools = Pool(), Pool()
    for pool in pools:
        rig.gate.given(rig.gate.ask(pool), object())
    families = {m.family().name: m.family() for m in rig.registry.families.all}
    (most,) = families["db_client_connection_max"].samples
    assert (most.labels, most.value) == (("shop", "test"), 4.0)
    (wait,) = families["db_client_connection_wait_time_seconds"].samples
    assert sum(wait.buckets) == 2


def test_a_pool_without_limit_has_no_greatest_size(rig: Rig) -> None:
    pool = Pool()
    pool.limit = None
    rig.gate.given(rig.gate.ask(pool), object())
    families = {m.family().name: m.family() for m in rig.registry.families.all}
    assert families["db_client_connection_max"].samples == ()
    assert rig.registry.statistics()[0].limit is None


def test_a_pool_that_cannot_be_read_harms_nobody() -> None:
    def broken(pool: Any) -> Reading:
        raise RuntimeError("changed under us")

    rig = Rig(Kind("test", lambda pool: pool, lambda pool: "shop", broken, KIND.timed_out))
    pool = Pool()
    rig.gate.given(rig.gate.ask(pool), object())
    (seen,) = rig.registry.statistics()
    assert (seen.limit, seen.acquired) == (None, 1)
    assert rig.broken == []


def test_a_broken_adapter_is_told_and_does_not_raise() -> None:
    def broken(pool: Any) -> str:
        raise RuntimeError("no name")

    rig = Rig(Kind("test", lambda pool: pool, broken, KIND.read, KIND.timed_out))
    assert rig.gate.ask(Pool()) is False
    assert [str(error) for error in rig.broken] == ["no name"]


def test_many_threads_lose_nothing(rig: Rig) -> None:
    pool = Pool()

    def use() -> None:
        for _ in range(500):
            slot = object()
            rig.gate.given(rig.gate.ask(pool), slot)
            rig.gate.released(slot)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (seen,) = rig.registry.statistics()
    assert (seen.acquired, seen.returned, seen.pending) == (2_000, 2_000, 0)
    assert not rig.registry.loans


# --- at a high rate -------------------------------------------------------------------------


def used(rig: Rig, times: int, pause_s: float) -> int:
    """How many of so many slots were looked at closely, each held for 1 ms."""
    seen = 0
    for _ in range(times):
        slot = object()
        loan = rig.gate.ask(rig.pool)
        seen += isinstance(loan, Loan)
        rig.gate.given(loan, slot)
        rig.pass_s(pause_s)
        rig.gate.released(slot)
    return seen


def test_every_slot_is_looked_at_while_there_are_few(rig: Rig) -> None:
    assert used(rig, 300, pause_s=0.01) == 300


def test_of_many_slots_some_are_looked_at_and_stand_for_the_others(rig: Rig) -> None:
    assert 150 < used(rig, 20_000, pause_s=0.0001) < 2_000  # 2 s at 10,000 a second
    (seen,) = rig.registry.statistics()
    assert seen.acquired == pytest.approx(20_000, rel=0.05)
    assert seen.use_s == pytest.approx(20_000 * 0.0001, rel=0.05)


def test_of_very_many_fewer_are_looked_at_than_of_many(rig: Rig) -> None:
    used(rig, 20_000, pause_s=0.0001)
    assert 60 < used(rig, 20_000, pause_s=0.0001) < 150, "50 a second"
    rig.registry.thinning.renew()
    used(rig, 3_000, pause_s=0.001)
    assert 300 < used(rig, 2_000, pause_s=0.001) < 500, "200 a second"


def used_in_bursts(rig: Rig, bursts: int, of: int, every_s: float) -> int:
    seen = 0
    for _ in range(bursts):
        seen += used(rig, of, pause_s=0.00005)
        rig.pass_s(every_s - of * 0.00005)
    return seen


def test_a_burst_is_no_rush(rig: Rig) -> None:
    """What is asked for in a burst comes at 20,000 a second."""
    assert used_in_bursts(rig, 200, of=10, every_s=0.1) == 2_000, "all of 100 a second"
    rig.registry.thinning.renew()
    used_in_bursts(rig, 150, of=20, every_s=0.02)
    assert 300 < used_in_bursts(rig, 100, of=20, every_s=0.02) < 500, "200 of 1,000 a second"


def test_after_a_rush_the_first_slots_are_looked_at_soon(rig: Rig) -> None:
    used(rig, 20_000, pause_s=0.0001)
    assert used(rig, 50, pause_s=0.05) > 20


def test_errors_are_counted_even_of_askings_that_went_by(rig: Rig) -> None:
    used(rig, 20_000, pause_s=0.0001)
    seen = set()
    for _ in range(1_000):
        loan = rig.gate.ask(rig.pool)
        seen.add(loan is True)
        rig.gate.refused(loan, TimeoutError(), rig.pool)
    assert seen == {True, False}
    assert rig.registry.statistics()[0].timeouts == 1_000


def test_a_second_slot_is_never_overlooked_once_the_first_was_seen(rig: Rig) -> None:
    told: list[object] = []
    rig.registry.on_nested = told.append
    used(rig, 20_000, pause_s=0.0001)
    while not isinstance(loan := rig.gate.ask(rig.pool), Loan):
        rig.gate.given(loan, object())
    rig.gate.given(loan, object())
    assert isinstance(rig.gate.ask(rig.pool), Loan)
    assert len(told) == 1
