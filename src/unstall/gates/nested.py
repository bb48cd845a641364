"""Rule US405: who holds a slot of a pool asks for another of it. As many at once as slots, and all wait."""

from __future__ import annotations

from dataclasses import dataclass

from unstall.gates.gate import Loan, Reading
from unstall.model.finding import (
    Cause,
    Confidence,
    Entry,
    Evidence,
    Finding,
    Hop,
    Remedy,
    Severity,
    Site,
)
from unstall.rules import BY_CODE

CODE = "US405"


@dataclass(frozen=True, slots=True)
class Nested:
    """What was seen at the moment of asking, before the wait."""

    pool: str
    limit: int
    used: int
    held_ns: int
    first: Loan
    second: Loan
    inherited: bool
    """A task holds the first and waits for the one that asks; else one flow holds and asks."""
    certain: bool
    """A plain thread may have handed its slot on."""
    on_loop: bool

    @property
    def full(self) -> bool:
        return self.used >= self.limit

    @property
    def key(self) -> tuple[object, ...]:
        """Of its two sites: told once while slots are free, and once more when it has to wait."""
        lines = tuple(loan.where and loan.where[:2] for loan in (self.first, self.second))
        return self.second.gate.labels, self.full, lines


def nested_of(
    first: Loan, second: Loan, reading: Reading, used: int, *, inherited: bool, on_loop: bool
) -> Nested | None:
    """None where nobody can be made to wait: no limit, or a pool that refuses at once."""
    if reading.limit is None or not reading.waits:
        return None
    return Nested(
        pool=second.gate.name,
        limit=reading.limit,
        used=used,
        held_ns=second.asked_ns - first.given_ns,
        first=first,
        second=second,
        inherited=inherited,
        certain=second.flow is not None and second.flow.of_task,
        on_loop=on_loop,
    )


def finding_of(
    nested: Nested,
    first: Site | None,
    second: Site | None,
    entry: Entry | None,
    reach: tuple[Hop, ...],
) -> Finding:
    """`first` is where the held slot was taken, `second` where another is asked for."""
    rule = BY_CODE[CODE]
    evidence = Evidence(kind="seen", count=1, because=_because(nested, first))
    return Finding(
        code=rule.code,
        title=rule.title,
        severity=rule.severity if nested.full else Severity.WARNING,
        confidence=Confidence.CERTAIN if nested.certain else Confidence.LIKELY,
        entry=entry,
        site=second,
        cause=Cause.WAITING,
        remedy=Remedy(rule.remedy),
        reach=reach,
        runs_on="loop" if nested.on_loop else "thread",
        evidence=(evidence,),
    )


def _because(nested: Nested, first: Site | None) -> str:
    holder = "the task that waits for it" if nested.inherited else "it"
    slots = f"1 of {nested.limit} slots" if nested.limit > 1 else "the only slot"
    since = f"{nested.held_ns / 1e6:.1f} ms"
    taken = "at a line that was not seen"
    if first is not None:
        taken = f"at {first.file}:{first.line} in {first.function}"
    free = nested.limit - nested.used
    left = "none is free" if nested.full else f"{free} {'was' if free == 1 else 'were'} free"
    return (
        f"{holder} has held {slots} of {nested.pool} for {since}, taken {taken}, "
        f"and asks for another while {left}"
    )
