"""A project worked out as far as calls go: its functions, its entrances, and what they reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from unstall.audit.calls import Calls
from unstall.audit.calls_ir import as_call
from unstall.audit.entrances import entrances as entrances_of
from unstall.audit.entrances_index import Index
from unstall.audit.entrances_lookup import Lookup
from unstall.audit.entrances_named import named
from unstall.audit.entrances_read import index
from unstall.audit.followed import followed
from unstall.audit.imported import Imported
from unstall.audit.imported_merge import Merged, merge, of_app
from unstall.audit.imported_types import seen
from unstall.audit.ir import Entrance, Function, Place, Program, Unread
from unstall.audit.judge import Judged, judge
from unstall.audit.mentioned import mentioned
from unstall.audit.names import SourceNames, declared
from unstall.audit.needed import needed, words
from unstall.audit.packages import Packages
from unstall.audit.project import Project
from unstall.audit.source import Parsed, data_of, find, parse_data
from unstall.audit.starters import (
    SERVED,
    Started,
    begun_by_start_up,
    functions_aside,
    serving_functions,
    started,
)
from unstall.audit.types import Types
from unstall.audit.values import EXTERNAL, INSTANCE, Values
from unstall.audit.walk import Walk
from unstall.audit.walk_nodes import Node
from unstall.audit.walk_ways import Way, reaching, roots_of, ways
from unstall.catalog.table import Table


class Functions(Mapping[str, Function]):
    """All functions; the calls of one are worked out when it is asked for."""

    def __init__(self, project: Project, types: Types, calls: Calls) -> None:
        self._declared = declared(project, types)
        self._project = project
        self._types = types
        self._calls = calls
        self._whole: dict[str, Function] = {}

    @property
    def declared(self) -> Mapping[str, Function]:
        """Without their calls."""
        return self._declared

    def __getitem__(self, key: str) -> Function:
        found = self._whole.get(key)
        if found is None:
            found = self._whole[key] = self._filled(self._declared[key])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)

    def _filled(self, known: Function) -> Function:
        scope = self._project.scope(known.id)
        assert scope is not None
        seen = self._calls.of(scope)
        returns = {
            value.name
            for value in self._types.returned(scope)
            if value.kind in (INSTANCE, EXTERNAL) and value.name
        }
        return replace(
            known,
            calls=tuple(as_call(self._types, scope, each) for each in seen),
            returns=tuple(sorted(returns)),
        )


@dataclass(frozen=True, slots=True)
class Worked:
    """Everything that rules, findings and paths are made of."""

    program: Program
    names: SourceNames
    functions: Functions
    index: Index
    walk: Walk
    judged: Judged
    entrances: tuple[Entrance, ...]
    """Those of the program, and async functions that nobody is seen to call."""
    found: Mapping[Node, Way]
    reached: Mapping[Node, int]
    """Bits: the entrances by number."""
    surely: Mapping[Node, int]
    """The same of those that reach it without a guess."""
    gaps: tuple[str, ...] = ()
    """What import did not see, and packages that were not followed."""


def read(
    root: Path, files: Sequence[str] | None = None, *, whole: bool = False
) -> tuple[list[Parsed], list[Unread]]:
    """The files of a project, or `files`; of the `whole` also tests that nobody imports."""
    missed: list[Unread] = []
    found: dict[str, Parsed | Unread] = {}

    def words_of(file: str) -> set[str]:
        """Each file is opened once: for its tree, and for the names of what it imports."""
        data = data_of(root / file)
        found[file] = _parsed(file, data)
        return words(data) if isinstance(data, bytes) else set()

    if files is None:
        every = list(find(root, missed))
        files = every if whole else needed(every, words_of)
    for file in files:
        if file not in found:
            found[file] = _parsed(file, data_of(root / file))
    ordered = [found[file] for file in files]
    parsed = [each for each in ordered if isinstance(each, Parsed)]
    return parsed, missed + [each for each in ordered if isinstance(each, Unread)]


def _parsed(file: str, data: bytes | str) -> Parsed | Unread:
    """A mistake of ours costs this file alone."""
    try:
        return parse_data(file, data)
    except Exception as error:
        return Unread(file, f"reading it failed ({type(error).__name__}); please report it")


def work_out(
    root: Path,
    parsed: Sequence[Parsed],
    unread: Sequence[Unread],
    table: Table,
    imported: Imported | None = None,
    settled: Mapping[int, Values] | None = None,
    packages: Packages | None = None,
    more: Sequence[str] = (),
    *,
    alone: bool = False,
) -> Worked:
    """From files to what is reached from where. `settled`: what expressions of the trees are known to be;
    `more`: functions that run on a loop, by name; `alone`: one app is asked about, not the project. Raises
    UsageError if one of `more` is not there.
    """
    project = Project(parsed, table)
    types = Types(project)
    types.settled = settled or {}
    if imported is not None:
        imported = imported.under({file: each.name for file, each in project.by_file.items()})
        types.seen = seen(imported)
    names = SourceNames(project, types)
    calls = Calls(types)
    functions = Functions(project, types, calls)
    found_by_name = index(project.modules)
    entered = entrances_of(names, functions.declared, project.slips, found_by_name)
    gaps: tuple[str, ...] = ()
    if imported is not None:
        own = of_app(entered, imported) if alone else Merged(tuple(entered))
        merged = merge(own.entrances, imported, frozenset(functions.declared))
        entered, gaps = merged.entrances, (*merged.gaps, *own.gaps)
    entered = (*_placed(entered), *named(more, functions.declared))
    lookup = Lookup(names, found_by_name)
    mains = _mains(lookup, types, entered)
    walk = Walk(types, calls, mains=mains)
    around = [each for each in entered if each.place in (Place.STARTUP, Place.SHUTDOWN)]
    walk.begin(node for each in around for node in roots_of(types, each))
    serving = serving_functions(walk, entered, lookup.blocks())
    begun = started(walk, entered, serving)
    walk.begin_early(begun_by_start_up(walk, begun))
    walk.explore(node for each in begun for node in roots_of(types, each.entrance))
    entered = tuple(each.entrance for each in begun)
    loaded = frozenset(imported.modules.values()) if alone and imported is not None else None
    every, found, roots = _with_tasks(walk, functions, begun, serving, loaded)
    reached, surely = reaching(walk, roots), reaching(walk, roots, 0)
    program = Program(
        root=root,
        modules=project.modules,
        functions=functions,
        bases=_bases(types),
        entrances=entered,
        unread=tuple(unread),
    )
    judged = judge(walk, table, every)
    if packages is not None:
        judged, unread_ = followed(judged, found, walk, table, packages)
        gaps += unread_
    return Worked(
        program, names, functions, found_by_name, walk, judged, every, found, reached, surely, gaps
    )


def _with_tasks(
    walk: Walk,
    functions: Functions,
    begun: Sequence[Started],
    serving: frozenset[str],
    loaded: frozenset[str] | None,
) -> tuple[tuple[Entrance, ...], dict[Node, Way], list[tuple[int, int, Node]]]:
    """Async functions that no entrance reaches surely are tasks of somebody unseen: on a loop in any case.

    In a service what nobody mentions runs perhaps never; what a library has, others call.
    `loaded`: files of modules that the app was seen to import, where it alone is asked about.
    """
    entered = [each.entrance for each in begun]
    roots = [
        (number, each.guess, node)
        for number, each in enumerate(begun)
        for node in roots_of(walk.types, each.entrance)
    ]
    found = ways(walk, roots)
    # A service has its tasks; what its commands run waits for nobody's request.
    serves = any(entrance.kind in SERVED for entrance in entered)
    on_loop = {
        node.function for node, way in found.items() if way.guess < 2 and node.place in _LOOPS
    }
    aside = functions_aside(walk, begun, found, serving)
    tasks: list[Entrance] = []
    waiting = _unreached(walk, functions, on_loop | aside)
    for function, is_mentioned in _mentioned_first(walk, waiting, found if serves else None, aside):
        if function.id in on_loop or (serves and _is_command(function.file)):
            continue
        if loaded is not None and function.file not in loaded:
            continue
        node = Node(function.id, Place.LOOP)
        walk.explore([node])
        task = _task(function, is_mentioned)
        roots.append((len(entered) + len(tasks), 2 if task.doubt else 1, node))
        tasks.append(task)
        on_loop |= _reachable(walk, node)
    found = ways(walk, roots, unseen=len(entered))
    return (*entered, *tasks), found, roots


def _mentioned_first(
    walk: Walk, functions: Sequence[Function], found: Iterable[Node] | None, aside: Set[str]
) -> Sequence[tuple[Function, bool]]:
    """With whether something that runs mentions each; `found` is None of a library: others call it."""
    known: frozenset[str] | None = None
    with walk.types.project.slips.kept("", "who is mentioned by whom"):
        if found is not None:
            serving = {node.function for node in found if node.place is not Place.OFFLINE}
            known = mentioned(walk.types, {node.function for node in found}, aside - serving)
    told = [(each, known is None or each.id in known) for each in functions]
    return sorted(told, key=lambda each: not each[1])


def _task(function: Function, is_mentioned: bool) -> Entrance:
    name = function.id.partition(":")[2]
    doubt = "" if is_mentioned else f"nobody was seen to call {name}"
    return Entrance(
        "task", name, function.id, Place.LOOP, function.file, function.line, doubt=doubt
    )


def _mains(lookup: Lookup, types: Types, entered: Sequence[Entrance]) -> frozenset[str]:
    """Functions that are a program and nothing else: no request enters them, and no function calls them."""
    served = {function for each in entered for function in _served(each)}
    begun = {id(use.call) for use in lookup.index.in_main}

    def is_called(function: str) -> bool:
        scope = types.project.scope(function)
        return scope is not None and any(
            id(mention.call) not in begun and types.callers.is_call_of(mention, scope) is not None
            for mention in types.callers.mentions(scope)
        )

    found = {function for _, function in lookup.mains()} - served
    return frozenset(function for function in found if not is_called(function))


def _served(entrance: Entrance) -> Iterator[str]:
    if entrance.place is not Place.OFFLINE:
        yield from (entrance.function, *(step.function for step in entrance.steps))


def _placed(entered: Sequence[Entrance]) -> Iterator[Entrance]:
    """Tasks of commands beside a service run on a loop that no request waits for."""
    serves = any(entrance.kind in SERVED for entrance in entered)
    for entrance in entered:
        if serves and entrance.kind == "task" and _is_command(entrance.file):
            yield replace(entrance, kind="offline", place=Place.OFFLINE)
        else:
            yield entrance


_LOOPS = (Place.LOOP, Place.STARTUP, Place.SHUTDOWN)
_COMMANDS = frozenset({"cli", "commands", "management", "cli.py", "__main__.py", "manage.py"})


def _is_command(file: str) -> bool:
    return not _COMMANDS.isdisjoint(file.split("/"))


def _unreached(walk: Walk, functions: Functions, on_loop: set[str]) -> list[Function]:
    """Async functions of the service, those first that nobody mentions."""
    modules = walk.types.project.modules
    callers = walk.types.callers
    waiting = []
    for function in functions.declared.values():
        module = modules.get(function.id.partition(":")[0])
        if (
            function.is_async
            and function.id not in on_loop
            and module is not None
            and not module.is_test
        ):
            scope = walk.types.project.scope(function.id)
            mentioned = bool(scope is not None and callers.mentions(scope))
            waiting.append((mentioned, function.file, function.line, function))
    return [each[3] for each in sorted(waiting, key=lambda each: each[:3])]


def _reachable(walk: Walk, start: Node) -> set[str]:
    seen = {start}
    waiting = [start]
    while waiting:
        node = waiting.pop()
        for edge in walk.nodes[node].edges if node in walk.nodes else ():
            if edge.guess < 2 and edge.target not in seen:
                seen.add(edge.target)
                waiting.append(edge.target)
    return {node.function for node in seen if node.place in _LOOPS}


def _bases(types: Types) -> dict[str, tuple[str, ...]]:
    return {
        scope.id: types.classes.bases(scope.id)
        for index in types.project.indexes.values()
        for scope in index.scopes.values()
        if scope.kind == "class"
    }
