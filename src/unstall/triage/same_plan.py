"""Whether two runs did the same, so that their figures may be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from unstall.errors import UsageError
from unstall.model.plan import Fault, Plan, Scenario
from unstall.model.proof import Run
from unstall.triage.secrets import without_secrets

_MACHINE = ("processors", "python", "system")
"""What of a machine makes it another one; its load is never the same twice."""


def check_same(before: Plan, plan: Plan) -> None:
    """Raises UsageError for a baseline of another plan, so that no run is wasted on it."""
    if different := differences(before, plan):
        raise UsageError(
            f"the plan is not that of the baseline: {'; '.join(different)}; run this plan for a new one"
        )


def differences(before: Plan, after: Plan) -> tuple[str, ...]:
    """What the runs were asked to do differently, in clauses; how the app is started may differ."""
    before, after = (
        without_secrets(before),
        without_secrets(after),
    )  # a token is another one each time
    told = [
        *_different("scenario", _named(before.scenarios), _named(after.scenarios)),
        *_different("fault", _titled(before.faults), _titled(after.faults)),
    ]
    for name in ("witness", "in_flight"):
        told += _changed(name, getattr(before, name), getattr(after, name))
    return tuple(told)


def _named(scenarios: Sequence[Scenario]) -> dict[str, Scenario]:
    return {each.name: each for each in scenarios}


def _titled(faults: Sequence[Fault]) -> dict[str, Fault]:
    return {each.title: each for each in faults}


def _different(
    word: str, before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield f"{word} {name!r} is only in the run before"
        elif name not in before:
            yield f"{word} {name!r} is only in the run after"
        else:
            yield from _changed(f"{word} {name!r}", before[name], after[name])


def _changed(name: str, before: object, after: object) -> Iterator[str]:
    """Field by field where there are fields."""
    if before == after:
        return
    try:
        names = [each.name for each in fields(before)]  # type: ignore[arg-type]
    except TypeError:
        yield f"{name} was {before} and is {after}"
        return
    for each in names:
        old, new = getattr(before, each), getattr(after, each)
        if old != new:
            yield f"{each} of {name} was {_short(old)} and is {_short(new)}"


def _short(value: object) -> str:
    text = str(value) if isinstance(value, int | float) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def cautions(before: Run, after: Run) -> tuple[str, ...]:
    """What else than the service may be behind a change, each as a sentence."""
    told = [
        f"{key} was {before.machine[key]} before and is {after.machine[key]} now: "
        "another machine is faster or slower by itself"
        for key in _MACHINE
        if key in before.machine
        and key in after.machine
        and before.machine[key] != after.machine[key]
    ]
    if before.tool != after.tool:
        told.append(f"the run before was made by {before.tool}, this one by {after.tool}")
    told += [
        f"the run {when} was interrupted: what it did not reach is not compared"
        for when, run in (("before", before), ("after", after))
        if run.interrupted
    ]
    return tuple(told)
