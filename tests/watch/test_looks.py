"""Which looks outlive a stretch that had too many."""

from __future__ import annotations

from unstall.explain.steps import steps_of
from unstall.model.observation import Look
from unstall.testing import frame, look, ns_of, stack, stretch
from unstall.watch.looks import keep

ROOM = 6


def at(ms: float, line: int, step: int = 1) -> Look:
    return look(stack(frame(line=line)), from_ms=ms, step=step, running=True)


def kept(*seen: Look) -> tuple[tuple[Look, ...], int]:
    """What is kept of them, and how many were lost."""
    looks: list[Look] = []
    lost = sum(not keep(looks, each, ROOM) for each in seen)
    assert len(looks) <= ROOM
    return tuple(looks), lost


def test_equal_looks_in_a_row_are_one() -> None:
    (only,), lost = kept(at(70, line=1), at(80, line=1), at(90, line=1))
    assert (only.first_ns, only.last_ns, only.times, lost) == (ns_of(70), ns_of(90), 3, 0)


def test_what_finds_room_is_kept_as_it_came() -> None:
    seen = [at(70 + n, line=n) for n in range(ROOM)]
    assert kept(*seen) == (tuple(seen), 0)


def test_a_step_that_looks_different_each_time_is_seen_to_its_end() -> None:
    looks, lost = kept(*(at(70 + 10 * n, line=n) for n in range(50)))
    assert looks[0].first_ns == ns_of(70)
    assert looks[-1].last_ns == ns_of(70 + 490)
    assert lost == 50 - ROOM


def test_the_wait_behind_much_computing_in_a_step_keeps_its_length() -> None:
    """The room is full when the wait begins, and it lasts far longer than all before it."""
    computing = [at(70 + 10 * n, line=n) for n in range(20)]
    waits = [look(from_ms=300 + 20 * n, wait="poll") for n in range(100)]
    looks, _ = kept(*computing, *waits)
    longest = max(looks, key=lambda each: each.last_ns - each.first_ns)
    assert longest.wait is not None
    assert longest.times == 100
    assert longest.last_ns == ns_of(300 + 20 * 99)


def test_steps_that_follow_take_the_room_of_what_one_looked_like_in_between() -> None:
    busy = [at(70 + 10 * n, line=n) for n in range(ROOM)]
    looks, lost = kept(*busy, at(200, line=1, step=2), at(210, line=2, step=3))
    assert [each.step for each in looks] == [1, 1, 1, 1, 2, 3]
    assert looks[0] == busy[0]
    assert busy[-1] in looks
    assert lost == 2


def test_a_long_step_behind_small_ones_is_not_lost() -> None:
    small = [at(70 + 20 * n, line=1, step=n) for n in range(1, ROOM - 1)]
    long = [at(300 + 20 * n, line=n, step=99) for n in range(60)]
    looks, lost = kept(*small, *long)
    (*_, last) = steps_of(stretch(*looks, late_ms=2_000))
    assert lost > 0
    assert last.from_ns == ns_of(300)
    assert looks[-1].last_ns == ns_of(300 + 20 * 59)


def test_where_every_look_is_of_another_step_the_first_ones_stay() -> None:
    seen = [at(70 + 20 * n, line=1, step=n + 1) for n in range(ROOM + 3)]
    assert kept(*seen) == (tuple(seen[:ROOM]), 3)
