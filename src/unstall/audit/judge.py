"""From what runs where to what blocks: rows of the catalog, conditions on arguments, findings."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from unstall.audit.calls import Seen, confidence_of, text_of
from unstall.audit.given import classes_given, classes_passed, doubt, given
from unstall.audit.handed import Handed
from unstall.audit.ir import Entrance, Place, Via
from unstall.audit.loop_asked import STARTS_A_LOOP, asks_for_a_loop
from unstall.audit.many import Many
from unstall.audit.readers import when_ready
from unstall.audit.remedies import remedy_at
from unstall.audit.scopes import Scope
from unstall.audit.values import Value
from unstall.audit.walk import Walk
from unstall.audit.walk_nodes import Node, Outside
from unstall.audit.walk_ways import Way
from unstall.catalog.row import Cost, Effect, Row
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


class Hit(NamedTuple):
    """One blocking call in a function that runs in a place."""

    row: Row
    name: str
    """The public API."""
    place: Place
    outside: Outside
    least: int = 0
    """Guesses that lie between the call and what it blocks in."""
    many: str = ""
    """Of microseconds in a loop: what it goes over that there may be many of."""

    @property
    def guess(self) -> int:
        return max(self.outside.guess, self.least)


@dataclass(frozen=True, slots=True)
class Judged:
    hits: Mapping[Node, tuple[Hit, ...]]
    unknown: Mapping[Node, tuple[Outside, ...]]
    """Calls whose target is not known, and calls of others' code that no row speaks of."""
    calls: int


def judge(walk: Walk, table: Table, entrances: Sequence[Entrance] = ()) -> Judged:
    """What each node does itself, whatever reaches it."""
    hits: dict[Node, tuple[Hit, ...]] = {}
    unknown: dict[Node, tuple[Outside, ...]] = {}
    rows, many = Rows(walk, table), Many(walk, entrances)
    calls: set[int] = set()
    for node, reached in walk.nodes.items():
        own: list[Hit] = []
        open_: list[Outside] = []
        calls.update(id(edge.seen.node) for edge in reached.edges)
        calls.update(id(outside.seen.node) for outside in reached.outside)
        kept = walk.kept(node)
        for outside in reached.outside:
            with kept:
                hit = hit_of(outside, rows, reached.scope)
                if hit is not None:
                    own.append(_multiplied(hit, many, reached.scope))
                elif not _known(outside, rows):
                    open_.append(outside)
        if own:
            hits[node] = tuple(own)
        if open_:
            unknown[node] = tuple(open_)
    return Judged(hits, unknown, len(calls))


def hit_of(outside: Outside, rows: Rows, scope: Scope) -> Hit | None:
    """The blocking call that it is; None where it is clean or not known."""
    seen, value = outside.seen, outside.value
    if value is None or (seen.event.awaited and outside.place is outside.node.place):
        return None  # what is awaited gives the loop back
    row, name = rows.find(value, seen.via)
    if row is None or row.effect is not Effect.BLOCKS:
        return None
    call = seen.node if isinstance(seen.node, ast.Call) and seen.via is not Via.READ else None
    least = 0
    if call is not None:
        is_call = outside.place is outside.node.place
        said, classes_of = given(call, is_call), classes_given(rows.types, scope, call, is_call)
        passed = classes_passed(rows.types, scope, call, is_call)
        if not row.holds(said, classes_of):
            if not row.may_hold(said, classes_of, passed):
                return None
            least = 1
        sure = row.form(said, classes_of)
        form = sure or row.form_if(said, passed)
        many = form is not None and form.single and seen.event.repeats
        later = form is not None and form.defers and rows.handed.to_unknown(scope, call, name)
        if form is not None and not (many or later):
            least = least if sure else max(least, doubt(row, said, passed, form))
            row = row.priced(sure)
    if name in STARTS_A_LOOP and asks_for_a_loop(rows.types, scope):
        return Hit(row, name, outside.place, outside, 2)
    if name in _WHEN_READY and rows.reads_when_ready(outside.node):
        return Hit(row, name, outside.place, outside, 2)
    if row.code not in _FIRST_TIME_ONLY:
        return Hit(row, name, outside.place, outside, least)
    if call is not None and _is_loaded(call):
        return None
    return Hit(row, name, outside.place, outside, 1)


