"""What each kind does to bytes, on paper: pieces in, pieces out, no clock."""

from __future__ import annotations

import pytest

from unstall.chaos.dice import Dice
from unstall.chaos.kinds import KINDS, spec_of
from unstall.chaos.pieces import Effect, Hit, Mark, Piece, Stream, cut, delayed
from unstall.model.plan import Fault

DOWN, UP = Stream.DOWNSTREAM, Stream.UPSTREAM


def hit(kind: str, **attributes: float) -> Hit:
    spec = spec_of(Fault("X", kind, attributes=attributes))
    return Hit(
        Effect(
            spec.attributes, Dice(1, kind), spec.stream, spec.kind.delays, spec.kind.cuts,
            spec.kind.from_start,
        )
    )  # fmt: skip


def went(
    pieces: list[Piece], *met: Hit, stream: Stream = DOWN
) -> list[tuple[float, bytes | Mark | None]]:
    """When what goes on, in ms."""
    out = []
    for piece in pieces:
        piece.met = met
        for kept in cut(piece, stream):
            out += delayed(kept, stream)
    return [(round(each.at * 1000, 6), each.mark or each.data) for each in out]


def said(*texts: bytes, at: float = 0.0, number: int = 1) -> list[Piece]:
    """The segments of one answer, a millisecond apart."""
    return [Piece(at + n / 1000, text, first=n == 0, number=number) for n, text in enumerate(texts)]


def end(at: float = 0.0) -> Piece:
    return Piece(at, mark=Mark.END)


def test_without_a_toxic_everything_goes_on_at_once() -> None:
    assert went([*said(b"a", b"b"), end(0.002)]) == [(0, b"a"), (1, b"b"), (2, Mark.END)]


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.cuts or kind.delays])
def test_no_kind_touches_the_other_direction(name: str) -> None:
    needed = {each.name: 1.0 for each in KINDS[name].attributes}
    other = UP if KINDS[name].stream is DOWN else DOWN
    assert went([*said(b"abc"), end()], hit(name, **needed), stream=other) == [
        (0, b"abc"), (0, Mark.END),
    ]  # fmt: skip


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.cuts or kind.delays])
def test_no_kind_acts_when_it_is_gone(name: str) -> None:
    gone = hit(name, **{each.name: 1.0 for each in KINDS[name].attributes})
    gone.effect.live = False
    stream = KINDS[name].stream
    assert went([*said(b"abc"), end()], gone, stream=stream) == [(0, b"abc"), (0, Mark.END)]


def test_latency_delays_every_segment_by_as_much() -> None:
    assert went([*said(b"a", b"b"), end(0.002)], hit("latency", latency=100)) == [
        (100, b"a"), (101, b"b"), (102, Mark.END),
    ]  # fmt: skip


def test_jitter_of_a_latency_is_around_it_and_the_same_for_one_exchange() -> None:
    slow = hit("latency", latency=100, jitter=20)
    delays = {
        n: [at for at, _ in went([Piece(0.0, b"a", number=n), Piece(0.0, b"b", number=n)], slow)]
        for n in range(50)
    }
    assert all(80 <= first <= 120 and first == second for first, second in delays.values())
    assert len({first for first, _ in delays.values()}) == 50


def test_chance_begins_anew_with_a_toxic() -> None:
    early, late = hit("jitter", jitter=40), hit("jitter", jitter=40)
    late.effect.base = 1_000
    for n in range(20):
        assert went([Piece(0.0, b"a", number=n)], early) == went(
            [Piece(0.0, b"a", number=1_000 + n)], late
        )


def test_latency_less_than_its_jitter_is_never_before_its_time() -> None:
    slow = hit("latency", latency=1, jitter=100)
    assert all(went([Piece(0.0, b"a", number=n)], slow)[0][0] >= 0 for n in range(50))


def test_jitter_alone_is_from_nothing_to_all_of_it() -> None:
    slow = hit("jitter", jitter=40)
    delays = [went([Piece(0.0, b"a", number=n)], slow)[0][0] for n in range(200)]
    assert 0 <= min(delays) < 4
    assert 36 < max(delays) <= 40


