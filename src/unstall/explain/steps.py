"""From looks to steps: how long the loop was seen in each, and which one held it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from unstall.model.finding import Step
from unstall.model.observation import Look, Stretch

IDLE = 0
"""`Look.step` of a loop that waits for events."""
_START = ("threading", "Thread.start")


def steps_of(stretch: Stretch) -> tuple[Step, ...]:
    """The steps seen, in order; a step lasts until the next one was seen, the last to the end.

    Where looks were dropped, others may have followed the last one: it lasts until it was last seen.
    """
    groups = [
        (step, list(looks))
        for step, looks in groupby(stretch.looks, key=lambda look: look.step)
        if step != IDLE
    ]
    if not groups:
        return ()
    last_ns = groups[-1][1][-1].last_ns if stretch.dropped_looks else stretch.until_ns
    ends = [looks[0].first_ns for _, looks in groups[1:]] + [last_ns]
    # Before the first look nobody saw, but a late first step began when the heartbeat was kept from
    # running, unless others were seen in between.
    begins = [stretch.due_ns, *ends[:-1]]
    return tuple(
        Step(begin, end, sum(look.times for look in looks), looks[0].task)
        for (_, looks), begin, end in zip(groups, begins, ends, strict=True)
    )


def main_looks(stretch: Stretch) -> tuple[Look, ...]:
    """The looks at the step that was seen longest."""
    times: dict[int, int] = {}
    for look in stretch.looks:
        if look.step != IDLE:
            times[look.step] = times.get(look.step, 0) + _weight(look)
    if not times:
        return ()
    longest = max(times, key=lambda step: times[step])
    return tuple(look for look in stretch.looks if look.step == longest)


def starts_a_thread(look: Look) -> bool:
    """Whether it waits for a thread that it started to begin: that takes a processor, and nobody's lock.

    Pools of threads end there, too, asyncio's and anyio's included.
    """
    for frame in reversed(look.stack.frames):
        if frame.module != _START[0]:
            return False
        if frame.function == _START[1]:
            return True
    return False


def most_seen(looks: Sequence[Look]) -> Look | None:
    """The look that stands for a step: the one seen for the longest time."""
    return max(looks, key=_weight, default=None)


def weight_of(looks: Sequence[Look]) -> int:
    return sum(_weight(look) for look in looks)


def _weight(look: Look) -> int:
    return look.last_ns - look.first_ns + look.times