def _multiplied(hit: Hit, many: Many, scope: Scope) -> Hit:
    """In a loop microseconds add up if it goes round many times, and how many source never says."""
    if not _is_small_in_a_loop(hit):
        return hit
    said = many.of(scope, hit.outside.seen.event.over)
    return hit._replace(many=said, least=max(hit.least, 1 if said else 2))


def _is_small_in_a_loop(hit: Hit) -> bool:
    is_small = hit.row.cost is Cost.US and hit.row.code == "US106"
    return is_small and hit.outside.seen.event.repeats


_WHEN_READY = frozenset(
    "os.read os.readv socket.socket.accept socket.socket.recv socket.socket.recv_into "
    "socket.socket.recvfrom".split()
)
"""They wait for nothing where the loop has said that there is something to read."""
_FIRST_TIME_ONLY = frozenset({"US112"})
"""Rules of calls that may have been made long before: never certain."""


def _is_loaded(call: ast.Call) -> bool:
    """An import of a module of Python's own, which an ASGI server has loaded or loads in no time."""
    first = call.args[0] if call.args else None
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return False
    return first.value.partition(".")[0] in sys.stdlib_module_names


class Rows:
    """What the catalog says of a target; each name is looked up once."""

    def __init__(self, walk: Walk, table: Table) -> None:
        self.types = walk.types
        self._table = table
        self._known: dict[tuple[str, str, Via], tuple[Row | None, str]] = {}
        self._walk = walk
        self._ready: frozenset[str] | None = None
        self.handed = Handed(walk, self.find, lambda outside: _known(outside, self))

    def find(self, value: Value, via: Via) -> tuple[Row | None, str]:
        """The row, and the public name that it is of."""
        key = (value.name, value.owner, via)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(*key)
        return found

    def reads_when_ready(self, node: Node) -> bool:
        """It runs when the loop has said that there is something to read."""
        if self._ready is None:
            self._ready = when_ready(self._walk)
        return node.function in self._ready

    def _find(self, name: str, owner: str, via: Via) -> tuple[Row | None, str]:
        for each in self._names(name, owner, via):
            row = self._table.row_for(each, str(via))
            if row is not None:
                return row, self._public(self._table.canonical(each))
        return None, name

    def _public(self, name: str) -> str:
        """An instance that is called has the name of its class, unless making it blocks as well."""
        class_ = name.removesuffix(".__call__")
        is_class = class_ != name and class_.rpartition(".")[2][:1].isupper()
        made = self._table.row_for(class_) if is_class else None
        return name if made is not None and made.effect is Effect.BLOCKS else class_

    def _names(self, name: str, owner: str, via: Via) -> Iterator[str]:
        """The name, then the same member of the classes that the receiver inherits from."""
        if via in (Via.CALL, Via.READ):
            yield name
            last = name.rpartition(".")[2]
            for each in self.types.classes.foreign(owner) if owner else ():
                yield f"{each}.{last}"
        else:
            yield from self.types.classes.foreign(owner or name) or (name,)


def _known(outside: Outside, rows: Rows) -> bool:
    """Whether there is nothing to ask: a row speaks of it, or it does no more than make a value."""
    value, node = outside.value, outside.seen.node
    called = node.func if isinstance(node, ast.Call) else node
    if isinstance(called, ast.Attribute) and called.attr in _OF_VALUES:
        return True
    if value is None:
        return False
    if value.name.startswith("builtins.") or outside.seen.via is not Via.CALL:
        return True
    return value.name.endswith(_ERRORS) or rows.find(value, outside.seen.via)[0] is not None


