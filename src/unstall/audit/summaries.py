"""What calls of installed packages do, read from their own source where no row of the catalog knows them.

Followed blindly, others' code accuses the innocent: caches, pools, asynchronous twins. So a package is
followed a few calls deep, through calls that no condition guards and whose target is the only one possible,
and only waits for files, peers and processes count. A row of the catalog on the way has the last word.
"""

from __future__ import annotations

import ast
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from unstall.audit.calls import Calls
from unstall.audit.ir import Place, Via
from unstall.audit.judge import Hit, Rows, hit_of
from unstall.audit.packages import Packages, sources
from unstall.audit.project import Project
from unstall.audit.room import swept
from unstall.audit.slips import Slips
from unstall.audit.sure import surely
from unstall.audit.types import Types
from unstall.audit.types_callers import Callers
from unstall.audit.values import (
    CLASS,
    FUNCTION,
    INSTANCE,
    MODULE,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    one,
)
from unstall.audit.walk import Walk
from unstall.audit.walk_nodes import Edge, Node, Reached
from unstall.catalog.row import Cost, Effect, Row
from unstall.catalog.table import Table

DEEPEST = 3
"""Calls inside the package."""
_MOST_PACKAGES = 40
_FEW = 6
"""What the first ones leave behind is little, and goes with the process."""
_KINDS = frozenset("US101 US102 US103 US104 US105 US106 US107 US108 US110 US111".split())
"""Waits for somebody outside. Not locks, logging, imports and computing: behind these stand caches."""


class Summary(NamedTuple):
    """What a call surely comes to."""

    row: Row
    chain: tuple[str, ...]
    """From the call to what blocks, by name."""

    @property
    def text(self) -> str:
        return " → ".join(self.chain)


def summaries(
    names: Iterable[str], packages: Packages, table: Table, slips: Slips
) -> tuple[Mapping[str, Summary], tuple[str, ...]]:
    """Of those names, dotted and public, that surely block; and packages whose source is not there."""
    found: dict[str, Summary] = {}
    asked: dict[tuple[Path, str], dict[str, tuple[str, tuple[str, ...]]]] = defaultdict(dict)
    unread: dict[str, None] = {}
    for name in dict.fromkeys(names):
        place = packages.file_of(name.replace("()", ""))
        if place is None:
            unread[name.partition(".")[0]] = None
            continue
        folder, file, _ = place
        module = file.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
        left = tuple(name[len(module) + 1 :].split(".")) if len(name) > len(module) else ()
        asked[folder, name.partition(".")[0]][name] = (file, left)
    for number, ((folder, top), each) in enumerate(list(asked.items())[:_MOST_PACKAGES]):
        packages.used.update(folder / file for file, _ in each.values())
        sweeping = swept() if number >= _FEW else nullcontext()
        with sweeping, slips.kept("", f"the package {top}"):
            package = _Package(folder, [file for file, _ in each.values()], table)
            packages.used.update(folder / file for file in package.files)
            for name, (file, left) in each.items():
                summary = package.summary(name, file, left)
                if summary is not None:
                    found[name] = summary
            del package  # its trees refer to each other
    return found, tuple(sorted(unread))


class _Nobody(Callers):
    """Who else in the package calls a function with what says nothing about our call."""

    def passed(self, key: str) -> Values:
        return NOTHING


