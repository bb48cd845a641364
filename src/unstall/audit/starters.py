"""Tasks run where somebody starts them: whether anybody does, and on whose loop.

What a command of a service starts runs on a loop that no request waits for, unless the command is how the
service is started.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from unstall.audit.ir import Entrance, Place
from unstall.audit.walk import Walk
from unstall.audit.walk_nodes import Node
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


def started(walk: Walk, entered: Sequence[Entrance]) -> list[Started]:
    """All entrances, in their order, tasks of commands as what they are."""
    reach = _Reach(walk)
    reach.add(each for each in entered if not each.by)
    waiting = {number: each for number, each in enumerate(entered) if each.by}
    decided: dict[int, Started] = {}
    aside = any(each.kind in SERVED for each in entered) and not reach.serves_offline()
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


def set_aside(walk: Walk, begun: Sequence[Started]) -> frozenset[str]:
    """Functions that tasks of commands come to."""
    reach = _Reach(walk)
    reach.add(e for e, _ in begun if e.by and e.place is Place.OFFLINE)
    return frozenset(reach.places)


def own_loops(walk: Walk, begun: Sequence[Started], found: Mapping[Node, Way]) -> frozenset[str]:
    """Functions that commands and threads surely come to: no request waits for the loop they make."""
    if not any(each.entrance.kind in SERVED for each in begun):
        return frozenset()
    commands = [each.entrance for each in begun if each.entrance.place is Place.OFFLINE]
    serving = _Reach(walk)
    serving.add(each for each in commands if _serves(walk, each))
    return frozenset(
        node.function
        for node, way in found.items()
        if way.guess < 2
        if node.place in _THREADS
        or (node.place is Place.OFFLINE and node.function not in serving.places)
    )


def _serves(walk: Walk, command: Entrance) -> bool:
    reach = _Reach(walk)
    reach.add([command])
    return reach.serves_offline()


class _Reach:
    """Which functions run where, so far."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._seen: set[Node] = set()
        self.places: dict[str, set[Place]] = defaultdict(set)

    def add(self, entrances: Iterable[Entrance]) -> None:
        waiting = [node for each in entrances for node in roots_of(self._walk.types, each)]
        self._walk.explore(waiting)
        while waiting:
            node = waiting.pop()
            if node in self._seen or node not in self._walk.nodes:
                continue
            self._seen.add(node)
            self.places[node.function].add(node.place)
            waiting += [edge.target for edge in self._walk.nodes[node].edges]

    def starts(self, entrance: Entrance, commands: bool) -> bool:
        """Something that starts it runs in the service; or, with `commands`, in one of these."""
        places = {place for each in entrance.by for place in self.places.get(each, ())}
        return bool(places if commands else places - {Place.OFFLINE})

    def serves_offline(self) -> bool:
        """A command runs a server."""
        return any(
            outside.value is not None and outside.value.name in SERVERS
            for node in self._seen
            if node.place is Place.OFFLINE
            for outside in self._walk.nodes[node].outside
        )