_ERRORS = ("Error", "Exception", "Warning")
_OF_VALUES = frozenset(
    "append capitalize casefold decode encode endswith extend isalnum isalpha isdigit isdecimal isnumeric "
    "isoformat isspace items keys ljust lower lstrip partition removeprefix removesuffix rfind rjust "
    "rpartition rsplit rstrip setdefault split splitlines startswith strftime strip swapcase timestamp "
    "title total_seconds upper values zfill".split()
)
"""Methods of texts, lists, dictionaries and times: where the class is not known, the name says enough."""


# Findings


class _Key(NamedTuple):
    code: str
    file: str
    line: int
    column: int
    name: str
    startup: bool


def findings(
    walk: Walk,
    judged: Judged,
    entrances: Sequence[Entrance],
    found: Mapping[Node, Way],
    reached: Mapping[Node, int],
    surely: Mapping[Node, int],
) -> tuple[Finding, ...]:
    """One for each site and class of place, with all entrances that reach it as surely as it says."""
    groups: dict[_Key, list[tuple[Hit, Node]]] = defaultdict(list)
    for node, hits in judged.hits.items():
        if node not in found:
            continue
        for hit in hits:
            if hit.place not in (Place.LOOP, Place.STARTUP):
                continue
            where = hit.outside.seen.node
            file = walk.types.project.file_of(walk.nodes[node].scope)
            startup = hit.place is Place.STARTUP
            key = _Key(hit.row.code, file, where.lineno, where.col_offset, hit.name, startup)
            groups[key].append((hit, node))
    made: list[Finding] = []
    entries = _Entries(entrances)
    for key, group in groups.items():
        with walk.kept(group[0][1]):
            made.append(_finding(walk, key, group, entries, found, (surely, reached)))
    return tuple(_one_per_line(made))


def _one_per_line(made: Iterable[Finding]) -> Iterator[Finding]:
    """Of several calls of one rule in a line, one that weighs speaks for them; of those the surest."""
    best: dict[tuple[object, ...], Finding] = {}

    def rank(finding: Finding) -> tuple[bool, int]:
        return finding.impact == "trivial", _CONFIDENCE.index(finding.confidence)

    for finding in made:
        assert finding.site is not None
        key = (
            finding.code,
            finding.site.file,
            finding.site.line,
            finding.runs_on,
            finding.site.function,
        )
        other = best.get(key)
        if other is None or rank(finding) < rank(other):
            best[key] = finding
    return iter(best.values())


_CONFIDENCE = list(Confidence)


def impact_of(hit: Hit) -> str:
    """`trivial` is a single call of microseconds; in a loop over files there are as many as files.

    So is a file that is read once in a process. What computes or asks others stalls the first request.
    """
    if hit.row.code == "US106" and hit.row.cost is Cost.MS and hit.outside.once:
        return "trivial"
    if hit.row.cost is Cost.US:
        return "low" if _is_small_in_a_loop(hit) else "trivial"
    return "low" if hit.row.cost is Cost.MS else "high"


def _finding(
    walk: Walk,
    key: _Key,
    group: Sequence[tuple[Hit, Node]],
    known: _Entries,
    found: Mapping[Node, Way],
    reached: tuple[Mapping[Node, int], Mapping[Node, int]],
) -> Finding:
    hit, node = min(group, key=lambda pair: _rank(pair[0], found[pair[1]]))
    guess = max(hit.guess, found[node].guess)
    bits = 0
    for told, each in group:
        if told.guess <= guess or guess > 1:  # who only may come to it is no entry of what is surer
            bits |= reached[min(guess, 1)].get(each, 0)
    entries = known.of(bits)
    first = known.entrances[found[node].entrance]
    if entries and first not in entries:
        first = next((e for e in entries if _is_step(first, e)), first)
    ordered = [first, *(e for e in entries if e is not first)]
    rule, where = BY_CODE[key.code], hit.outside.seen.node
    return Finding(
        code=key.code,
        title=rule.title,
        severity=Severity.NOTE if key.startup else rule.severity,
        confidence=confidence_of(guess),
        entry=entry_of(first),
        site=Site(key.file, key.line, qualname(node.function), key.name),
        cause=Cause.CPU
        if key.code.startswith("US2")
        else Cause.LOCK
        if key.code == "US109"
        else Cause.WAITING,
        remedy=Remedy(remedy_at(hit.row, walk.types, walk.nodes[node].scope, where)),
        reach=reach(walk, found, node),
        runs_on=str(hit.place),
        evidence=(Evidence("reached", because=_doubted(hit, first) or _counted(hit)),),
        entries=tuple(dict.fromkeys(entry_of(e) for e in ordered)),
        impact=impact_of(hit),
    )


