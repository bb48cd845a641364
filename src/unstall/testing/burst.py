"""Many requests at once, and how bystanders fared meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from unstall.errors import UsageError
from unstall.model.finding import Stall
from unstall.testing.asking import Answer, App, Asked, Asker, asked_of, asking, is_count
from unstall.testing.holders import Holders, told, told_stall

EVERY_S = 0.02
Allowed = Collection[int] | Callable[[int], bool]
"""Statuses, or what says of one whether it is allowed."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What happened."""

    answers: tuple[Answer, ...]
    took_s: float
    """From the first request to the last answer."""
    bystanders: tuple[Answer, ...]
    """Cheap requests sent meanwhile, each timed from when it was due; turns of the loop have status 200."""
    stalls: tuple[Stall, ...]
    """Of loops of this process, the longest first."""

    @property
    def codes(self) -> dict[int, int]:
        """How many answers had which status; 0 stands for none."""
        return dict(Counter(answer.status for answer in self.answers))

    @property
    def slowest_bystander_s(self) -> float:
        return max((each.took_s for each in self.bystanders), default=0.0)


def succeeded(status: int) -> bool:
    return 200 <= status < 300


async def burst(
    app: App,
    request: str | Asked,
    n: int,
    *,
    within_s: float | None = None,
    allowed: Allowed = succeeded,
    bystander: str | Asked | None = None,
    bystander_s: float = 0.25,
) -> Burst:
    """Sends `n` requests at once, and a bystander every 20 ms until the last is answered.

    `app` is an ASGI app, asked on this loop, or the base address of a server. Without a `bystander`
    request the loop itself is one: how late it comes round. Raises AssertionError, with who held what, if
    an answer is not allowed, if all took longer than `within_s`, or a bystander longer than
    `bystander_s`.
    """
    if not is_count(n):
        raise UsageError(f"n is {n!r}: give how many requests to send at once, 1 or more")
    asked = asked_of(request)
    cheap = None if bystander is None else asked_of(bystander)
    threshold_ms = max(5.0, min(1_000.0, bystander_s * 500))
    with Holders(threshold_ms) as holders:
        async with asking(app, n) as asker:
            begun = time.monotonic()
            sent = [asyncio.create_task(asker.ask(asked), name=str(asked)) for _ in range(n)]
            beside = asyncio.create_task(_beside(asker, cheap, sent, begun), name="bystanders")
            answers = await asyncio.gather(*sent)
            took = time.monotonic() - begun
            bystanders = await beside
    seen = Burst(tuple(answers), took, tuple(bystanders), holders.stalls())
    _check(seen, asked, cheap, within_s, allowed, bystander_s, holders)
    return seen


async def _beside(
    asker: Asker, cheap: Asked | None, sent: list[asyncio.Task[Answer]], due: float
) -> list[Answer]:
    """One after another is due, however long those before it take, and those that could not be sent in time
    because the loop was held are sent when it is free: they are the ones who waited."""
    asks: list[asyncio.Task[Answer]] = []
    while True:
        asks.append(asyncio.create_task(_bystander(asker, cheap, due), name="bystander"))
        due += EVERY_S
        if all(task.done() for task in sent) and due > time.monotonic():
            return list(await asyncio.gather(*asks))
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _bystander(asker: Asker, cheap: Asked | None, due: float) -> Answer:
    if cheap is not None:
        return await asker.ask(cheap, due)
    return Answer(200, time.monotonic() - due)


def _check(
    seen: Burst,
    asked: Asked,
    cheap: Asked | None,
    within_s: float | None,
    allowed: Allowed,
    bystander_s: float,
    holders: Holders,
) -> None:
    n = len(seen.answers)
    what = f"{n} x {asked}"
    ok = allowed if callable(allowed) else allowed.__contains__
    wrong = Counter(answer.told for answer in seen.answers if not ok(answer.status))
    if wrong:
        listed = ", ".join(f"{count} x {answer}" for answer, count in wrong.most_common(4))
        raise AssertionError(
            f"{what}: {wrong.total()} answers were not allowed: {listed}; {_blamed(seen, holders)}"
        )
    late = [each for each in seen.bystanders if each.took_s > bystander_s]
    if late:
        name = "the loop's next turn" if cheap is None else str(cheap)
        raise AssertionError(
            f"{what}: {len(late)} of {len(seen.bystanders)} bystanders ({name}) waited longer than "
            f"{bystander_s:g} s, the longest {seen.slowest_bystander_s:.2f} s; {_blamed(seen, holders)}"
        )
    failed = Counter(each.told for each in seen.bystanders if each.status == 0)
    if failed:
        answer, count = failed.most_common(1)[0]
        raise AssertionError(f"{what}: {count} bystanders ({cheap}) had no answer: {answer}")
    if within_s is not None and seen.took_s > within_s:
        raise AssertionError(
            f"{what}: took {seen.took_s:.2f} s together, allowed are {within_s:g} s; {_blamed(seen, holders)}"
        )


def _blamed(seen: Burst, holders: Holders) -> str:
    """The stalls of the loop; where it was free, who held a thread, a slot or a task for longest."""
    if seen.stalls:
        more = f", and {len(seen.stalls) - 1} more times" if len(seen.stalls) > 1 else ""
        return told_stall(seen.stalls[0]) + more
    ours = [hold for hold in holders.longest() if "unstall/testing" not in hold.place]
    return told(
        ours, "nothing of this process was seen to hold anything: is the server another one?"
    )
