"""The load of one phase: how it is warmed up, and how it is cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from unstall.explain.costs import entry_costs
from unstall.load import Loaded
from unstall.model.cost import EntryCost
from unstall.model.plan import Scenario, Stage
from unstall.model.recording import Recording

_WARM_RATE, _WARM_S = 5.0, 1.0


def warm_up(scenarios: Sequence[Scenario]) -> tuple[Scenario, ...]:
    """A second of each, so that no phase is judged by first imports and first connections."""
    return tuple(
        replace(each, stages=(Stage(min(_WARM_RATE, each.stages[0].rate), _WARM_S),))
        for each in scenarios
    )


def entries_under_load(recording: Recording, from_ns: int) -> tuple[EntryCost, ...]:
    """What entries cost since then: warm-up and trial were asked before any fault."""
    return entry_costs(
        [each for each in recording.held if each.from_ns >= from_ns],
        [each for each in recording.pulses if each.from_ns >= from_ns],
    )


async def until_stopped(
    load: Callable[..., Coroutine[Any, Any, Loaded]],
) -> tuple[Loaded, bool]:
    """What came of `load(stop=…)`, and whether this task was cancelled meanwhile: then it ends early.

    A second cancellation is not held back.
    """
    stop = asyncio.Event()
    task = asyncio.ensure_future(load(stop=stop))
    try:
        return await asyncio.shield(task), False
    except asyncio.CancelledError:
        stop.set()
        here_it_ends()
        return await task, True


def here_it_ends() -> None:
    """A cancellation was heard, and what follows is to be told: the task goes on."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
