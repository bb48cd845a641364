"""What a rule looks at, and how it says what it found."""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import NamedTuple

from unstall.audit.calls import Seen, confidence_of
from unstall.audit.entrances_index import Def, Index, Use, Where
from unstall.audit.entrances_lookup import MOST_BASES
from unstall.audit.imported import Imported
from unstall.audit.ir import Entrance, Module, Names, Place, Program
from unstall.audit.judge import Hit, hop_of, reach
from unstall.audit.program import Worked
from unstall.audit.rules.deployment import NONE, Deployment, version_in, version_of
from unstall.audit.rules.shapes import Shapes, shapes
from unstall.audit.walk_nodes import Edge, Node
from unstall.audit.walk_ways import roots_of
from unstall.catalog.table import Table
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

CAUSES = {"US2": Cause.CPU, "US301": Cause.SATURATED, "US303": Cause.CPU, "US8": Cause.SATURATED}
"""By a code, or how it begins; all others wait."""


class Path(NamedTuple):
    """The calls between an entrance and a function."""

    hops: tuple[Hop, ...] = ()
    through: tuple[str, ...] = ()
    """Ids of the functions on the way, without the last; empty: requests enter here."""


@dataclass(frozen=True, slots=True)
class Way:
    """How one entrance comes to a function, and where that then runs."""

    entrance: Entrance
    place: Place
    guess: int = 0
    """Guesses that lie on it."""
    path: Callable[[], Path] = field(default=Path, compare=False)
    """Few are asked for it."""

    @property
    def entry(self) -> Entry:
        return Entry(self.entrance.kind, self.entrance.name, self.entrance.function)


def _best(ways: Iterable[Way]) -> tuple[Way, ...]:
    """One for each place and entrance, the best first."""
    best: dict[tuple[Place, str, str], Way] = {}
    for way in sorted(ways, key=lambda each: each.guess):
        best.setdefault((way.place, way.entrance.kind, way.entrance.name), way)
    return tuple(best.values())


PER_REQUEST = frozenset(
    ("route", "websocket", "middleware", "dependency", "exception handler", "background task")
)
"""Kinds of entrances that requests come in by."""


_DEEPEST = 4
"""Calls between a module's body and what it runs while it is imported."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A line of the project."""

    file: str
    line: int
    function: str
    call: str


def _of_requests(ways: Iterable[Way], places: Sequence[Place]) -> tuple[Way, ...]:
    return tuple(
        way
        for way in ways
        if way.entrance.kind in PER_REQUEST and (not places or way.place in places)
    )


