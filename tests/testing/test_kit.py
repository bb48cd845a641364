"""The kit that other tests stand on."""

from __future__ import annotations

import pytest

from unstall.clock import Clock
from unstall.model.place import Owner
from unstall.testing import ManualClock, frame, library, ns_of, request, stretch


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(start_ns=5, epoch_s=100.0)
    assert (clock.monotonic_ns(), clock.wall_s()) == (5, 100.0)
    clock.advance(ms=1_500)
    clock.advance(ns=7)
    assert clock.monotonic_ns() == 1_500_000_012
    assert clock.wall_s() == pytest.approx(101.500000007)


def test_a_manual_clock_is_a_clock_and_does_not_go_back() -> None:
    clock: Clock = ManualClock()
    assert clock.monotonic_ns() == 0
    with pytest.raises(ValueError, match="cannot go back by 1000000 ns"):
        ManualClock().advance(ms=-1)


def test_a_frame_lies_where_its_module_says() -> None:
    assert (frame("shop.orders:create").file, frame().owner) == ("shop/orders.py", Owner.APP)
    assert library("requests.api:get").file.endswith("site-packages/requests/api.py")


def test_a_stretch_is_as_late_as_it_says() -> None:
    assert stretch(late_ms=250).late_ns == ns_of(250)


def test_a_request_is_written_as_its_route() -> None:
    assert (request("GET /a").method, request("GET /a").route) == ("GET", "/a")
