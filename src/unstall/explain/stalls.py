"""One stretch, explained: its cause, its site, its entry, its request, its victims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from unstall.explain.blame import entry_of, inside_of, is_native, reach_of, site_of, step_of
from unstall.explain.cause import MOSTLY, Diagnosis, cause_of, seconds
from unstall.explain.paused import without_pauses
from unstall.explain.steps import (
    IDLE,
    main_looks,
    most_seen,
    starts_a_thread,
    steps_of,
    weight_of,
)
from unstall.model.finding import Cause, Site, Stall
from unstall.model.observation import Look, Stretch
from unstall.model.place import Stack


def stall_of(stretch: Stretch, threshold_ns: int) -> Stall:
    """Pure; for a stretch that lasts, what can be said so far."""
    return judged(stretch, threshold_ns)[0]


def judged(stretch: Stretch, threshold_ns: int) -> tuple[Stall, Look | None]:
    """The stall, and the look at the step that is to blame; none if no step is.

    Its cause is `paused`, and it is no stall, if without a debugger's prompt it would not have been one.
    """
    running = without_pauses(stretch)
    if running is not stretch and running.late_ns < threshold_ns:
        return _paused(stretch), None
    stretch = running
    diagnosis = cause_of(stretch, threshold_ns)
    look, site = _blame(_looks_to_blame(stretch, diagnosis))
    if site is not None and diagnosis.cause is Cause.SATURATED:
        site = replace(site, call="")  # of many steps none is the one that calls
    stack = step_of(look.stack) if look else Stack(())
    request = look.request if look else None
    stall = Stall(
        process=stretch.process,
        loop=stretch.loop,
        from_ns=stretch.due_ns,
        until_ns=stretch.until_ns,
        cause=diagnosis.cause,
        because=diagnosis.because,
        steps=steps_of(stretch),
        site=site,
        entry=entry_of(stack, request, look.task if look else None),
        reach=reach_of(stack),
        inside=inside_of(stack) if site is not None and site.call else (),
        request=request,
        native=is_native(stack),
        syscall=diagnosis.wait.syscall if diagnosis.wait else None,
        peer=diagnosis.wait.peer if diagnosis.wait else None,
        holder=None if diagnosis.blames_loop else stretch.doubts.holder,
        waiting_in_flight=stretch.in_flight,
        at_door=max(stretch.at_door or 0, stretch.let_in),
        at_least=stretch.in_flight_cut,
        served_before=stretch.served_before,
        settled=stretch.settled,
        ongoing=stretch.ongoing,
    )
    return stall, look


def _paused(stretch: Stretch) -> Stall:
    return Stall(
        process=stretch.process,
        loop=stretch.loop,
        from_ns=stretch.due_ns,
        until_ns=stretch.until_ns,
        cause=Cause.PAUSED,
        because=f"the loop stood at a debugger's prompt for {seconds(stretch.late_ns)}",
        served_before=stretch.served_before,
        settled=stretch.settled,
        ongoing=stretch.ongoing,
    )


def _looks_to_blame(stretch: Stretch, diagnosis: Diagnosis) -> list[Look]:
    """The looks at the function that was seen most; none if no step, or no single function, did it."""
    if not diagnosis.blames_loop:
        return []
    if diagnosis.cause is Cause.SATURATED:
        looks = tuple(look for look in stretch.looks if look.step != IDLE)
        dearest = _most(looks, _function)
        return dearest if weight_of(dearest) > MOSTLY * weight_of(looks) else []
    looks = main_looks(stretch)
    if diagnosis.wait is not None:
        looks = tuple(
            look for look in looks if look.wait == diagnosis.wait and not starts_a_thread(look)
        )
    return _most(looks, _function)


def _blame(looks: Sequence[Look]) -> tuple[Look | None, Site | None]:
    """The look that stands for the others, and its site.

    A call is named only if most looks were at it: code that computes calls many things in passing.
    """
    steady = _most(looks, _call)
    if weight_of(steady) > MOSTLY * weight_of(looks):
        look = most_seen(steady)
        return look, _site(look) if look else None
    look = most_seen(looks)
    site = _site(look) if look else None
    return look, replace(site, call="") if site else None


def _most(looks: Sequence[Look], key: Callable[[Look], str]) -> list[Look]:
    """Of the looks, those that agree in `key` and were seen longest together."""
    groups: dict[str, list[Look]] = {}
    for look in looks:
        groups.setdefault(key(look), []).append(look)
    return max(groups.values(), key=weight_of, default=[])


def _site(look: Look) -> Site | None:
    return site_of(step_of(look.stack))


def _function(look: Look) -> str:
    site = _site(look)
    return f"{site.file}:{site.function}" if site else ""


def _call(look: Look) -> str:
    site = _site(look)
    return site.call if site else ""
