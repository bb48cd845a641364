"""The way that a question about a loop has come: calls that were followed, and of what a part is asked."""

from __future__ import annotations

import ast
from collections.abc import Set
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from unstall.audit.scopes import Scope

Part = str | int | None
Key = tuple[object, ...]
ANY: Final = None
"""A part of which nobody knows which one it is."""
TEXT: Final = "\0text"
"""What is written in it, once that is read as JSON."""
_MOST_ASKED = 1_000
"""Expressions looked at for one loop: code that needs more is generated."""
_MOST_CALLS = 8
_MOST_HELD = 8


class Call(NamedTuple):
    """A call that was followed into its function: what it passes is what counts there."""

    function: Scope
    scope: Scope
    node: ast.Call
    receiver: ast.expr | None
    """None with `has_receiver`: the call itself makes the object."""
    has_receiver: bool


class Asked:
    """What was asked for one loop, and what is known to lead nowhere from those before."""

    __slots__ = ("is_cut", "keys", "nowhere")

    def __init__(self, nowhere: Set[Key] = frozenset()) -> None:
        self.keys: set[Key] = set()
        self.nowhere = nowhere
        self.is_cut = False
        """Not all was asked: nothing is known of what was."""

    def enters(self, key: Key) -> bool:
        if key in self.keys or key in self.nowhere:
            return False
        if len(self.keys) >= _MOST_ASKED:
            self.is_cut = True
            return False
        self.keys.add(key)
        return True


@dataclass(frozen=True, slots=True)
class Trail:
    calls: tuple[Call, ...] = ()
    held: tuple[Part, ...] = ()
    """Asked is what holds it: the name, index or key of the part in that, then of the part in that part."""
    asked: Asked = field(default_factory=Asked)

    @property
    def inside(self) -> bool:
        """Only a request makes each part of something as long as it likes."""
        return bool(self.held)

    def enters(self, node: ast.AST, asking: str = "") -> bool:
        """Whether this is a new question: what a parameter holds depends on the calls that led to it."""
        if len(self.calls) > _MOST_CALLS or len(self.held) > _MOST_HELD:
            self.asked.is_cut = True
            return False
        return self.asked.enters(
            (id(node), asking, self.held, *(id(each.node) for each in self.calls))
        )

    def into(self, *parts: Part) -> Trail:
        return replace(self, held=(*(parts or (ANY,)), *self.held))

    def out(self, levels: int = 1) -> Trail:
        """Of the part itself."""
        return replace(self, held=self.held[levels:])

    def somewhere(self) -> Trail:
        """A slice has its parts at other places."""
        return replace(self, held=(ANY, *self.held[1:])) if self.held else self

    def second(self) -> Trail:
        """Through pairs whose second is what the whole holds: `d.items()`, `enumerate(xs)`."""
        is_second = len(self.held) > 1 and self.held[1] == 1
        return replace(self, held=(ANY, *self.held[2:])) if is_second else self

    def following(self, call: Call) -> Trail:
        return replace(self, calls=(*self.calls, call))

    def call_of(self, function: Scope) -> Call | None:
        """The last one into a function."""
        return next((each for each in reversed(self.calls) if each.function is function), None)

    def before(self, call: Call) -> Trail:
        """Where the call stands: what it passes was not made inside of it."""
        return replace(self, calls=self.calls[: self.calls.index(call)])


def part_of(node: ast.AST) -> Part:
    """An index or a key as it is written."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str | int) else ANY
