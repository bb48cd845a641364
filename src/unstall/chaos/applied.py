"""What a proxy counts, and a toxic that is at work on it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, fields

from unstall.chaos.dice import Dice
from unstall.chaos.kinds import Spec
from unstall.chaos.pieces import Effect
from unstall.model.plan import Per


@dataclass(slots=True)
class Counts:
    """Running totals of a proxy; they number what the dice are thrown for."""

    connections: int = 0
    exchanges: int = 0
    requests: int = 0
    unreachable: int = 0
    thrown: int = 0
    hit: int = 0

    def of(self, per: Per) -> int:
        match per:
            case Per.CONNECTION:
                return self.connections
            case Per.REQUEST:
                return self.requests
            case Per.EXCHANGE:
                return self.exchanges

    def copy(self) -> Counts:
        return Counts(*(getattr(self, each.name) for each in fields(self)))

    def since(self, before: Counts) -> dict[str, int]:
        return {
            each.name: getattr(self, each.name) - getattr(before, each.name)
            for each in fields(self)
        }


@dataclass(slots=True, eq=False)
class Applied:
    """A toxic at work."""

    spec: Spec
    effect: Effect
    dice: Dice
    base: int = 0
    """What had been counted of its unit when it began."""
    thrown: int = 0
    hit: int = 0
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    def meets(self, number: int) -> bool:
        """Throws the dice for the unit of that number."""
        self.thrown += 1
        chance = self.spec.probability
        met = chance >= 1 or self.dice.at(number - self.base) < chance
        self.hit += met
        return met
