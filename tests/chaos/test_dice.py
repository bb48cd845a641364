"""Chance that is the same whenever it is asked."""

from __future__ import annotations

import subprocess
import sys

from unstall.chaos.dice import Dice


def test_the_same_seed_and_number_give_the_same_chance_in_any_order() -> None:
    one, other = Dice(7, "BILLING_URL", "hang"), Dice(7, "BILLING_URL", "hang")
    forwards = [one.at(n) for n in range(100)]
    backwards = [other.at(n) for n in reversed(range(100))]
    assert forwards == backwards[::-1]


def test_another_seed_or_name_gives_another_chance() -> None:
    dice = Dice(7, "a"), Dice(8, "a"), Dice(7, "b"), Dice(7, "a", "b")
    assert len({each.at(1) for each in dice}) == len(dice)


def test_another_process_throws_the_same() -> None:
    code = "from unstall.chaos.dice import Dice; print(Dice(7, 'x').at(3), Dice(7, 'x').at(-3))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [repr(Dice(7, "x").at(3)), repr(Dice(7, "x").at(-3))]


def test_chance_is_spread_evenly() -> None:
    dice = Dice(1, "even")
    drawn = [dice.at(n) for n in range(20_000)]
    assert all(0 <= each < 1 for each in drawn)
    for low in range(10):
        share = sum(low <= each * 10 < low + 1 for each in drawn)
        assert 1_800 < share < 2_200  # 2,000 and more than 4 standard deviations
