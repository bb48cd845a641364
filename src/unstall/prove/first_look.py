"""A plan for an app that has none: uvicorn serves it, its own OpenAPI document says what to ask."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from unstall.chaos.kinds import KINDS
from unstall.errors import MissingExtra, NotEnoughData, UsageError
from unstall.model.plan import AppPlan, Fault, Plan, WitnessPlan
from unstall.model.proof import Unexercised
from unstall.prove.app import started
from unstall.prove.derive import Terms, derive
from unstall.prove.ground import check_reachable, folder_of, ground_of

NOBODYS_PATH = "/unstall-witness"
"""Answered by the framework itself, most often with 404: no upstream is behind it."""
_WITNESS_RATE = 20.0
DEFAULT_FAULT = "hang:3"
DEFAULT_PROBABILITY = 0.5
"""Requests spread over all routes: with less, a route of some dozens may never meet the fault."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for in place of a plan."""

    app: str
    """`package.module:app`"""
    upstreams: tuple[str, ...] = ()
    faults: tuple[str, ...] = (DEFAULT_FAULT,)
    """`KIND` or `KIND:NUMBER`, each for each upstream."""
    probability: float = DEFAULT_PROBABILITY
    seconds: float = 10.0
    rate: float = 50.0
    seed: int = 0
    witness: str = NOBODYS_PATH
    folder: str = "."
    patience: float = 30.0


@dataclass(frozen=True, slots=True)
class FirstLook:
    plan: Plan
    unexercised: tuple[Unexercised, ...] = ()
    notes: tuple[str, ...] = ()


def skeleton(wanted: Wanted) -> Plan:
    """The plan before anybody knows what to ask. Raises UsageError for a fault that is none."""
    python = shlex.quote(sys.executable)
    quiet = "--no-access-log --log-level error"
    command = f"{python} -m uvicorn {shlex.quote(wanted.app)} --port {{port}} {quiet}"
    return Plan(
        name=wanted.app,
        app=AppPlan(
            command=command, ready=wanted.witness, folder=wanted.folder, patience=wanted.patience
        ),
        witness=WitnessPlan(path=wanted.witness, rate=_WITNESS_RATE),
        faults=_named(
            [
                (text, fault_of(text, upstream, wanted.probability))
                for upstream in wanted.upstreams
                for text in wanted.faults
            ]
        ),
        seed=wanted.seed,
    )


def fault_of(text: str, upstream: str, probability: float) -> Fault:
    """From `hang:3`: the number is the kind's first attribute. Raises UsageError."""
    name, colon, number = text.partition(":")
    kind = KINDS.get(name)
    attributes: dict[str, float] = {}
    if colon:
        try:
            value = float(number)
        except ValueError:
            raise UsageError(
                f"--fault is {text!r}, and {number!r} is no number: write it as in {DEFAULT_FAULT}"
            ) from None
        if kind is not None and not kind.attributes:
            raise UsageError(f"--fault is {text!r}, and {name} goes by no number: leave it out")
        if kind is not None:
            attributes = {kind.attributes[0].name: value}
    certain = 1.0 if name == "down" else probability
    return Fault(
        upstream=upstream,
        kind=name,
        seconds=attributes.pop("seconds", None),
        attributes=attributes,
        probability=certain,
    )


def _named(faults: Sequence[tuple[str, Fault]]) -> tuple[Fault, ...]:
    """Two of a kind are told apart by their number."""
    titles = [fault.title for _, fault in faults]
    return tuple(
        replace(fault, name=f"{text} {fault.upstream}") if titles.count(fault.title) > 1 else fault
        for text, fault in faults
    )


async def look(
    plan: Plan,
    wanted: Wanted,
    environ: Mapping[str, str],
    terms: Terms | None = None,
    openapi: object = None,
    routes: Sequence[str] = (),
) -> FirstLook:
    """Boots the healthy app once and asks it what it can be asked.

    Raises TargetError if it does not get ready or has no document, NotEnoughData if nothing can be asked,
    MissingExtra without what serves it.
    """
    if find_spec("uvicorn") is None:
        raise MissingExtra("uvicorn", "prove")
    ground = ground_of(plan, environ)
    await check_reachable(ground)
    with tempfile.TemporaryDirectory(prefix="unstall-look-", ignore_cleanup_errors=True) as kept:
        async with started(
            plan.app,
            ground.env,
            folder=folder_of(plan),
            record=Path(kept) / "look.jsonl",
            hear=_nobody,
        ) as app:
            derived = await derive(
                app.url,
                openapi,
                terms=terms,
                rate=wanted.rate,
                seconds=wanted.seconds,
                routes=routes,
            )
    if not derived.scenarios:
        why = "; ".join(f"{each.route}: {each.why}" for each in derived.unexercised[:3])
        raise NotEnoughData(
            f"no route of {wanted.app} could be asked without a plan ({why or 'it shows none'}): write one"
        )
    return FirstLook(replace(plan, scenarios=derived.scenarios), derived.unexercised, derived.notes)


def _nobody(line: str) -> None:
    """What is said before the run begins is kept for a failure."""
