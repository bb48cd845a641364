"""What is seen of who asks a pool for a second slot."""

from __future__ import annotations

import asyncio

import pytest

from tests.gates.test_nesting import Seer
from tests.gates.test_registry import Pool
from unstall.integrations.sighting import Sighting, sighting_of
from unstall.watch.stacks import MAX_FRAMES


def seen_below(depth: int) -> Sighting:
    """Asked by a function that has called itself so many times."""
    rig, pool, seen = Seer(), Pool(), list[Sighting]()
    rig.registry.on_nested = lambda nested: seen.append(sighting_of(nested))

    def deeper(left: int) -> None:
        if left:
            deeper(left - 1)
        else:
            rig.gate.ask(pool)

    async def request() -> None:
        with rig.slot_of(pool):
            deeper(depth)

    asyncio.run(request())
    assert rig.broken == []
    (sighting,) = seen
    return sighting


@pytest.mark.parametrize("depth", [0, 60])
def test_a_step_is_seen_from_the_asking_out_to_where_the_loop_runs_it(depth: int) -> None:
    glimpse = seen_below(depth).glimpse
    names = [line.code.co_name for line in glimpse.lines]
    assert names.count("deeper") == depth + 1
    assert names[-1] == "request"
    assert glimpse.cut == 0


def test_of_a_step_that_is_too_deep_it_is_said_how_much_was_cut() -> None:
    shallow, deep = seen_below(0).glimpse, seen_below(200).glimpse
    assert len(deep.lines) == MAX_FRAMES
    assert deep.cut == len(shallow.lines) + 200 - MAX_FRAMES