def test_hang_delays_the_beginning_of_an_answer_and_order_does_the_rest() -> None:
    assert went(said(b"a", b"b"), hit("hang", seconds=15)) == [(15_000, b"a"), (1, b"b")]


def test_bandwidth_is_a_line_that_is_busy_until_it_is_free() -> None:
    slow = hit("bandwidth", rate=1)
    assert went([*said(b"x" * 250), Piece(0.1, b"y" * 50)], slow) == [
        (100, b"x" * 100), (200, b"x" * 100), (250, b"x" * 50), (300, b"y" * 50),
    ]  # fmt: skip
    assert went([Piece(10.0, b"z" * 10)], slow) == [(10_010, b"z" * 10)]


def test_a_bandwidth_of_0_is_no_limit() -> None:
    assert went(said(b"x" * 10_000), hit("bandwidth", rate=0)) == [(0, b"x" * 10_000)]


def test_slicer_sends_small_segments_one_after_the_other() -> None:
    assert went(said(b"abcdefg"), hit("slicer", average_size=3, delay=500)) == [
        (0, b"abc"), (0.5, b"def"), (1, b"g"),
    ]  # fmt: skip


def test_slices_vary_and_lose_nothing() -> None:
    data = bytes(range(256)) * 4
    slices = [
        part for _, part in went(said(data), hit("slicer", average_size=20, size_variation=10))
    ]
    assert b"".join(part for part in slices if isinstance(part, bytes)) == data
    lengths = {len(part) for part in slices[:-1] if isinstance(part, bytes)}
    assert len(lengths) > 5
    assert all(10 <= length <= 30 for length in lengths)


def test_slow_close_delays_the_end_alone() -> None:
    assert went([*said(b"a"), end()], hit("slow_close", delay=200)) == [
        (0, b"a"), (200, Mark.END),
    ]  # fmt: skip


def test_limit_data_closes_when_its_bytes_are_through() -> None:
    assert went(said(b"abcd", b"efgh", b"ijkl", b"m"), hit("limit_data", bytes=10)) == [
        (0, b"abcd"), (1, b"efgh"), (2, b"ij"), (2, Mark.CLOSE),
    ]  # fmt: skip
    assert went(said(b"abcd"), hit("limit_data", bytes=5)) == [(0, b"abcd")]


def test_timeout_takes_everything_and_closes_once() -> None:
    assert went(said(b"a", b"b"), hit("timeout", timeout=250)) == [(250, Mark.CLOSE)]
    assert went(said(b"a", b"b"), hit("timeout", timeout=0)) == []


def test_reset_peer_resets_instead_of_the_first_bytes_or_of_the_end() -> None:
    assert went(said(b"a", b"b"), hit("reset_peer")) == [(0, Mark.RESET)]
    assert went(said(b"a"), hit("reset_peer", timeout=30)) == [(30, Mark.RESET)]
    assert went([end()], hit("reset_peer")) == [(0, Mark.RESET)]


def test_blackhole_takes_questions_and_lets_the_end_through() -> None:
    assert went([*said(b"a", b"b"), end()], hit("blackhole"), stream=UP) == [(0, Mark.END)]


@pytest.mark.parametrize(
    ("answer", "fraction", "kept"),
    [(b"abcdef", 0.5, b"abc"), (b"abcdef", 1.0, b"abcde"), (b"a", 0.5, b""), (b"abc", 0.0, b"")],
)
def test_truncate_keeps_a_part_of_the_first_segment(
    answer: bytes, fraction: float, kept: bytes
) -> None:
    whole = went(said(answer, b"more"), hit("truncate", fraction=fraction))
    assert whole == [*([(0, kept)] if kept else []), (0, Mark.CLOSE)]


def test_several_toxics_add_up_whatever_their_order() -> None:
    for met in (
        (hit("latency", latency=100), hit("limit_data", bytes=3)),
        (hit("limit_data", bytes=3), hit("latency", latency=100)),
    ):
        assert went(said(b"abcdef"), *met) == [(100, b"abc"), (100, Mark.CLOSE)]
