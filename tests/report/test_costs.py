"""What is written of entries, paths and pools."""

from __future__ import annotations

from unstall.model.anatomy import Piece, SlowRequest
from unstall.model.cost import EntryCost, PieceCost, ThreadCost
from unstall.model.histogram import Histogram
from unstall.report.costs import entries_table, path_line, path_table, thread_lines

MS = 1_000_000


def entry(name: str, *held_ms: float, share: float | None = 0.5, **more: object) -> EntryCost:
    held = Histogram.of(int(ms * MS) for ms in held_ms)
    return EntryCost(name, len(held_ms), held, 2 * held.sum_ns, 2 * held.max_ns, share, **more)  # type: ignore[arg-type]


def words(line: str) -> str:
    return " ".join(line.split())


def test_the_table_of_entries_says_what_each_may_reach() -> None:
    lines = entries_table([entry("GET /a", *[20] * 9, 100), entry("GET /b", 2_000, share=None)])
    assert [words(line) for line in lines] == [
        "entries by held time calls p50 p99 max of the loop at most/s",
        "GET /a 10 20 ms 100 ms 100 ms 50.0% 36",
        "GET /b 1 2.00 s 2.00 s 2.00 s 0.5",
    ]
    assert len({len(line) for line in lines[1:]}) == 1, "columns are aligned"


def test_the_table_is_bounded_and_says_so() -> None:
    lines = entries_table([entry(f"GET /{n}", 1) for n in range(14)])
    assert len(lines) == 12
    assert lines[-1] == "  and 4 more"


def test_without_a_call_there_is_no_table() -> None:
    assert entries_table([]) == []
    assert entries_table([entry("GET /a")]) == []


def test_an_entry_whose_connections_are_all_open_has_a_share_and_no_quantiles() -> None:
    cost = EntryCost("WEBSOCKET /ws", 2, Histogram(sum_ns=100 * MS), 1, 1, 0.25)
    assert words(entries_table([cost])[1]) == "WEBSOCKET /ws 2 25.0% 20"


def test_a_path_is_a_row_for_each_step_with_means_of_a_call() -> None:
    pieces = (
        PieceCost("request", "", 0, 2, 100 * MS, 20 * MS, 2 * MS),
        PieceCost("endpoint", "app:work", 1, 2, 90 * MS, 10 * MS, 10 * MS, 20 * MS, 40 * MS, 2),
        PieceCost("section", "normalise", 2, 0, 0, 0, 0),
    )
    lines = path_table(entry("GET /a", 10, 10, pieces=pieces))
    assert [words(line) for line in lines] == [
        "path of GET /a where waited held queued in thread hops",
        "request loop 40 ms 10 ms",
        "endpoint work thread 10 ms 5.0 ms 10 ms 20 ms 1",
    ]
    assert lines[2].startswith("    endpoint"), "a step stands below the one around it"


def test_a_path_of_one_step_says_nothing_new() -> None:
    assert path_table(entry("GET /a", 1, pieces=(PieceCost("request", "", 0, 1, 2, 1, 1),))) == []


# --- threads --------------------------------------------------------------------------------


def pool(full: int, tokens: int = 2) -> ThreadCost:
    return ThreadCost(
        "anyio default", tokens, 6, Histogram.of(ms * MS for ms in (0, 0, 300, 300, 610, 610)),
        Histogram.of([300 * MS] * 6), full, 4, ("app:report",),
    )  # fmt: skip


def test_a_full_pool_is_a_sentence() -> None:
    assert thread_lines([pool(4)]) == [
        "anyio default (2 threads): 6 calls of 300 ms as a rule; 4 found every thread taken, and the "
        "longest wait for one was 610 ms; kept by app:report"
    ]
    assert thread_lines([pool(4, tokens=0)])[0].startswith("anyio default: 6 calls")


def test_nothing_is_said_where_nobody_queued() -> None:
    assert thread_lines([pool(0)]) == []


# --- a slow request -------------------------------------------------------------------------


def piece(
    kind: str, name: str, depth: int, took_ms: float, held_ms: float | None = 0, **more: int
) -> Piece:
    held = None if held_ms is None else int(held_ms * MS)
    return Piece(kind, name, depth, 0, int(took_ms * MS), held, **more)


def slow(*pieces: Piece, took_ms: int = 1_000, **more: object) -> SlowRequest:
    request = piece("request", "", 0, took_ms, 20)
    return SlowRequest("1-a", "GET /a", 0, took_ms * MS, 20 * MS, pieces=(request, *pieces), **more)  # type: ignore[arg-type]


def test_a_slow_request_is_one_line_with_what_took_its_time() -> None:
    line = path_line(
        slow(
            piece("middleware", "app:Timing", 1, 999),
            piece("app", "", 2, 990),
            piece("dependencies", "", 3, 300, 10),
            piece("dependency", "app:user", 4, 290, 8),
            piece("dependency", "app:flag", 4, 9, 1),
            piece("endpoint", "app:show", 3, 660, 10),
            piece("thread", "app:query", 4, 500, 0, queued_ns=200 * MS, worked_ns=300 * MS, hops=1),
            piece("serialization", "", 3, 9.9, 9.9),
            request_id="abc",
        )
    )
    assert line == (
        "slow GET /a 1.00 s, held the loop 20 ms, request abc: middleware Timing > app 990 ms > "
        "dependency user 290 ms (waited 282 ms, held 8.0 ms) > "
        "endpoint show 660 ms (waited 650 ms, held 10 ms) > "
        "thread query 500 ms (queued 200 ms, in a thread 300 ms)"
    )


def test_what_only_leads_to_a_piece_shows_no_numbers() -> None:
    inside = piece("section", "query", 2, 950, None)
    wraps = path_line(slow(piece("endpoint", "app:show", 1, 1_000), inside))
    assert wraps.endswith(": endpoint show > section query 950 ms")
    shares = path_line(slow(piece("endpoint", "app:show", 1, 1_000, 200), inside, inside))
    assert ": endpoint show > " in shares
    halves = path_line(slow(piece("endpoint", "app:show", 1, 2_000, 5), inside, inside))
    assert ": endpoint show 2.00 s (waited 2.00 s, held 5.0 ms) > " in halves


def test_a_piece_beside_another_is_not_taken_for_its_inside() -> None:
    line = path_line(
        slow(
            piece("endpoint", "app:show", 1, 500),
            piece("background", "app:mail", 1, 500),
            piece("section", "smtp", 2, 490),
        )
    )
    assert line.endswith(": endpoint show 500 ms > background mail > section smtp 490 ms")


def test_a_request_without_pieces_and_one_with_too_many() -> None:
    assert path_line(slow()) == "slow GET /a 1.00 s, held the loop 20 ms"
    assert path_line(slow(cut=7)).endswith(": and 7 more")


def test_what_a_stranger_sent_does_not_steer_the_terminal() -> None:
    assert "\x1b" not in path_line(slow(request_id="\x1b[2Jabc"))
    assert "\x1b" not in path_line(slow(piece("section", "\x1b[2J", 1, 500)))
