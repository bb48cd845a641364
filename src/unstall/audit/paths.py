"""The path of each request, step by step: what it may wait for, and why it is clean where it is."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from unstall.audit import calls, calls_ir
from unstall.audit.ir import Entrance, Place, Step, Via
from unstall.audit.judge import Hit, Judged, entry_of, qualname, time_out_of
from unstall.audit.walk import Walk
from unstall.audit.walk_nodes import Node, Outside
from unstall.audit.walk_ways import root_of
from unstall.model.finding import Finding, Hop, Site
from unstall.model.path import Blocking, PathStep, RequestPath

_SERVED = ("route", "websocket")
_MOST = 40
"""Blocking calls, and unknown ones, that are told of one step."""

Named = Mapping[tuple[str, str, int, str, str], str]


def request_paths(
    walk: Walk, judged: Judged, entrances: Sequence[Entrance], findings: Sequence[Finding]
) -> tuple[RequestPath, ...]:
    """One for each route and WebSocket."""
    paths = _Paths(walk, judged, _fingerprints(findings))
    found: list[RequestPath] = []
    for e in entrances:
        if e.kind in _SERVED:
            with walk.types.project.slips.kept(e.file, e.name):
                found.append(RequestPath(entry_of(e), e.file, e.line, tuple(paths.steps(e))))
    return tuple(found)


def _fingerprints(findings: Sequence[Finding]) -> Named:
    return {
        (f.code, f.site.file, f.site.line, f.site.function, f.runs_on): f.fingerprint
        for f in findings
        if f.site
    }


class _Paths:
    def __init__(self, walk: Walk, judged: Judged, fingerprints: Named) -> None:
        self._walk = walk
        self._judged = judged
        self._fingerprints = fingerprints
        self._known: dict[Node, PathStep] = {}

    def steps(self, entrance: Entrance) -> Iterator[PathStep]:
        steps = entrance.steps or (
            Step(
                "endpoint",
                entrance.function,
                entrance.place,
                "",
                entrance.file,
                entrance.line,
                receiver=entrance.receiver,
                exact=entrance.exact,
            ),
        )
        for step in steps:
            node = root_of(self._walk.types, step)
            known = self._known.get(node)
            if known is None:
                known = self._known[node] = self._step(node, step)
            yield replace(
                known,
                kind=step.kind,
                why=step.why,
                file=step.file,
                line=step.line,
                depth=step.depth,
                hops=known.hops + (step.place is Place.THREAD_POOL),
            )

    def _step(self, node: Node, step: Step) -> PathStep:
        blocking: list[Blocking] = []
        unknown: dict[str, None] = {}
        jumps = 0
        for each, guess, hops in _below(self._walk, node):
            jumps += sum(len(edge.seen.moved) > 0 for edge in self._walk.nodes[each].edges)
            for hit in self._judged.hits.get(each, ()):
                if len(blocking) < _MOST:
                    blocking.append(self._blocking(hit, each, guess, hops))
            for outside in self._judged.unknown.get(each, ()):
                if len(unknown) < _MOST and guess < 2:
                    unknown[self._open(outside, each)] = None
        return PathStep(
            kind=step.kind,
            function=step.function,
            place=str(step.place),
            why=step.why,
            file=step.file,
            line=step.line,
            blocking=tuple(blocking),
            unknown=tuple(unknown),
            hops=jumps,
        )

    def _blocking(self, hit: Hit, node: Node, guess: int, hops: tuple[Hop, ...]) -> Blocking:
        scope = self._walk.nodes[node].scope
        file = self._walk.types.project.file_of(scope)
        where = hit.outside.seen.node
        site = Site(file, where.lineno, qualname(node.function), hit.name)
        key = (hit.row.code, file, where.lineno, site.function, str(hit.place))
        return Blocking(
            code=hit.row.code,
            site=site,
            reach=hops,
            place=str(hit.place),
            confidence=calls.confidence_of(max(guess, hit.guess)),
            cost=str(hit.row.cost),
            time_out=time_out_of(hit.row, where),
            fingerprint=self._fingerprints.get(key, ""),
        )

    def _open(self, outside: Outside, found_in: Node) -> str:
        """A call that nobody knows, with what would settle it."""
        walk, node = self._walk, outside.seen.node
        scope = walk.nodes[found_in].scope
        written = node.func if isinstance(node, ast.Call) and outside.seen.via is Via.CALL else node
        place = f"{walk.types.project.file_of(scope)}:{node.lineno} {calls.text_of(written)}"
        if outside.value is None:
            return f"{place}: {calls_ir.unknown(walk.types, scope, written)}"
        return f"{place}: the catalog has no row for {outside.value.name}"


def _below(walk: Walk, root: Node) -> Iterator[tuple[Node, int, tuple[Hop, ...]]]:
    """All that a function reaches, nearest first, with the guesses and calls on the way."""
    if root not in walk.nodes:
        return
    found: dict[Node, int] = {root: 0}
    waiting: deque[tuple[Node, int, tuple[Hop, ...]]] = deque([(root, 0, ())])
    while waiting:
        node, guess, hops = waiting.popleft()
        yield node, guess, hops
        reached = walk.nodes[node]
        file = walk.types.project.file_of(reached.scope)
        for edge in reached.edges:
            least = max(guess, min(edge.guess, 2))
            if edge.target in found or edge.target not in walk.nodes or len(hops) > 32:
                continue
            found[edge.target] = least
            where = edge.seen.node
            called = (
                where.func if isinstance(where, ast.Call) and edge.seen.via is Via.CALL else where
            )
            hop = Hop(
                file, where.lineno, qualname(node.function), calls.text_of(called), str(node.place)
            )
            waiting.append((edge.target, least, (*hops, hop)))
