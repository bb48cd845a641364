"""From measured paths to what entries and pools cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unstall.explain.costs import entry_costs, slow_by_themselves, thread_costs
from unstall.model.anatomy import Held, SlowRequest, Threads
from unstall.model.histogram import Histogram
from unstall.model.observation import Pulse
from unstall.testing import stall

MS = 1_000_000


def row(
    entry: str, *held_ms: int, kind: str = "request", depth: int = 0, process: str = "1-a"
) -> Held:
    held = Histogram.of(ms * MS for ms in held_ms)
    return Held(
        process, 0, 1_000 * MS, entry, kind, "", depth, len(held_ms), 2 * held.sum_ns, held,
        took_max_ns=2 * held.max_ns,
    )  # fmt: skip


def pulse(until_ms: int, process: str = "1-a") -> Pulse:
    return Pulse(process, 1, 0, until_ms * MS, Histogram(), 0)


def test_entries_are_ranked_by_what_they_held_the_loop_in_all() -> None:
    """Death by many small steps: the cheap one that is called often comes first."""
    often = row("GET /often", *[3] * 100)
    dear = row("GET /dear", 200)
    costs = entry_costs([dear, often], [pulse(1_000)])
    assert [cost.entry for cost in costs] == ["GET /often", "GET /dear"]
    assert [cost.share for cost in costs] == [pytest.approx(0.3), pytest.approx(0.2)]
    assert [cost.most_per_s for cost in costs] == [pytest.approx(333.33, abs=0.01), 5]


def test_processes_are_added_up_and_so_is_the_time_they_were_watched() -> None:
    rows = [row("GET /", 10, process="1-a"), row("GET /", 30, process="2-b")]
    (cost,) = entry_costs(rows, [pulse(100), pulse(100, "2-b")])
    assert (cost.calls, cost.held.count, cost.held.max_ns) == (2, 2, 30 * MS)
    assert cost.share == pytest.approx(0.2)
    assert cost.most_per_s == 50


def test_only_the_request_itself_counts_as_a_call_and_pieces_keep_their_order() -> None:
    rows = [
        row("GET /", 10, 10),
        row("GET /", 8, 8, kind="endpoint", depth=1),
        row("GET /", 1, 1, kind="section", depth=2),
    ]
    (cost,) = entry_costs(rows, [])
    assert cost.calls == 2
    assert cost.held.sum_ns == 20 * MS
    assert cost.took_max_ns == 20 * MS
    assert [piece.kind for piece in cost.pieces] == ["request", "endpoint", "section"]
    assert cost.pieces[1].waited_ns == 16 * MS


def test_a_piece_that_few_requests_have_stands_where_it_began() -> None:
    late = [
        replace(row("GET /", 9, 9), began_ns=0),
        replace(row("GET /", 5, 5, kind="endpoint", depth=1), began_ns=2 * 3 * MS),
        replace(row("GET /", 1, 1, kind="serialization", depth=1), began_ns=2 * 8 * MS),
        replace(row("GET /", 1, kind="section", depth=2), began_ns=4 * MS),
    ]
    (cost,) = entry_costs(late, [])
    assert [piece.kind for piece in cost.pieces] == [
        "request", "endpoint", "section", "serialization",
    ]  # fmt: skip


def test_what_is_not_known_is_not_made_up() -> None:
    (cost,) = entry_costs([row("GET /", 0)], [])
    assert (cost.share, cost.most_per_s) == (None, None)
    assert entry_costs([], [pulse(100)]) == ()


def test_an_open_websocket_counts_with_what_it_held_so_far() -> None:
    opened = replace(
        row("WEBSOCKET /ws", kind="websocket"), calls=2, held=Histogram(sum_ns=40 * MS)
    )
    (cost,) = entry_costs([opened], [pulse(100)])
    assert (cost.calls, cost.held.count) == (2, 0)
    assert cost.share == pytest.approx(0.4)
    assert cost.most_per_s == 50


def test_a_slow_request_is_not_told_again_if_it_waited_for_a_stall() -> None:
    frozen = replace(stall(held_ms=600), process="1-a", from_ns=0, until_ns=600 * MS)
    victim = SlowRequest("1-a", "GET /victim", 1_000 * MS, 1_000 * MS, 0)
    itself = SlowRequest("1-a", "GET /itself", 3_000 * MS, 2_900 * MS, 0)
    elsewhere = replace(victim, process="2-b")
    told = slow_by_themselves([victim, itself, elsewhere], [frozen])
    assert told == (itself, elsewhere)
    assert slow_by_themselves([victim], []) == (victim,)


def threads(
    pool: str, function: str, *queued_ms: int, worked_ms: int = 1, process: str = "1-a"
) -> Threads:
    queued = Histogram.of(ms * MS for ms in queued_ms)
    return Threads(
        process, 0, 1, pool, 2, function, len(queued_ms), queued,
        Histogram.of(worked_ms * MS for _ in queued_ms), sum(ms > 0 for ms in queued_ms), 3,
    )  # fmt: skip


def test_pools_are_ranked_by_how_long_they_were_waited_for() -> None:
    rows = [
        threads("calm", "app:calm", 0, 0),
        threads("full", "app:short", 0, 5),
        threads("full", "app:long", 50, worked_ms=90),
        threads("full", "app:short", 5, process="2-b"),
    ]
    full, calm = thread_costs(rows)
    assert (full.pool, calm.pool) == ("full", "calm")
    assert (full.calls, full.full, full.tokens, full.waiting_max) == (4, 3, 2, 3)
    assert full.queued.max_ns == 50 * MS
    assert full.worked.sum_ns == 93 * MS
    assert full.functions == ("app:long", "app:short"), "the one that kept threads longest first"
    assert calm.full == 0


def test_of_many_functions_the_worst_three_are_named() -> None:
    rows = [threads("full", f"app:f{n}", 1, worked_ms=n) for n in range(1, 6)]
    (cost,) = thread_costs(rows)
    assert cost.functions == ("app:f5", "app:f4", "app:f3")
