"""Which of several open traps is told."""

from __future__ import annotations

import threading

from unstall.traps.openings import Opening, Openings

HERE = threading.current_thread().name


def opened_elsewhere(openings: Openings[str], trap: str) -> Opening[str]:
    """By a thread of the name of the trap, which ends at once."""
    made: list[Opening[str]] = []
    thread = threading.Thread(target=lambda: made.append(openings.open(trap)), name=trap)
    thread.start()
    thread.join()
    made[0].ident = -made[0].ident  # the next thread may be given the same number
    return made[0]


def test_of_nested_ones_the_newest_until_it_is_closed() -> None:
    openings: Openings[str] = Openings()
    assert not openings
    outer, inner = openings.open("outer"), openings.open("inner")
    during = inner.from_ns + 1
    assert openings.told_by(outer.ident) == openings.told_by(1) == ("inner",)
    openings.close("inner")
    assert openings.told_by(outer.ident) == openings.told_by(1) == ("outer",)
    assert inner.until_ns is not None
    for thread in (HERE, "a thread of a pool"):
        assert openings.is_told(inner, thread, during)
        assert not openings.is_told(outer, thread, during)
        assert openings.is_told(outer, thread, inner.until_ns + 1)
        assert not openings.is_told(inner, thread, inner.until_ns + 1)
    openings.close("outer")
    assert openings.is_told(inner, HERE, during), "a stretch may be told of late"
    assert not openings
    assert openings.told_by(1) == ()


def test_what_was_before_is_nobodys() -> None:
    openings: Openings[str] = Openings()
    opening = openings.open("trap")
    assert not openings.is_told(opening, HERE, opening.from_ns - 1)


def test_a_thread_with_a_trap_of_its_own_tells_no_other() -> None:
    openings: Openings[str] = Openings()
    mine = openings.open("mine")
    theirs = opened_elsewhere(openings, "theirs")
    at = theirs.from_ns + 1
    assert openings.told_by(mine.ident) == ("mine",)
    assert set(openings.told_by(1)) == {"mine", "theirs"}
    assert openings.is_told(mine, HERE, at)
    assert not openings.is_told(mine, "theirs", at)
    assert openings.is_told(theirs, "theirs", at)
    assert not openings.is_told(theirs, HERE, at)
    assert openings.is_told(mine, "a third", at)
    assert openings.is_told(theirs, "a third", at)


def test_what_is_closed_is_forgotten_once_nobody_was_open_with_it() -> None:
    openings: Openings[str] = Openings()
    for number in range(5):
        trap = str(number)
        opening = openings.open(trap)
        openings.close(trap)
        assert opening.until_ns is not None
        opening.until_ns -= 10_000_000  # as if some time had passed until the next
    assert len(openings._all) <= 2
