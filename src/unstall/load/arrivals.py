"""When requests are meant to leave: offsets from the start of a run, in ns, ascending."""

from __future__ import annotations

import math
from random import Random

from unstall.clock import NS_PER_S
from unstall.errors import UsageError


def constant(rate: float, seconds: float) -> tuple[int, ...]:
    """One send every `1 / rate` seconds from offset 0 on, all of them before `seconds`.

    `rate` is per second; 0 is an empty schedule. Raises `UsageError` for what is negative or endless.
    """
    end = _checked(rate, seconds)
    count = math.ceil(rate * seconds)
    offsets = (round(index * NS_PER_S / rate) for index in range(count))
    return tuple(offset for offset in offsets if offset < end)


def poisson(rate: float, seconds: float, seed: int) -> tuple[int, ...]:
    """Independent arrivals at a mean of `rate` per second, as from many people who do not wait.

    The same seed gives the same schedule on every machine. Raises `UsageError` as `constant` does.
    """
    end = _checked(rate, seconds)
    if not rate:
        return ()
    random = Random(seed)
    offsets: list[int] = []
    at = random.expovariate(rate)
    while (offset := round(at * NS_PER_S)) < end:
        offsets.append(offset)
        at += random.expovariate(rate)
    return tuple(offsets)


def _checked(rate: float, seconds: float) -> int:
    """The end of the schedule in ns."""
    for name, value in (("rate", rate), ("seconds", seconds)):
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"the {name} of a load must be a number from 0 up, not {value}")
    return round(seconds * NS_PER_S)
