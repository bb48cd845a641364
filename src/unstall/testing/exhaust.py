"""More work than slots: only controlled errors, and every slot comes back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from unstall.errors import UsageError
from unstall.testing.asking import Answer, Asked, asked_of, asking, is_count
from unstall.testing.burst import Allowed, succeeded
from unstall.testing.holders import Holders, told
from unstall.testing.slots import Slots, holding, slots_of

PATIENCE_S = 30.0
POLL_S = 0.01
_REFUSALS = (429, 503, 504)


@dataclass(frozen=True, slots=True)
class Exhausted:
    """What happened."""

    asked: int
    served: int
    refused: int
    took_s: float


def controlled(status: int) -> bool:
    """An answer, or a refusal that tells a client to come back."""
    return succeeded(status) or status in _REFUSALS


async def exhaust(
    thing: Any,
    request: str | Asked | None = None,
    *,
    n: int | None = None,
    hold_s: float = 0.05,
    url: str | None = None,
    allowed: Allowed = controlled,
    free: Sequence[Any] = (),
    within_s: float = PATIENCE_S,
    grace_s: float = 5.0,
) -> Exhausted:
    """Asks for more slots at once than there are, and looks whether all come back.

    `thing` is a pool, a lane, a limiter or a client (then give `url`, what to ask for): each of `n`
    callers, twice the slots unless said otherwise, holds one for `hold_s`. With a `request`, `thing` is
    an ASGI app or a base address, `n` requests are sent to it, and `free` are the pools that the route
    uses. Raises AssertionError, with who holds what, for an error that is not a controlled refusal, for a
    caller that waits longer than `within_s`, and for a slot that is not back `grace_s` after the last
    caller.
    """
    if n is not None and not is_count(n):
        raise UsageError(f"n is {n!r}: give how many ask at once, 1 or more, or nothing")
    if request is not None:
        return await _route(thing, asked_of(request), n, allowed, free, within_s, grace_s)
    slots = slots_of(thing)
    callers = n or 2 * (slots.limit + slots.queue)
    before = slots.used()
    with Holders() as holders, holding(thing, callers, url) as hold:
        begun = time.monotonic()
        tasks = [asyncio.ensure_future(hold(hold_s)) for _ in range(callers)]
        waiting = await _ended(tasks, within_s)
        took = time.monotonic() - begun
        if waiting:
            who = told(holders.now(), "nobody was seen to hold one")
            for task in tasks:
                task.cancel()
            raise AssertionError(
                f"{slots.name}: {waiting} of {callers} callers still wait after {within_s:g} s; {who}"
            )
        errors = [task.exception() for task in tasks]
        _only_controlled(slots, errors)
        await _all_back([(slots, before)], holders, grace_s)
        await _can_be_taken(slots, hold)
    refused = sum(error is not None for error in errors)
    return Exhausted(callers, callers - refused, refused, took)


async def _route(
    app: Any,
    asked: Asked,
    n: int | None,
    allowed: Allowed,
    free: Sequence[Any],
    within_s: float,
    grace_s: float,
) -> Exhausted:
    pools = [slots_of(thing) for thing in free]
    if n is None and not pools:
        raise UsageError(
            "give n, how many requests to send, or in free the pools that the route uses"
        )
    callers = n or 2 * max(slots.limit + slots.queue for slots in pools)
    before = [(slots, slots.used()) for slots in pools]
    ok = allowed if callable(allowed) else allowed.__contains__
    with Holders() as holders:
        async with asking(app, callers) as asker:
            begun = time.monotonic()
            tasks = [asyncio.create_task(asker.ask(asked), name=str(asked)) for _ in range(callers)]
            waiting = await _ended(tasks, within_s)
            took = time.monotonic() - begun
            if waiting:
                who = told(holders.now(), "nobody was seen to hold anything")
                for task in tasks:
                    task.cancel()
                raise AssertionError(
                    f"{asked}: {waiting} of {callers} requests still wait after {within_s:g} s; {who}"
                )
            answers: list[Answer] = [task.result() for task in tasks]
        wrong = Counter(answer.told for answer in answers if not ok(answer.status))
        if wrong:
            listed = ", ".join(f"{count} x {answer}" for answer, count in wrong.most_common(4))
            raise AssertionError(
                f"{asked}: {wrong.total()} of {callers} answers are no controlled refusal: {listed}; "
                f"longest held: {told(holders.longest(), 'nothing that was seen')}"
            )
        await _all_back(before, holders, grace_s)
    served = sum(succeeded(answer.status) for answer in answers)
    return Exhausted(callers, served, callers - served, took)


async def _ended(tasks: Sequence[asyncio.Future[Any]], within_s: float) -> int:
    """How many have not, after so long."""
    _, pending = await asyncio.wait(tasks, timeout=within_s)
    return len(pending)


def _only_controlled(slots: Slots, errors: Sequence[BaseException | None]) -> None:
    wrong = [error for error in errors if error is not None and not slots.controlled(error)]
    if wrong:
        first = wrong[0]
        raise AssertionError(
            f"{slots.name}: {len(wrong)} of {len(errors)} callers got an error that does not say it is full: "
            f"{type(first).__name__}: {first}"
        ) from first


async def _all_back(before: Sequence[tuple[Slots, int]], holders: Holders, grace_s: float) -> None:
    lost: list[str] = []

    def back() -> bool:
        found = [(slots, slots.used() - used) for slots, used in before]
        lost[:] = [
            f"{more} of {slots.limit} slots of {slots.name}" for slots, more in found if more > 0
        ]
        return not lost

    if not await eventually(back, grace_s):
        raise AssertionError(
            f"{', '.join(lost)} did not come back within {grace_s:g} s; "
            f"{told(holders.now(), 'nobody is seen to hold one: a connection was never given back')}"
        )


async def _can_be_taken(slots: Slots, hold: Callable[[float], Any]) -> None:
    """The proof: every slot is taken again."""
    again = await asyncio.gather(*(hold(0.0) for _ in range(slots.limit)), return_exceptions=True)
    failed = [error for error in again if isinstance(error, BaseException)]
    if failed:
        raise AssertionError(
            f"{slots.name}: afterwards only {slots.limit - len(failed)} of {slots.limit} slots could "
            "be taken: "
            f"{type(failed[0]).__name__}: {failed[0]}"
        ) from failed[0]


async def eventually(true: Callable[[], bool], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(POLL_S)
    return True