@dataclass(frozen=True, eq=False)
class Subject:
    worked: Worked
    table: Table
    index: Index
    deployment: Deployment = NONE
    imported: Imported | None = None
    _ways: dict[str, tuple[Way, ...]] = field(default_factory=dict, repr=False)
    _at_import: dict[str, bool] = field(default_factory=dict, repr=False)

    @property
    def program(self) -> Program:
        return self.worked.program

    @property
    def names(self) -> Names:
        return self.worked.names

    def version(self, package: str) -> tuple[int, ...] | None:
        """As imported, else the lowest that a lock or requirement allows; None: not known."""
        told = self.imported.versions.get(package) if self.imported else None
        return version_in(told) if told else version_of(self.deployment, package)

    # Who comes here

    @cached_property
    def nodes(self) -> Mapping[str, tuple[Node, ...]]:
        """By function: where it runs, as far as something reaches it."""
        found: dict[str, dict[Node, None]] = {}
        for node in self.worked.found:
            found.setdefault(node.function, {})[node] = None
        return {function: tuple(nodes) for function, nodes in found.items()}

    def ways(self, function: str) -> tuple[Way, ...]:
        """One for each place and entrance, the best first."""
        known = self._ways.get(function)
        if known is None:
            ways = (way for node in self.nodes.get(function, ()) for way in self._ways_to(node))
            known = self._ways[function] = _best(ways)
        return known

    def _ways_to(self, node: Node) -> Iterator[Way]:
        best = self.worked.found[node]
        entrances = self.worked.entrances
        place = Place.STARTUP if node.place is Place.SHUTDOWN else node.place
        yield Way(entrances[best.entrance], place, best.guess, partial(self._best_path, node))
        bits = self.worked.reached.get(node, 0) & ~(1 << best.entrance)
        surely = self.worked.surely.get(node, 0)
        while bits:
            number = bits.bit_length() - 1
            bits ^= 1 << number
            guess = best.guess if surely >> number & 1 else max(best.guess, 1)
            yield Way(entrances[number], place, guess, partial(self._path, number, node, guess))

    def _best_path(self, node: Node) -> Path:
        found = self.worked.found
        through: list[str] = []
        before = found[node].before
        while before is not None and len(through) < 64:
            through.append(before.function)
            before = found[before].before
        return Path(reach(self.worked.walk, found, node), tuple(through))

    def _path(self, entrance: int, node: Node, most: int) -> Path:
        """The shortest from an entrance on edges with at most so many guesses."""
        walk = self.worked.walk
        roots = frozenset(roots_of(walk.types, self.worked.entrances[entrance]))
        after: dict[Node, tuple[Node, Seen]] = {}
        waiting, seen = deque([node]), {node}
        while waiting and waiting[0] not in roots:
            current = waiting.popleft()
            for before, edge in self._before.get(current, ()):
                if before not in seen and edge.guess <= most:
                    seen.add(before)
                    after[before] = current, edge.seen
                    waiting.append(before)
        calls: list[tuple[Node, Seen]] = []
        current = waiting[0] if waiting else node
        while current != node:
            following, call = after[current]
            calls.append((current, call))
            current = following
        hops = tuple(hop_of(walk, *each) for each in calls)
        return Path(hops, tuple(before.function for before, _ in reversed(calls)))

    def requests(self, function: str, *places: Place) -> tuple[Way, ...]:
        """Ways of requests to a function, in any of these places; without one: in all."""
        return _of_requests(self.ways(function), places)

    def requests_to(self, use: Use, *places: Place) -> tuple[Way, ...]:
        """The same to a call."""
        return _of_requests(self.calling(use), places)

    def calling(self, use: Use) -> tuple[Way, ...]:
        """Ways to this very call, the best first: a condition may rule it out on some."""
        nodes = {
            node: self._guess_at(node, use.call) for node in self.nodes.get(use.where.scope, ())
        }
        is_seen = any(guess is not None for guess in nodes.values())
        return _best(
            replace(way, guess=max(way.guess, guess or 0))
            for node, guess in nodes.items()
            if guess is not None or not is_seen
            for way in self._ways_to(node)
        )

    def _guess_at(self, node: Node, call: ast.Call) -> int | None:
        """Guesses between a function and a call in it; None: it does not come to that."""
        reached = self.worked.walk.nodes[node]
        guesses = [each.guess for each in reached.outside if each.seen.node is call]
        guesses += [each.guess for each in reached.edges if each.seen.node is call]
        return min(guesses, default=None)

    def coming(
        self, function: str, place: Place, most: int, passes: Callable[[Node, Edge], bool]
    ) -> frozenset[Node]:
        """All that comes to a function in a place on edges that all pass, with at most so many guesses."""
        waiting = [n for n in self.nodes.get(function, ()) if n.place is place and not n.once]
        seen = set(waiting)
        while waiting:
            for before, edge in self._before.get(waiting.pop(), ()):
                if before not in seen and edge.guess <= most and passes(before, edge):
                    seen.add(before)
                    waiting.append(before)
        return frozenset(seen)

    @cached_property
    def _before(self) -> Mapping[Node, tuple[tuple[Node, Edge], ...]]:
        """By node: what hands over to it."""
        found: dict[Node, list[tuple[Node, Edge]]] = {}
        for node in self.worked.found:
            for edge in self.worked.walk.nodes[node].edges:
                found.setdefault(edge.target, []).append((node, edge))
        return {node: tuple(edges) for node, edges in found.items()}

    def callers(self, function: str) -> tuple[str, ...]:
        """Functions of the project that call it themselves, as far as something reaches them."""
        nodes = self.nodes.get(function, ())
        return tuple(
            dict.fromkeys(
                before.function for node in nodes for before, _ in self._before.get(node, ())
            )
        )

    def is_entered(self, function: str) -> bool:
        """Some request, task or start-up comes there; not only the command line."""
        return any(node.place is not Place.OFFLINE for node in self.nodes.get(function, ()))

    def is_run(self, where: Where) -> bool:
        """At import, or by something that enters; not only by the command line."""
        return self.is_entered(where.scope) or self.is_run_at_import(where)

    def is_run_at_import(self, where: Where) -> bool:
        """The body of a module or class, and functions that these surely call."""
        known = self._at_import.get(where.scope)
        if known is None:
            known = self._at_import[where.scope] = self._is_run_at_import(where, 0)
        return known

    def _is_run_at_import(self, where: Where, depth: int) -> bool:
        walk, outer = self.worked.walk, where
        while outer.scope in self.index.classes:
            outer = self.index.outer(outer)
        scope = walk.types.project.scope(outer.scope)
        if not outer.scope or scope is None or depth > _DEEPEST:
            return not outer.scope
        callers = walk.types.callers
        return any(
            mention.argument < 0
            and id(mention.call) not in self._only_as_script
            and callers.is_call_of(mention, scope) is not None
            and self._is_run_at_import(Where(mention.scope.module, mention.scope.id), depth + 1)
            for mention in callers.mentions(scope)
        )

    @cached_property
    def _only_as_script(self) -> frozenset[int]:
        return frozenset(id(use.call) for use in self.index.in_main)

    def called(self, function: str) -> Iterator[str]:
        """What a function calls itself, by name; `?` for what is not known."""
        for node in self.nodes.get(function, ()):
            reached = self.worked.walk.nodes.get(node)
            if reached is not None:
                yield from (edge.target.function for edge in reached.edges)
                for outside in reached.outside:
                    yield self.table.canonical(outside.value.name) if outside.value else "?"
                return

    # What blocks

    def hits(self, *places: Place) -> Iterator[tuple[Node, Hit]]:
        """Blocking calls in functions that something reaches, where they run in one of these places."""
        for node, hits in self.worked.judged.hits.items():
            if node in self.worked.found:
                for hit in hits:
                    if hit.place in places:
                        yield node, hit

    def starts(self, function: str, place: Place) -> tuple[Node, ...]:
        """A function as it is entered in a place; of a method that several classes have: for each of them."""
        plain = Node(function, place)
        if plain in self.worked.found:
            return (plain,)
        return tuple(node for node in self.nodes.get(function, ()) if node.place is place)

    def below(self, start: Node, *, at_once: bool = False) -> Iterator[tuple[int, Hit]]:
        """Blocking calls that a function comes to in its own place, nearest first, with the guesses.

        `at_once`: only before it returns, where it awaits nothing. Coroutines that it makes run later.
        """
        walk, judged = self.worked.walk, self.worked.judged
        seen, waiting = {start}, deque([(0, start)])
        while waiting:
            guess, node = waiting.popleft()
            for hit in judged.hits.get(node, ()):
                if hit.place is start.place:
                    yield max(guess, hit.guess), hit
            reached = walk.nodes.get(node)
            for edge in reached.edges if reached else ():
                if at_once and self._is_async(edge.target.function):
                    continue
                if edge.target.place is start.place and edge.target not in seen:
                    seen.add(edge.target)
                    waiting.append((max(guess, edge.guess), edge.target))

    def _is_async(self, function: str) -> bool:
        known = self.worked.functions.declared.get(function)
        return known is not None and known.is_async

    def spot_of(self, node: Node, hit: Hit) -> Spot:
        scope = self.worked.walk.nodes[node].scope
        where = hit.outside.seen.node
        return Spot(
            self.worked.walk.types.project.file_of(scope),
            where.lineno,
            shown(node.function),
            hit.name,
        )

    # What is called

    @cached_property
    def shapes(self) -> Shapes:
        return shapes(self.index)

    def calls(self, names: Iterable[str], everywhere: bool = False) -> Iterator[tuple[Use, str]]:
        """Calls by public names, where something enters and at import: functions, classes, methods."""
        wanted = frozenset(names)
        lasts = {name.rpartition(".")[2] for name in wanted}
        lasts |= {alias for last in lasts for alias in self.shapes.aliases.get(last, ())}
        for use in self.index.uses(*sorted(lasts)):
            if everywhere or self.is_run(use.where):
                targets = self.targets(use.where, use.call.func)
                found = next((name for name in targets if name in wanted), None)
                if found:
                    yield use, found

    def targets(self, where: Where, expression: ast.expr) -> tuple[str, ...]:
        """Public names of what is called, those that its class inherits included."""
        found = [
            self.table.canonical(n)
            for n in self.names.name_of(where.module, where.scope, expression)
        ]
        if isinstance(expression, ast.Attribute):
            classes = self.names.types_of(where.module, where.scope, expression.value)
            found += [f"{base}.{expression.attr}" for cls in classes for base in self.lineage(cls)]
            made = self.names.types_of(where.module, where.scope, expression)
            found += [
                cls for cls in made if cls.endswith(f".{expression.attr}")
            ]  # of a library that is all clean
        return tuple(dict.fromkeys(found))

    def types(self, where: Where, expression: ast.expr) -> tuple[str, ...]:
        classes = self.names.types_of(where.module, where.scope, expression)
        return tuple(dict.fromkeys(base for cls in classes for base in self.lineage(cls)))

    def lineage(self, cls: str) -> tuple[str, ...]:
        """A class and what it inherits from, as far as it is known."""
        found: dict[str, None] = {}
        waiting = deque([self.table.canonical(cls)])
        while waiting and len(found) < MOST_BASES:
            name = waiting.popleft()
            if name not in found:
                found[name] = None
                waiting += [self.table.canonical(n) for n in self.program.bases.get(name, ())]
                waiting += self.table.bases(name)
        return tuple(found)

    # Where it stands

    def module(self, where: Where) -> Module:
        return self.program.modules[where.module]

    def spot(self, where: Where, node: ast.expr | ast.stmt, call: str) -> Spot:
        return Spot(self.module(where).file, node.lineno, shown(where.scope), call)

    def function_at(self, module: Module, line: int) -> Def | None:
        """The innermost function around a line."""
        lines, defs = self._defs.get(module.name, ((), ()))
        for place in range(bisect_right(lines, line) - 1, -1, -1):
            if (defs[place].node.end_lineno or 0) >= line:
                return defs[place]
        return None

    @cached_property
    def _defs(self) -> Mapping[str, tuple[tuple[int, ...], tuple[Def, ...]]]:
        """By module: named functions with their first lines, in order."""
        found: dict[str, list[Def]] = {}
        for definition in self.index.functions.values():
            if not isinstance(definition.node, ast.Lambda):
                found.setdefault(definition.where.module, []).append(definition)
        ordered = {name: sorted(defs, key=lambda d: d.node.lineno) for name, defs in found.items()}
        return {
            name: (tuple(d.node.lineno for d in defs), tuple(defs))
            for name, defs in ordered.items()
        }

    def definition(self, where: Where) -> Def | None:
        return self.index.functions.get(where.scope)


