"""Tasks run where somebody starts them: whether anybody does, and on whose loop.

What a command of a service starts runs on a loop that no request waits for, unless this very command is how
the service is started, and on the loop that then serves.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from unstall.audit.ir import Entrance, Place
from unstall.audit.loop_asked import ITS_OWN_LOOP
from unstall.audit.types import Types
from unstall.audit.walk import Walk
from unstall.audit.walk_nodes import Node, Reached
from unstall.audit.walk_ways import Way, roots_of


class Started(NamedTuple):
    entrance: Entrance
    guess: int
    """1: nobody is seen to come to what starts it."""


SERVED = ("route", "websocket")
_THREADS = frozenset({Place.THREAD_POOL, Place.EXECUTOR, Place.PROCESS})
SERVERS = frozenset(
    "uvicorn.run uvicorn.Server.serve uvicorn.Server.run hypercorn.asyncio.serve hypercorn.trio.serve "
    "aiohttp.web.run_app granian.Granian.serve gunicorn.app.base.BaseApplication.run".split()
)


def serving_functions(
    walk: Walk, entered: Sequence[Entrance], blocks: Collection[Collection[str]] = ()
) -> frozenset[str]:
    """Functions that commands come to on the loop that serves; `blocks`: those that are one program."""
    if not any(each.kind in SERVED for each in entered):
        return frozenset()
    every = [(root, each) for each in entered for root in roots_of(walk.types, each)]
    walk.explore(root for root, each in every if not each.by or each.place is Place.OFFLINE)
    roots = {root: each.function for root, each in every if each.place is Place.OFFLINE}
    serves = _coming_to_a_server(walk, _closure(walk, roots))
    begun = {function for root, function in roots.items() if root in serves}
    begun |= {each for block in blocks if not begun.isdisjoint(block) for each in block}
    first = (root for root, function in roots.items() if function in begun)
    return frozenset(node.function for node in _closure(walk, first, serves))


def _coming_to_a_server(walk: Walk, offline: Iterable[Node]) -> set[Node]:
    """Those of the nodes that run one, or call what does."""
    before: dict[Node, list[Node]] = defaultdict(list)
    waiting: list[Node] = []
    for node in offline:
        for edge in walk.nodes[node].edges:
            before[edge.target].append(node)
        if node.place is Place.OFFLINE and _calls(walk.nodes[node], SERVERS):
            waiting.append(node)
    found = set(waiting)
    while waiting:
        new = [each for each in before[waiting.pop()] if each not in found]
        found.update(new)
        waiting += new
    return found


def _closure(
    walk: Walk, roots: Iterable[Node], serves: Collection[Node] | None = None
) -> set[Node]:
    """All that the roots come to; with `serves`, without loops that are over before another one serves."""
    waiting = [root for root in roots if root in walk.nodes]
    seen = set(waiting)
    while waiting:
        reached = walk.nodes[waiting.pop()]
        edges = reached.edges
        if serves is not None:
            own = _in_loops_of_their_own(reached)
            lasting = (e for e in edges if e.target in serves or id(e.seen.node) not in own)
            edges = [edge for edge in lasting if edge.guess < 2]
        new = {edge.target for edge in edges if edge.target in walk.nodes} - seen
        seen |= new
        waiting += new
    return seen


def _in_loops_of_their_own(reached: Reached) -> set[int]:
    """Calls, by identity, that run a loop of their own, and what stands in their arguments."""
    return {id(part) for call in _calls(reached, ITS_OWN_LOOP) for part in ast.walk(call)}


def _calls(reached: Reached, names: Collection[str]) -> list[ast.expr]:
    return [each.seen.node for each in reached.outside if each.value and each.value.name in names]


def started(
    walk: Walk, entered: Sequence[Entrance], serving: Collection[str] = ()
) -> list[Started]:
    """All entrances, in their order, tasks of commands as what they are."""
    reach = _Reach(walk, serving)
    reach.add(each for each in entered if not each.by)
    waiting = {number: each for number, each in enumerate(entered) if each.by}
    decided: dict[int, Started] = {}
    aside = any(each.kind in SERVED for each in entered)
    for commands in (False, True) if aside else (True,):
        while ready := [n for n, each in waiting.items() if reach.starts(each, commands)]:
            for number in ready:
                entrance = waiting.pop(number)
                if commands and aside:
                    entrance = replace(entrance, kind="offline", place=Place.OFFLINE)
                decided[number] = Started(entrance, 0)
                reach.add([entrance])
    for number, entrance in waiting.items():
        decided[number] = Started(entrance, 1)
    return [decided.get(number, Started(each, 0)) for number, each in enumerate(entered)]


def begun_by_start_up(walk: Walk, begun: Sequence[Started]) -> frozenset[str]:
    """Tasks that start-up begins, and that nobody else calls."""
    starters = {
        entrance.function: found
        for entrance, _ in begun
        if entrance.kind == "task" and entrance.by and entrance.place is Place.LOOP
        if (found := _begin_it(walk.types, entrance.function))
    }
    if not starters:
        return frozenset()
    reach = _Reach(walk)
    reach.add(each.entrance for each in begun)
    called = {e.target.function for node in reach.seen for e in walk.nodes[node].edges}
    return frozenset(
        function
        for function, found in starters.items()
        if function not in called
        if all(reach.places.get(each) == {Place.STARTUP} for each in found)
    )


def _begin_it(types: Types, function: str) -> set[str]:
    """Functions that make a task of it; none if it is called in any other way, or may be."""
    scope = types.project.scope(function)
    found: set[str] = set()
    for mention in types.callers.mentions(scope) if scope is not None else ():
        events = types.project.scan(mention.scope).events
        if not any(event.begins and event.node is mention.call for event in events):
            return set()
        found.add(mention.scope.id)
    return found


def functions_aside(
    walk: Walk, begun: Sequence[Started], found: Mapping[Node, Way], serving: Collection[str]
) -> frozenset[str]:
    """Functions on loops that no request waits for: of threads, of commands and of their tasks."""
    tasks = _Reach(walk)
    tasks.add(e for e, _ in begun if e.by and e.place is Place.OFFLINE)
    if not any(each.entrance.kind in SERVED for each in begun):
        return frozenset(tasks.places)
    surely = [node for node, way in found.items() if way.guess < 2]
    threads = {node.function for node in surely if node.place in _THREADS}
    commands = {node.function for node in surely if node.place is Place.OFFLINE}
    return frozenset(threads | (commands | tasks.places.keys()).difference(serving))


class _Reach:
    """Which functions run where, so far."""

    def __init__(self, walk: Walk, serving: Collection[str] = ()) -> None:
        self._walk = walk
        self._serving = serving
        self.seen: set[Node] = set()
        self.places: dict[str, set[Place]] = defaultdict(set)

    def add(self, entrances: Iterable[Entrance]) -> None:
        waiting = [node for each in entrances for node in roots_of(self._walk.types, each)]
        self._walk.explore(waiting)
        while waiting:
            node = waiting.pop()
            if node in self.seen or node not in self._walk.nodes:
                continue
            self.seen.add(node)
            self.places[node.function].add(node.place)
            waiting += [edge.target for edge in self._walk.nodes[node].edges]

    def starts(self, entrance: Entrance, commands: bool) -> bool:
        """Something that starts it runs in the service; or, with `commands`, in one of these."""
        if any(each in self._serving for each in entrance.by):
            return True
        places = {place for each in entrance.by for place in self.places.get(each, ())}
        return bool(places if commands else places - {Place.OFFLINE})
