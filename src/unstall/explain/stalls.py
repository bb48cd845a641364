"""One stretch, explained: its cause, its site, its entry, its request, its victims."""

from __future__ import annotations

from unstall.explain.blame import entry_of, reach_of, site_of, step_of
from unstall.explain.cause import Diagnosis, cause_of
from unstall.explain.steps import main_looks, most_seen, steps_of, weight_of
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
        syscall=diagnosis.wait.syscall if diagnosis.wait else None,
        peer=diagnosis.wait.peer if diagnosis.wait else None,
        holder=stretch.doubts.holder if diagnosis.cause is Cause.GIL else None,
        waiting_in_flight=max(0, stretch.in_flight - culprits),
        let_in=stretch.let_in,
        served_before=stretch.served_before,
        ongoing=stretch.ongoing,
    )


def _look_to_blame(stretch: Stretch, diagnosis: Diagnosis) -> Look | None:
    """The look that stands for the step: of the function seen most, the line seen most."""
    looks = main_looks(stretch)
    if diagnosis.wait is not None:
        looks = tuple(look for look in looks if look.wait == diagnosis.wait)
    by_function: dict[tuple[str, str], list[Look]] = {}
    for look in looks:
        site = site_of(step_of(look.stack)) or Site("", 0, "", "")
        by_function.setdefault((site.file, site.function), []).append(look)
    return most_seen(max(by_function.values(), key=weight_of, default=[]))
