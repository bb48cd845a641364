"""One stretch, explained: its cause, its site, its entry, its request, its victims."""

from __future__ import annotations

from collections.abc import Sequence

from unstall.explain.blame import entry_of, is_native, reach_of, site_of, step_of
from unstall.explain.cause import MOSTLY, Diagnosis, cause_of
from unstall.explain.steps import IDLE, main_looks, most_seen, steps_of, weight_of
from unstall.model.finding import Cause, Site, Stall
from unstall.model.observation import Look, Stretch
from unstall.model.place import Stack


def stall_of(stretch: Stretch, threshold_ns: int) -> Stall:
    """Pure; for a stretch that lasts, what can be said so far."""
    diagnosis = cause_of(stretch, threshold_ns)
    look = _look_to_blame(stretch, diagnosis) if diagnosis.blames_loop else None
    stack = step_of(look.stack) if look else Stack(())
    request = look.request if look else None
    culprits = 1 if request is not None and not request.ended else 0
    return Stall(
        process=stretch.process,
        loop=stretch.loop,
        from_ns=stretch.due_ns,
        until_ns=stretch.until_ns,
        cause=diagnosis.cause,
        because=diagnosis.because,
        steps=steps_of(stretch),
        site=site_of(stack),
        entry=entry_of(stack, request, look.task if look else None),
        reach=reach_of(stack),
        request=request,
        native=is_native(stack),
        syscall=diagnosis.wait.syscall if diagnosis.wait else None,
        peer=diagnosis.wait.peer if diagnosis.wait else None,
        holder=None if diagnosis.blames_loop else stretch.doubts.holder,
        waiting_in_flight=max(0, stretch.in_flight - culprits),
        let_in=stretch.let_in,
        served_before=stretch.served_before,
        ongoing=stretch.ongoing,
    )


def _look_to_blame(stretch: Stretch, diagnosis: Diagnosis) -> Look | None:
    """The look that stands for the step: of the function seen most, the line seen most."""
    if diagnosis.cause is Cause.SATURATED:
        return _look_of_most_steps(stretch)
    looks = main_looks(stretch)
    if diagnosis.wait is not None:
        looks = tuple(look for look in looks if look.wait == diagnosis.wait)
    return most_seen(max(_by_function(looks), key=weight_of, default=[]))


def _look_of_most_steps(stretch: Stretch) -> Look | None:
    """Among many small steps one function is named only if most of the looks were at it."""
    looks = tuple(look for look in stretch.looks if look.step != IDLE)
    dearest = max(_by_function(looks), key=weight_of, default=[])
    return most_seen(dearest) if weight_of(dearest) > MOSTLY * weight_of(looks) else None


def _by_function(looks: Sequence[Look]) -> list[list[Look]]:
    groups: dict[tuple[str, str], list[Look]] = {}
    for look in looks:
        site = site_of(step_of(look.stack)) or Site("", 0, "", "")
        groups.setdefault((site.file, site.function), []).append(look)
    return list(groups.values())
