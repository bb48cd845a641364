"""Reads that wait for nothing: the loop has said that there is something to read."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from unstall.audit.types import Types
from unstall.audit.types_callers import Mention
from unstall.audit.values import EXTERNAL, FUNCTION
from unstall.audit.walk import Walk

_LOOPS = ("asyncio.", "uvloop.")


def when_ready(walk: Walk) -> frozenset[str]:
    """Functions that `loop.add_reader` calls or that wait for it, what these come to, and their objects."""
    asking = [each for each in walk.types.callers.calling("add_reader") if _asks_a_loop(walk, each)]
    if not asking:
        return frozenset()
    begin = {each.scope.id for each in asking}
    begin |= set(_waiting_for(walk, begin))
    begin |= {name for each in asking for name in _called(walk.types, each)}
    classes = [class_ for each in asking if (class_ := each.scope.class_of_method()) is not None]
    of_objects = {
        node.function
        for node, reached in walk.nodes.items()
        if reached.scope.class_of_method() in classes
    }
    return frozenset(_reached(walk, begin) | of_objects)


def _asks_a_loop(walk: Walk, mention: Mention) -> bool:
    targets = walk.types.known(mention.scope, mention.call.func)
    if not targets:
        return len(mention.call.args) > 1
    return any(v.kind == EXTERNAL and v.name.startswith(_LOOPS) for v in targets)


def _called(types: Types, mention: Mention) -> Iterator[str]:
    for argument in mention.call.args[1:2]:
        for value in types.known(mention.scope, argument):
            if value.kind == FUNCTION:
                yield value.name


def _waiting_for(walk: Walk, functions: Collection[str]) -> Iterator[str]:
    for node, reached in walk.nodes.items():
        for edge in reached.edges:
            if edge.seen.event.awaited and edge.target.function in functions:
                yield node.function


def _reached(walk: Walk, functions: Collection[str]) -> set[str]:
    waiting = [node for node in walk.nodes if node.function in functions]
    seen = set(waiting)
    while waiting:
        for edge in walk.nodes[waiting.pop()].edges:
            if edge.target in walk.nodes and edge.target not in seen:
                seen.add(edge.target)
                waiting.append(edge.target)
    return {node.function for node in seen}
