"""Sums of paths and threads merge without loss."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from unstall.model.anatomy import (
    Held,
    Piece,
    SlowRequest,
    Threads,
    merged_held,
    merged_threads,
    slowest,
)
from unstall.model.codec import dump, load
from unstall.model.histogram import Histogram

HELD = Held(
    "1-a", 100, 200, "GET /", "request", "", 0, calls=2, took_ns=50, held=Histogram.of([10, 20]),
    own_ns=25, took_max_ns=30, queued_ns=4, queued_max_ns=3, worked_ns=5, hops=2,
)  # fmt: skip
THREADS = Threads(
    "1-a", 100, 200, "anyio default", 40, "app:work", 3, Histogram.of([1, 2, 3]),
    Histogram.of([10, 20, 30]), full=1, waiting_max=2,
)  # fmt: skip


def test_a_piece_waits_when_it_is_neither_on_the_loop_nor_in_a_thread_nor_in_a_queue() -> None:
    piece = Piece("endpoint", "app:work", 1, 0, 100, 30, 10, queued_ns=20, worked_ns=15)
    assert piece.waited_ns == 35
    assert replace(piece, took_ns=40).waited_ns == 0, "never less than nothing"
    assert replace(piece, held_ns=None).waited_ns == 65
    assert replace(piece, away_ns=12).waited_ns == 23, "what is inside it was in a thread"


def test_rows_of_one_piece_become_one() -> None:
    later = replace(
        HELD, from_ns=200, until_ns=300, calls=1, took_ns=90, held=Histogram.of([70]), own_ns=1,
        took_max_ns=90, queued_ns=9, queued_max_ns=9, worked_ns=1, hops=1, away_ns=2, began_ns=8,
    )  # fmt: skip
    (row,) = merged_held([HELD, later])
    assert (row.from_ns, row.until_ns, row.calls, row.took_ns) == (100, 300, 3, 140)
    assert row.held == Histogram.of([10, 20, 70])
    assert (row.own_ns, row.took_max_ns, row.queued_ns, row.queued_max_ns) == (26, 90, 13, 9)
    assert (row.worked_ns, row.hops, row.away_ns, row.began_ns) == (6, 3, 2, 8)


def test_rows_that_differ_in_anything_but_numbers_stay_apart() -> None:
    others = [
        replace(HELD, process="2-b"),
        replace(HELD, entry="GET /b"),
        replace(HELD, piece="endpoint"),
        replace(HELD, name="app:work"),
        replace(HELD, depth=1),
    ]
    assert merged_held([HELD, *others]) == [HELD, *others]
    apart = [
        replace(THREADS, process="2-b"),
        replace(THREADS, pool="billing"),
        replace(THREADS, function="app:other"),
    ]
    assert merged_threads([THREADS, *apart]) == [THREADS, *apart]


def test_time_of_connections_that_are_still_open_is_not_lost_when_rows_merge() -> None:
    still_open = replace(HELD, calls=1, held=Histogram(sum_ns=7))
    for rows in ([HELD, still_open], [still_open, HELD], [still_open, still_open, HELD]):
        (row,) = merged_held(rows)
        assert row.held.sum_ns == sum(each.held.sum_ns for each in rows)
        assert row.held.count == 2
        assert row.calls == sum(each.calls for each in rows)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(1, 19))
def test_merging_in_any_split_gives_the_same(durations: list[int], at: int) -> None:
    rows = [
        replace(HELD, calls=1, took_ns=ns, took_max_ns=ns, held=Histogram.of([ns]))
        for ns in durations
    ]
    halves = merged_held([*merged_held(rows[:at]), *merged_held(rows[at:])])
    assert halves == merged_held(rows)


def test_pools_are_merged_by_function() -> None:
    (row,) = merged_threads([THREADS, replace(THREADS, until_ns=400, full=4, waiting_max=1)])
    assert (row.calls, row.full, row.waiting_max, row.until_ns) == (6, 5, 2, 400)
    assert row.queued.count == row.worked.count == 6


def test_the_slowest_are_kept_in_the_order_in_which_they_ended() -> None:
    requests = [SlowRequest("1-a", f"GET /{n}", n, took, 0) for n, took in enumerate((5, 9, 1, 7))]
    assert [request.took_ns for request in slowest(requests, 2)] == [9, 7]
    assert slowest(requests, 9) == requests


def test_all_of_it_survives_a_file() -> None:
    piece = Piece("section", "part", 1, 5, 10, None, 0)
    slow = SlowRequest("1-a", "GET /", 100, 50, 20, "abc", (piece,), 3)
    for value in (HELD, THREADS, slow):
        assert load(type(value), dump(value)) == value
