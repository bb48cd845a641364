"""One fact: what calling a name does to the thread that calls it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Effect(enum.StrEnum):
    BLOCKS = "blocks"
    """The caller's thread can do nothing else until it is over."""
    OFFLOADS = "offloads"
    """An argument runs in another place."""
    CLEAN = "clean"
    """It looks as if it blocked, and does not."""


class Cost(enum.StrEnum):
    US = "us"
    """Microseconds: a single `stat`. Silent by default."""
    MS = "ms"
    """Milliseconds, more with the size of the input: a page of a file, a picture, a hash."""
    UNBOUNDED = "unbounded"
    """As long as somebody else likes: a peer, a lock, a process, a model."""


@dataclass(frozen=True, slots=True)
class TimeOut:
    """The parameter that bounds a call."""

    parameter: str
    default: str
    """As a reader says it: `none`, `5 s`."""
    at: str = ""
    """The callable that takes the parameter, where it is not the call itself."""


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    """Dotted. All members of a class or all below a module: it ends in `.*`; at any depth: in `.**`."""
    effect: Effect
    code: str = ""
    """Of the rule that it breaks on the loop; empty where it breaks none."""
    kind: str = ""
    """In a word: database, file."""
    cost: Cost = Cost.US
    via: str = "call"
    """How control goes over: call, iterate, enter, exit, read."""
    unless: tuple[str, ...] = ()
    """Arguments of which each makes it clean: `PARAMETER=LITERAL`, `POSITION=LITERAL`; `*`: any value.
    Of flags joined by `|` one is enough."""
    only_if: tuple[str, ...] = ()
    """Arguments of which one must be there; in the same words."""
    instead: str = ""
    """The asynchronous way, in one phrase."""
    time_out: TimeOut | None = None
    versions: str = ""
    """Of the library, where not all: `openai<1`."""
    argument: int | str | None = None
    """The argument that runs elsewhere: its position without the receiver, or its name."""
    place: str = ""
    """Where it runs: loop, thread pool, executor, process, offline. Calls that block may have one, too."""
    wraps: bool = False
    """The argument does not run now, but whenever what comes back is called."""
    note: str = ""

    def holds(self, given: Mapping[str, str | None]) -> bool:
        """Whether the row speaks of a call with these arguments.

        `given`: keyword, or position as text, to the literal as `repr` writes it; None if it is no literal.
        """
        if any(_is_given(condition, given) for condition in self.unless):
            return False
        return not self.only_if or any(_is_given(condition, given) for condition in self.only_if)


def _is_given(condition: str, given: Mapping[str, str | None]) -> bool:
    parameter, _, literal = condition.partition("=")
    if parameter not in given:
        return False
    value = given[parameter]
    return literal in ("*", value) or (value is not None and literal in value.split(" | "))
