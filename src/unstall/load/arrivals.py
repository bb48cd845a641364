"""When requests are meant to leave: offsets from the start of a run, in ns, ascending."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from unstall.clock import NS_PER_S
from unstall.errors import UsageError
from unstall.model.plan import Arrivals, Stage


@dataclass(frozen=True, slots=True)
class Schedule:
    """Stage after stage; worked out while it is walked, so an hour of it takes no memory.

    The same seed gives the same schedule on every machine.
    """

    stages: tuple[Stage, ...]
    arrivals: Arrivals = Arrivals.CONSTANT
    seed: int | str = 0

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    def __iter__(self) -> Iterator[int]:
        random = Random(self.seed)
        begin = 0.0
        for stage in self.stages:
            if self.arrivals is Arrivals.POISSON:
                yield from _poisson(stage, begin, random)
            else:
                yield from _constant(stage, begin)
            begin += stage.seconds


def stepped(
    stages: Sequence[Stage], arrivals: Arrivals = Arrivals.CONSTANT, seed: int | str = 0
) -> Schedule:
    """Raises `UsageError` for a rate or a duration that is negative or endless."""
    for stage in stages:
        for name, value in (("rate", stage.rate), ("seconds", stage.seconds)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"the {name} of a load must be a number from 0 up, not {value}")
    return Schedule(tuple(stages), arrivals, seed)


def constant(rate: float, seconds: float) -> tuple[int, ...]:
    """One send every `1 / rate` seconds from offset 0 on, all of them before `seconds`.

    `rate` is per second; 0 is an empty schedule. Raises `UsageError` as `stepped` does.
    """
    return tuple(stepped((Stage(rate, seconds),)))


def poisson(rate: float, seconds: float, seed: int) -> tuple[int, ...]:
    """Independent arrivals at a mean of `rate` per second, as from many people who do not wait.

    Raises `UsageError` as `stepped` does.
    """
    return tuple(stepped((Stage(rate, seconds),), Arrivals.POISSON, seed))


def _constant(stage: Stage, begin: float) -> Iterator[int]:
    first, end = round(begin * NS_PER_S), round(stage.seconds * NS_PER_S)
    for index in range(math.ceil(stage.rate * stage.seconds)):
        offset = round(index * NS_PER_S / stage.rate)
        if offset < end:
            yield first + offset


def _poisson(stage: Stage, begin: float, random: Random) -> Iterator[int]:
    """Each stage anew: what is exponential has no memory."""
    if not stage.rate:
        return
    end = round((begin + stage.seconds) * NS_PER_S)
    at = begin + random.expovariate(stage.rate)
    while (offset := round(at * NS_PER_S)) < end:
        yield offset
        at += random.expovariate(stage.rate)
