"""Limits that learn, on a simulated server and a simulated clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.errors import UsageError
from unstall.guard.limits import AIMD, Adaptive, Gradient, Rule, Window

MS = 1_000_000


def simulated(rule: Rule, offered: int, slots: int, seconds: float, start: int = 20) -> list[int]:
    """A server with so many slots of 10 ms, under a load that always has `offered` requests ready.

    Beyond its slots requests queue inside, so each takes longer in proportion. The limit after each window.
    """
    adaptive = Adaptive(rule, start=start, least=2, most=500)
    now, seen = 0, []
    while now < seconds * 1e9:
        in_flight = min(adaptive.limit, offered)
        took = int(10 * MS * max(1.0, in_flight / slots))
        now += took
        for _ in range(in_flight):
            adaptive.ended(now, took, in_flight, False)
        seen.append(adaptive.limit)
    return seen


def test_the_gradient_finds_room_and_does_not_run_away() -> None:
    settled = simulated(Gradient(), offered=400, slots=50, seconds=60)[-50:]
    assert min(settled) >= 40  # the slots are used
    assert max(settled) <= 200  # and the queue inside stays bounded


def test_the_gradient_comes_down_when_the_server_gets_slow() -> None:
    rule = Gradient()
    adaptive = Adaptive(rule, start=50, least=2, most=500)
    now = 0
    for took in [10 * MS] * 100 + [100 * MS] * 20:
        for _ in range(20):
            now += 6 * MS
            adaptive.ended(now, took, adaptive.limit, False)
    assert adaptive.limit < 25


def test_aimd_saws_around_what_the_server_bears() -> None:
    """Beyond 60 in flight something is dropped."""
    adaptive = Adaptive(AIMD(), start=20, least=2, most=500)
    now, seen = 0, []
    for _ in range(400):
        for _ in range(20):
            now += 6 * MS
            adaptive.ended(now, 10 * MS, adaptive.limit, adaptive.limit > 60)
        seen.append(adaptive.limit)
    settled = seen[-100:]
    assert 50 <= min(settled) < max(settled) <= 62


def test_a_limit_that_nobody_uses_does_not_grow() -> None:
    for rule in (AIMD(), Gradient()):
        assert simulated(rule, offered=5, slots=50, seconds=30)[-1] == 20


def test_aimd_falls_when_requests_take_too_long() -> None:
    limit = AIMD(slow_ns=50 * MS).next(100.0, Window(10, 10 * 60 * MS, 100, False))
    assert limit == pytest.approx(90.0)


RULES: list[Callable[[], Rule]] = [AIMD, Gradient]


@given(
    st.sampled_from(RULES),
    st.lists(
        st.tuples(
            st.integers(0, 10**9), st.integers(1, 10**10), st.integers(1, 600), st.booleans()
        ),
        max_size=200,
    ),
)
def test_whatever_happens_the_limit_stays_between_least_and_most(
    rule: Callable[[], Rule], ended: list[tuple[int, int, int, bool]]
) -> None:
    adaptive = Adaptive(rule(), start=10, least=3, most=40)
    now = 0
    for later, took, in_flight, dropped in ended:
        now += later
        adaptive.ended(now, took, in_flight, dropped)
        assert 3 <= adaptive.limit <= 40


def test_a_window_waits_for_enough_requests() -> None:
    adaptive = Adaptive(AIMD(), start=10, least=1, most=20)
    for number in range(1, 12):
        adaptive.ended(number * 200 * MS, MS, 10, False)
        assert adaptive.limit == (10 if number < 10 else 11)


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="in this order"):
        Adaptive(AIMD(), start=1, least=2)
    with pytest.raises(UsageError, match="backoff is 1"):
        AIMD(backoff=1)
    with pytest.raises(UsageError, match=r"tolerance is 0\.5"):
        Gradient(tolerance=0.5)