_SURE = list(Confidence)


def shown(function: str) -> str:
    """As tracebacks name it: without its module."""
    return function.partition(":")[2] or "<module>"


def _doubts(ways: Sequence[Way]) -> Iterator[str]:
    """Why the best way may never be gone."""
    yield from (way.entrance.doubt for way in ways[:1] if way.entrance.doubt)


def found(
    code: str,
    spot: Spot,
    because: str,
    *,
    confidence: Confidence = Confidence.CERTAIN,
    severity: Severity | None = None,
    ways: Iterable[Way] = (),
    runs_on: Place | None = None,
    remedy: str = "",
) -> Finding:
    """`because`: one clause with what was seen. Without a way it is about what start-up makes."""
    rule = BY_CODE[code]
    ways = tuple(ways)
    least = min((way.guess for way in ways), default=0)
    entries = tuple(dict.fromkeys(way.entry for way in ways if least or not way.guess))
    place = runs_on or (ways[0].place if ways else Place.STARTUP)
    confidence = max(confidence, confidence_of(least), key=_SURE.index)
    return Finding(
        code=code,
        title=rule.title,
        severity=severity or rule.severity,
        confidence=confidence,
        entry=entries[0] if entries else None,
        site=Site(spot.file, spot.line, spot.function, spot.call),
        cause=CAUSES.get(code, CAUSES.get(code[:3], Cause.WAITING)),
        remedy=Remedy(remedy or rule.remedy),
        reach=ways[0].path().hops if ways else (),
        runs_on=str(place),
        evidence=(Evidence("reached", because="; ".join((because, *_doubts(ways)))),),
        entries=entries,
        impact="low",
    )