def _doubted(hit: Hit, first: Entrance) -> str | None:
    """What stands in place of the sentence of a sure finding."""
    return f"{first.doubt}, and it comes to {hit.name}" if first.doubt else None


def _counted(hit: Hit) -> str | None:
    """Why microseconds count, or do not."""
    if not _is_small_in_a_loop(hit):
        return None
    if hit.many:
        return f"{hit.name} takes microseconds, once for {hit.many}"
    return f"{hit.name} takes microseconds, and nothing shows that its loop goes round many times"


def _rank(hit: Hit, way: Way) -> tuple[bool, int, int, int]:
    """Of one call in several nodes: the one that weighs speaks, then the surest, then the nearest, and of
    those the one whose entrance comes first, which is a route's.
    """
    return impact_of(hit) == "trivial", max(hit.guess, way.guess), way.length, way.entrance


class _Entries:
    """Entrances by bits; what many findings share is worked out once."""

    def __init__(self, entrances: Sequence[Entrance]) -> None:
        self.entrances = entrances
        self._known: dict[int, list[Entrance]] = {}

    def of(self, bits: int) -> list[Entrance]:
        if bits not in self._known:
            self._known[bits] = _once([self.entrances[number] for number in numbers(bits)])
        return self._known[bits]


def _once(entries: Sequence[Entrance]) -> list[Entrance]:
    """A stream or background task is a part of the request that hands it over."""
    later = {step.function for each in entries for step in each.steps if step.kind in _HANDED_OVER}
    return [each for each in entries if each.steps or each.function not in later]


_HANDED_OVER = ("stream", "background task")


def _is_step(entrance: Entrance, route: Entrance) -> bool:
    return any(
        step.kind in _HANDED_OVER and step.function == entrance.function for step in route.steps
    )


def numbers(bits: int) -> Iterator[int]:
    """Which bits are set, lowest first."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def entry_of(entrance: Entrance) -> Entry:
    return Entry(entrance.kind, entrance.name, entrance.function)


def qualname(function: str) -> str:
    return function.partition(":")[2] or function


def reach(walk: Walk, found: Mapping[Node, Way], node: Node) -> tuple[Hop, ...]:
    """The calls from the entrance to the node."""
    hops: list[Hop] = []
    current: Node | None = node
    while current is not None:
        way = found[current]
        if way.before is None or way.seen is None:
            break
        hops.append(hop_of(walk, way.before, way.seen))
        current = way.before
        if len(hops) > 64:
            break
    return tuple(reversed(hops))


def hop_of(walk: Walk, node: Node, seen: Seen) -> Hop:
    """One call of a node, on the way to another."""
    where = seen.node
    called = where.func if isinstance(where, ast.Call) and seen.via is Via.CALL else where
    file = walk.types.project.file_of(walk.nodes[node].scope)
    return Hop(file, where.lineno, qualname(node.function), text_of(called), str(node.place))


def time_out_of(row: Row, call: ast.expr) -> str:
    """What bounds a call, in a clause; empty where nothing is known."""
    bound = row.time_out
    if bound is None:
        return ""
    for keyword in call.keywords if isinstance(call, ast.Call) else ():
        if keyword.arg == bound.parameter:
            return f"{bound.parameter}={text_of(keyword.value)}"
    return "no time-out" if bound.default == "none" else f"{bound.parameter}: {bound.default}"
