"""Functions in places, and what each hands over to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from unstall.audit.calls import Seen
from unstall.audit.flags import Flags
from unstall.audit.ir import Place
from unstall.audit.scopes import Scope
from unstall.audit.values import Value, Values

Bindings = tuple[tuple[str, Values], ...]


class Node(NamedTuple):
    """A function in a place, with the functions it is passed."""

    function: str
    place: Place
    receiver: str = ""
    """The class of `self`, where it is known better than by the function's own class."""
    bindings: Bindings = ()
    first_part: bool = False
    flags: Flags = ()
    """What is known of what it is passed, for parameters that decide about calls here or further on."""
    once: bool = False
    """At most once in a process: below a cached function without arguments, or what fills a global."""
    exact: bool = False
    """`self` is of the receiver's class, and of none below it."""
    barred: tuple[str, ...] = ()
    """Classes that `self` is not of, nor of one below: they define anew what was called on the way here."""


class Edge(NamedTuple):
    target: Node
    seen: Seen
    guess: int


class Outside(NamedTuple):
    """A call that leaves first-party code, or whose target is not known."""

    node: Node
    place: Place
    """Where it runs: not the node's place if it was handed to a thread."""
    seen: Seen
    value: Value | None
    guess: int
    once: bool = False
    """At most once in a process."""


@dataclass(slots=True)
class Reached:
    """What was found for one node."""

    scope: Scope
    edges: list[Edge] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)
