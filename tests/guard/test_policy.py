"""The policy is a pure function, so its promises are properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.guard.policy import (
    SHARES,
    Crowd,
    Pressure,
    Priority,
    Room,
    Sight,
    Verdict,
    decide,
)

PRESSURES = st.builds(
    Pressure,
    st.none() | st.integers(1, 10**9),
    st.none() | st.floats(0.01, 1.0),
    st.none() | st.integers(1, 10**10),
    st.none() | st.floats(0.01, 1.0),
)
SIGHTS = st.builds(
    Sight,
    st.none() | st.integers(0, 10**9),
    st.none() | st.floats(0.0, 1.0),
    st.none() | st.integers(0, 10**10),
    st.none() | st.floats(0.0, 1.0),
)
ROOMS = st.builds(Room, st.integers(0, 50), st.none() | st.integers(1, 50))
CROWDS = st.builds(Crowd, ROOMS, ROOMS, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
RANK = list(Priority)
BETTER = {Verdict.ADMIT: 2, Verdict.QUEUE: 1, Verdict.SHED: 0}


@given(PRESSURES, SIGHTS, CROWDS, st.sampled_from(Priority))
def test_nobody_is_let_in_beyond_a_limit(
    pressure: Pressure, sight: Sight, crowd: Crowd, priority: Priority
) -> None:
    decision = decide(pressure, sight, crowd, priority)
    if decision.verdict is Verdict.ADMIT:
        for room in (crowd.all, crowd.route):
            assert room.limit is None or room.in_flight < room.limit
        assert crowd.waiting_ahead == 0
    if decision.verdict is Verdict.QUEUE:
        assert crowd.queued < crowd.queue
    assert (decision.verdict is Verdict.SHED) == bool(decision.reason)


@given(PRESSURES, SIGHTS, CROWDS)
def test_who_matters_more_never_fares_worse(pressure: Pressure, sight: Sight, crowd: Crowd) -> None:
    verdicts = [BETTER[decide(pressure, sight, crowd, each).verdict] for each in RANK]
    assert verdicts == sorted(verdicts, reverse=True)


@given(CROWDS, st.sampled_from(Priority))
def test_what_cannot_be_seen_sheds_nobody(crowd: Crowd, priority: Priority) -> None:
    every = Pressure(1, 0.01, 1, 0.01)
    blind = decide(every, Sight(), crowd, priority)
    assert blind == decide(Pressure(), Sight(), crowd, priority)


@given(PRESSURES, SIGHTS, CROWDS, st.sampled_from(Priority), st.integers(1, 10**9))
def test_more_lag_never_lets_more_in(
    pressure: Pressure, sight: Sight, crowd: Crowd, priority: Priority, more: int
) -> None:
    later = replace(sight, lag_ns=(sight.lag_ns or 0) + more)
    before = decide(pressure, sight, crowd, priority)
    after = decide(pressure, later, crowd, priority)
    assert BETTER[after.verdict] <= BETTER[before.verdict]


@pytest.mark.parametrize(
    ("pressure", "sight", "reason"),
    [
        (Pressure(lag_ns=50), Sight(lag_ns=51), "lag"),
        (Pressure(utilization=0.9), Sight(utilization=0.95), "utilization"),
        (Pressure(rss_bytes=100), Sight(rss_bytes=101), "rss"),
        (Pressure(memory=0.8), Sight(memory=0.9), "memory"),
    ],
)
def test_each_threshold_has_its_reason(pressure: Pressure, sight: Sight, reason: str) -> None:
    nobody = Crowd(Room(0, None), Room(0, None))
    assert decide(pressure, sight, nobody, Priority.NORMAL).reason == reason
    assert decide(pressure, Sight(), nobody, Priority.NORMAL).verdict is Verdict.ADMIT


def test_a_stuck_lane_refuses_even_what_is_critical() -> None:
    crowd = Crowd(Room(0, None), Room(0, None), stuck=("billing",))
    assert decide(Pressure(), Sight(), crowd, Priority.CRITICAL).reason == "lane-stuck"


def test_low_ones_leave_room_and_one_slot_is_always_somebodys() -> None:
    assert Room(7, 10).free(SHARES[Priority.LOW].slots) is False
    assert Room(7, 10).free(SHARES[Priority.NORMAL].slots) is True
    assert Room(0, 1).free(SHARES[Priority.LOW].slots) is True