class _Package:
    """The modules of one package that were asked for, and their neighbours."""

    def __init__(self, folder: Path, files: list[str], table: Table) -> None:
        self._table = table
        self._project = Project(sources(folder, files), table)
        self._types = Types(self._project)
        self._types.callers = _Nobody(self._types)
        self._walk = Walk(self._types, Calls(self._types), exact=True)
        self._rows = Rows(self._walk, table)
        self._sure: dict[str, frozenset[int]] = {}

    @property
    def files(self) -> Iterable[str]:
        return self._project.by_file

    def summary(self, name: str, file: str, left: tuple[str, ...]) -> Summary | None:
        module = self._project.by_file.get(file)
        values = one(MODULE, module.name) if module is not None else NOTHING
        for part in left:
            values = self._member(values, part)
        start = self._start(values)
        return self._best(name, start) if start is not None else None

    def _member(self, values: Values, part: str) -> Values:
        """`part`, or `part()`: what calling it gives."""
        values = frozenset(
            Value(INSTANCE, v.name, exact=True) if v.kind == CLASS else v for v in values
        )
        found = self._types.member(values, part.removesuffix("()"))
        return self._types.called(found, None, None) if part.endswith("()") else found

    def _start(self, values: Values) -> Node | None:
        """The function that is called, if it is one, plain, and does its work when it is called."""
        if len(values) != 1:
            return None
        (value,) = values
        if value.kind == CLASS:
            made = self._types.classes.constructor(value.name)
            return Node(made.id, Place.LOOP, value.name) if made is not None else None
        if value.kind != FUNCTION or value.place:
            return None
        return Node(value.name, Place.LOOP, value.owner) if self._works(value.name) else None

    def _works(self, function: str) -> bool:
        """A generator and a coroutine begin later; what is cached does it once."""
        scope = self._project.scope(function)
        if scope is None or scope.kind != "function":
            return False
        shape = self._types.shape(scope)
        return not (shape.is_async or shape.is_generator or shape.is_context or shape.is_cached)

    def _best(self, name: str, start: Node) -> Summary | None:
        """The dearest of what it surely reaches, then the nearest."""
        best: Summary | None = None
        waiting: deque[tuple[Node, tuple[str, ...]]] = deque([(start, (name,))])
        seen = {start}
        while waiting:
            node, chain = waiting.popleft()
            for row, api in self._blocking(node):
                if best is None or (best.row.cost, row.cost) == (Cost.MS, Cost.UNBOUNDED):
                    best = Summary(row, (*chain, api))
            for edge in self._onward(node):
                if edge.target not in seen and len(chain) <= DEEPEST:
                    seen.add(edge.target)
                    waiting.append((edge.target, (*chain, _public(edge.target))))
        return best

    def _blocking(self, node: Node) -> Iterator[tuple[Row, str]]:
        """What the function does itself, and calls of its own package that rows know."""
        reached = self._walk.reached(node)
        if reached is None:
            return
        sure = self._surely(node)
        for outside in reached.outside:
            if (
                outside.guess
                or outside.place is not Place.LOOP
                or id(outside.seen.node) not in sure
            ):
                continue
            hit = hit_of(outside, self._rows, reached.scope)
            if hit is not None and _counts(hit.row) and not self._may_be_the_callers(hit, reached):
                yield hit.row, hit.name
        for edge in reached.edges:
            row = self._table.row_for(_public(edge.target))
            if row is not None and _counts(row) and self._is_sure(edge, sure):
                yield row, self._table.canonical(_public(edge.target))

    def _may_be_the_callers(self, hit: Hit, reached: Reached) -> bool:
        """A method of a file that is opened here, or of what was passed, which may be a buffer."""
        match hit.outside.seen.node:
            case ast.Call(ast.Attribute(ast.Name(name) as receiver)) if hit.row.code == "US106":
                values = self._types.values(reached.scope, receiver)
                is_passed = any(value.kind == PARAMETER for value in values)
                return is_passed and not reached.scope.keeps(name)
        return False

    def _onward(self, node: Node) -> Iterator[Edge]:
        reached = self._walk.reached(node)
        for edge in reached.edges if reached is not None else ():
            if (
                self._is_sure(edge, self._surely(node))
                and self._works(edge.target.function)
                and self._table.row_for(_public(edge.target)) is None
            ):
                yield edge

    def _is_sure(self, edge: Edge, sure: frozenset[int]) -> bool:
        return (
            not edge.guess
            and edge.target.place is Place.LOOP
            and edge.seen.via in (Via.CALL, Via.READ)
            and id(edge.seen.node) in sure
        )

    def _surely(self, node: Node) -> frozenset[int]:
        known = self._sure.get(node.function)
        scope = self._project.scope(node.function)
        if known is None and scope is not None:
            shape = self._types.shape(scope)
            receiver = frozenset(() if shape.is_static else shape.parameters[:1])
            known = self._sure[node.function] = surely(scope.node, receiver)
        return known or frozenset()


def _counts(row: Row) -> bool:
    return row.effect is Effect.BLOCKS and row.code in _KINDS and row.cost is not Cost.US


def _public(node: Node) -> str:
    """`acme.client:Client.fetch` as `acme.client.Client.fetch`; a constructor as its class."""
    name = node.function.replace(":", ".").partition("@")[0]
    return name.removesuffix(".__init__")
