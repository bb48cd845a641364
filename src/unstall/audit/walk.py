"""From the entrances along the calls: which function runs where, and how it is reached."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from unstall.audit.alive import Alive
from unstall.audit.calls import Calls, Seen
from unstall.audit.flags import Passed
from unstall.audit.ir import Place, Via
from unstall.audit.once import Once
from unstall.audit.scan import Event
from unstall.audit.scopes import Scope
from unstall.audit.slips import Kept
from unstall.audit.types import Types
from unstall.audit.walk_nodes import Node, Reached
from unstall.audit.walk_step import Facts, Step

_AROUND = (Place.STARTUP, Place.SHUTDOWN)
_What = tuple[str, int]


def _what(event: Event) -> _What:
    """A block is entered and left by one expression."""
    return event.kind, id(event.node)


class Walk:
    """Nodes are worked out once, whoever reaches them; what reaches what is asked afterwards."""

    def __init__(
        self, types: Types, calls: Calls, exact: bool = False, mains: frozenset[str] = frozenset()
    ) -> None:
        """`exact`: receivers are of the class that is named, and of none below it, and what no condition
        guards is all that is asked for.

        `mains`: functions that are a whole program: what they leave at their end, its end leaves.
        """
        self._mains = mains
        self._early: frozenset[str] = frozenset()
        self.types = types
        self.calls = calls
        self.nodes: dict[Node, Reached] = {}
        self.once = Once(types)
        passed = Passed(types, asks=not exact)
        self._facts = Facts(types, self.once, passed, Alive(types, passed), exact)

    def begin(self, roots: Iterable[Node]) -> None:
        """Find out what start-up and shut-down come to: what is filled then is there for requests."""
        waiting = list(roots)
        seen = set(waiting)
        while waiting:
            reached = self.reached(waiting.pop())
            for edge in reached.edges if reached is not None else ():
                if edge.guess < 2 and edge.target.place in _AROUND and edge.target not in seen:
                    seen.add(edge.target)
                    waiting.append(edge.target)
        begun, ended = (
            frozenset(node.function for node in seen if node.place is place) for place in _AROUND
        )
        self.once.begin(begun, ended)
        self.nodes.clear()  # it was not known yet when they were worked out

    def begin_early(self, tasks: frozenset[str]) -> None:
        """Of these functions the first step is start-up's: it runs before the server listens."""
        self._early = tasks
        begun = [node for node in self.nodes if node.function in tasks]
        for node in begun:
            self.nodes[node] = self._worked_out(node, self.nodes[node].scope)
        self.explore(edge.target for node in begun for edge in self.nodes[node].edges)

    def explore(self, roots: Iterable[Node]) -> None:
        """Work out all nodes that the roots reach."""
        waiting = deque(roots)
        while waiting:
            node = waiting.popleft()
            if node not in self.nodes and (reached := self.reached(node)) is not None:
                waiting.extend(edge.target for edge in reached.edges)

    def reached(self, node: Node) -> Reached | None:
        """What one node does itself; None if it is no function of ours."""
        known = self.nodes.get(node)
        if known is not None:
            return known
        scope = self.types.project.scope(node.function)
        if scope is None or scope.kind == "class":
            return None
        reached = self.nodes[node] = self._worked_out(node, scope)
        return reached

    def _worked_out(self, node: Node, scope: Scope) -> Reached:
        reached = Reached(scope)
        with self.kept(node):
            after, before = self._after_serving(node, scope), self._before_serving(scope)
            for seen in self._seen(node, scope):
                at, what = node, _what(seen.event)
                if what in after or self._ends_the_program(scope, seen):
                    at = node._replace(place=Place.SHUTDOWN)
                elif what in before:
                    at = node._replace(place=Place.STARTUP)
                Step(self._facts, at, seen, reached).run()
        return reached

    def _ends_the_program(self, scope: Scope, seen: Seen) -> bool:
        return scope.id in self._mains and seen.via is Via.EXIT and not seen.event.repeats

    def _after_serving(self, node: Node, scope: Scope) -> frozenset[_What]:
        """Of a lifespan: what comes after its `yield`."""
        if node.place is not Place.STARTUP or not self.types.shape(scope).is_context:
            return frozenset()
        scan = self.types.project.scan(scope)
        return frozenset(map(_what, scan.events)) - {*map(_what, scan.events[: scan.first_yield])}

    def _before_serving(self, scope: Scope) -> frozenset[_What]:
        """Of a task that start-up begins: what it does before it first waits. A loop goes on later."""
        if scope.id not in self._early:
            return frozenset()
        scan = self.types.project.scan(scope)
        first = scan.events[: scan.first_wait]
        return frozenset(_what(event) for event in first if not event.repeats)

    def kept(self, node: Node) -> Kept:
        """What fails inside costs this function alone."""
        project = self.types.project
        scope = project.scope(node.function)
        return project.slips.kept(project.file_of(scope) if scope else "", node.function)

    def _seen(self, node: Node, scope: Scope) -> tuple[Seen, ...]:
        return self.calls.first_part(scope) if node.first_part else self.calls.of(scope)
