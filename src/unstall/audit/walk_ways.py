"""Which entrances reach a node, and by which calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from unstall.audit.calls import Seen
from unstall.audit.ir import Entrance, Step
from unstall.audit.types import Types
from unstall.audit.walk import Walk
from unstall.audit.walk_nodes import Node
from unstall.audit.walk_self import entered


class Way(NamedTuple):
    """The best way to a node: fewest guesses, then from who is sure to be asked, then fewest calls."""

    guess: int
    length: int
    entrance: int
    before: Node | None
    seen: Seen | None


def root_of(types: Types, runs: Entrance | Step) -> Node:
    """What a framework enters first."""
    return entered(types, runs.function, runs.place, runs.receiver, runs.exact)


def roots_of(types: Types, entrance: Entrance) -> Iterable[Node]:
    """All that an entrance runs: its function, and the steps of a route."""
    runs: tuple[Entrance | Step, ...] = (entrance, *entrance.steps)
    return dict.fromkeys(root_of(types, each) for each in runs if ":" in each.function)


def ways(
    walk: Walk, roots: Iterable[tuple[int, int, Node]], unseen: int = 1 << 30
) -> dict[Node, Way]:
    """The best way to each node, from (entrance, guesses, node); level by level of guesses.

    Entrances from the number `unseen` on have callers that nobody sees: a route that reaches the same speaks
    for it, if with no more guesses.
    """
    found: dict[Node, Way] = {}
    levels: list[deque[Node]] = [deque(), deque(), deque()]
    for entrance, guess, node in roots:
        old = found.get(node)
        if node in walk.nodes and (old is None or guess < old.guess):
            found[node] = Way(guess, 0, entrance, None, None)
            levels[min(guess, 2)].append(node)
    for level in range(3):
        while levels[level]:
            node = levels[level].popleft()
            way = found[node]
            if way.guess != level:
                continue
            for edge in walk.nodes[node].edges:
                guess = max(way.guess, min(edge.guess, 2))
                old = found.get(edge.target)
                new = (guess, way.entrance >= unseen, way.length + 1)
                if old is not None and (old.guess, old.entrance >= unseen, old.length) <= new:
                    continue
                found[edge.target] = Way(guess, way.length + 1, way.entrance, node, edge.seen)
                levels[guess].append(edge.target)
    return found


def reaching(walk: Walk, roots: Iterable[tuple[int, int, Node]], most: int = 1) -> dict[Node, int]:
    """For each node the entrances that reach it with at most so many guesses, as bits."""
    found: dict[Node, int] = {}
    waiting: deque[Node] = deque()
    for entrance, guess, node in roots:
        if node in walk.nodes and guess <= most:
            found[node] = found.get(node, 0) | (1 << entrance)
            waiting.append(node)
    queued = set(waiting)
    while waiting:
        node = waiting.popleft()
        queued.discard(node)
        bits = found[node]
        for edge in walk.nodes[node].edges:
            if edge.guess > most:
                continue
            old = found.get(edge.target, 0)
            if old | bits != old:
                found[edge.target] = old | bits
                if edge.target not in queued:
                    queued.add(edge.target)
                    waiting.append(edge.target)
    return found
