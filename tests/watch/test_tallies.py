"""Sums of measured paths: scaled, bounded, and told of while connections are open."""

from __future__ import annotations

from tests.support.measured import MS
from unstall.watch.held import Path
from unstall.watch.tallies import MOST_ROWS, OTHER, Tallies, Tally


def ended(held_ms: float, times: int = 1, kind: str = "request") -> Path:
    path = Path({}, times, lambda _: None, kind=kind)
    path.root.steps_ns = int(held_ms * MS)
    path.root.took_ns = 2 * path.root.steps_ns
    path.over = True
    return path


def test_sums_are_scaled_to_all_the_requests_that_one_stands_for() -> None:
    tallies = Tallies()
    tallies.add("GET /", ended(3, times=10))
    tallies.add("GET /", ended(5))
    (tally,) = tallies.take().values()
    assert tally.calls == tally.ended == sum(tally.held.values()) == 11
    assert tally.held_sum == (3 * 10 + 5) * MS
    assert tally.took_sum == 2 * tally.held_sum
    assert (tally.held_min, tally.held_max) == (3 * MS, 5 * MS)
    assert tallies.take() == {}


def test_rows_are_bounded_and_nothing_is_lost_from_the_sums() -> None:
    tallies = Tallies()
    for n in range(MOST_ROWS + 50):
        tallies.add(f"GET /{n}", ended(1))
    rows = tallies.take()
    assert len(rows) <= MOST_ROWS + 1
    assert rows[OTHER, "request", OTHER, 0].calls == 50
    assert sum(tally.calls for tally in rows.values()) == MOST_ROWS + 50


def test_an_open_connection_is_told_of_bit_by_bit_and_counted_once() -> None:
    tallies = Tallies()
    path = ended(0, kind="websocket")
    path.over = False
    told: list[Tally] = []
    for held in (2, 5, 9):
        path.root.steps_ns = held * MS
        tallies.grow("WEBSOCKET /", path)
        told += tallies.take().values()
    path.root.steps_ns, path.root.took_ns, path.over = 10 * MS, 40 * MS, True
    tallies.grow("WEBSOCKET /", path)
    assert tallies.take() == {}, "it is over, and its end is told by itself"
    tallies.add("WEBSOCKET /", path)
    told += tallies.take().values()
    assert [tally.held_sum for tally in told] == [2 * MS, 3 * MS, 4 * MS, 1 * MS]
    assert [tally.calls for tally in told] == [1, 0, 0, 0]
    assert [tally.ended for tally in told] == [0, 0, 0, 1]
    assert sum(tally.took_sum for tally in told) == 40 * MS
