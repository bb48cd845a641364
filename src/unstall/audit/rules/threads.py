"""US301 to US305: what threads cost, and when they run out."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from unstall.audit.calls import confidence_of
from unstall.audit.entrances_index import Use, own_nodes
from unstall.audit.first_time import is_part
from unstall.audit.ir import Function, Place
from unstall.audit.judge import Hit, impact_of
from unstall.audit.rules.arguments import argument, is_none
from unstall.audit.rules.subject import Spot, Subject, Way, found, shown
from unstall.audit.rules.walking import is_computing, is_endless
from unstall.audit.walk_nodes import Node
from unstall.catalog.row import Cost
from unstall.model.finding import Confidence, Finding, Severity

MANY_HOPS = 3
PURE = frozenset(
    """
    str int float bool bytes len min max sum abs round sorted reversed range enumerate zip any all isinstance
    issubclass getattr hasattr tuple list dict set frozenset repr iter next divmod ord chr hash id type
    """.split()
)
RAISED = (
    "fastapi.HTTPException",
    "starlette.exceptions.HTTPException",
    "fastapi.exceptions.HTTPException",
)


def check_hops(subject: Subject) -> Iterator[Finding]:
    """US301"""
    users: Counter[str] = Counter()
    kinds: dict[str, str] = {}
    ways: dict[str, Way] = {}
    for entrance in subject.program.entrances:
        threaded = [step for step in entrance.steps if step.place is Place.THREAD_POOL]
        for step in threaded:
            users[step.function] += 1
            kinds.setdefault(step.function, step.kind)
            ways.setdefault(step.function, Way(entrance, step.place))
        if len(threaded) >= MANY_HOPS:
            way = Way(entrance, Place.THREAD_POOL)
            spot = Spot(entrance.file, entrance.line, shown(entrance.function), entrance.name)
            names = ", ".join(shown(step.function) for step in threaded)
            because = f"{len(threaded)} hops to threads for each request: {names}"
            yield found("US301", spot, because, ways=[way], confidence=Confidence.POSSIBLE)
    for id_, count in users.items():
        function = subject.worked.functions.declared.get(id_)
        if function is None or kinds[id_] != "dependency" or not _is_pure(subject, function):
            continue
        spot = Spot(function.file, function.line, shown(id_), shown(id_))
        because = f"a plain def dependency of {count} routes that only computes a value"
        yield found("US301", spot, because.replace("1 routes", "one route"), ways=[ways[id_]])


def _is_pure(subject: Subject, function: Function) -> bool:
    if function.is_async or function.is_generator:
        return False
    return all(_calls_nothing(name) for name in subject.called(function.id))


def _calls_nothing(target: str) -> bool:
    owner, _, name = target.rpartition(".")
    if owner == "builtins":
        return name in PURE
    if owner in ("builtins.str", "builtins.dict", "builtins.list", "builtins.bytes"):
        return True
    return target in RAISED


def check_endless(subject: Subject) -> Iterator[Finding]:
    """US302. HTTP without a time-out is US501, wherever it runs."""
    for node, hit in subject.hits(Place.THREAD_POOL):
        ways = subject.requests(node.function, Place.THREAD_POOL) or subject.requests(node.function)
        if ways and hit.row.code not in ("US102", "US103") and is_endless(hit):
            assert hit.row.time_out is not None
            because = (
                f"no {hit.row.time_out.parameter} is given, and a shared thread is held meanwhile"
            )
            confidence = confidence_of(hit.guess)
            if _ends_soon(subject, node, hit):
                confidence = Confidence.POSSIBLE
            yield found("US302", subject.spot_of(node, hit), because, ways=ways, confidence=confidence,
                        runs_on=Place.THREAD_POOL)  # fmt: skip


def _ends_soon(subject: Subject, node: Node, hit: Hit) -> bool:
    """`if not jobs.empty(): jobs.get()`, as long as nobody else takes from it; a wait for what was killed."""
    call = hit.outside.seen.node
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return False
    receiver = ast.unparse(call.func.value)
    for each in subject.index.nodes_of(node.function):
        is_before = isinstance(each, ast.Call) and each.lineno < call.lineno
        if is_before and _calls(each, receiver, ("kill",)):
            return True
        if not isinstance(each, ast.If | ast.While) or _has_or(each.test):
            continue
        filled = any(_says_filled(part, receiver) for part in ast.walk(each.test))
        if filled and any(is_part(part, call) for part in each.body):
            return True
    return False


def _has_or(test: ast.expr) -> bool:
    return any(isinstance(part, ast.Or) for part in ast.walk(test))


def _says_filled(test: ast.AST, receiver: str) -> bool:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _calls(test.operand, receiver, ("empty",))
    return _calls(test, receiver, ("qsize",))


def _calls(node: ast.AST, receiver: str, methods: tuple[str, ...]) -> bool:
    """Whether it is a call of one of the methods of that very object."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in methods
        and ast.unparse(node.func.value) == receiver
    )


def check_computing(subject: Subject) -> Iterator[Finding]:
    """US303. Hashing and compression are where they belong."""
    for node, hit in subject.hits(Place.THREAD_POOL, Place.EXECUTOR):
        ways = subject.requests(node.function)
        if ways and hit.row.code not in ("US201", "US202") and is_computing(hit):
            because = "it computes in a thread, which takes turns with the event loop"
            yield found("US303", subject.spot_of(node, hit), because, ways=ways,
                        confidence=Confidence.POSSIBLE, runs_on=hit.place)  # fmt: skip


ANYIO = frozenset(("anyio.to_thread.run_sync", "starlette.concurrency.run_in_threadpool"))
EXECUTOR = frozenset(("asyncio.to_thread", "asyncio.AbstractEventLoop.run_in_executor"))
ENDS = {
    "asyncio.wait_for": "asyncio",
    "asyncio.timeout": "asyncio",
    "asyncio.timeout_at": "asyncio",
    "async_timeout.timeout": "asyncio",
    "anyio.move_on_after": "anyio",
    "anyio.fail_after": "anyio",
    "anyio.move_on_at": "anyio",
    "anyio.fail_at": "anyio",
}
TOKEN = "the thread runs on, and its token is given back: the limit bounds nothing"
LATE = "the time-out waits for the thread: it ends when the call does"
PLACE = "the thread runs on and keeps its place in the executor"


def check_time_outs(subject: Subject) -> Iterator[Finding]:
    """US304"""
    for use, name in subject.calls(ENDS):
        for inner in _bounded(subject, use, name):
            offloader = next(
                iter(set(subject.targets(use.where, inner.func)) & (ANYIO | EXECUTOR)), None
            )
            if offloader is None:
                continue
            because = _outcome(ENDS[name], offloader, inner)
            ways = subject.requests_to(use)
            if ways:
                yield found("US304", subject.spot(use.where, use.call, name), because, ways=ways)
            break


def _outcome(ends: str, offloader: str, call: ast.Call) -> str:
    if offloader in EXECUTOR:
        return PLACE
    abandons = argument(call, "abandon_on_cancel") or argument(call, "cancellable")
    is_abandoned = isinstance(abandons, ast.Constant) and abandons.value is True
    return TOKEN if ends == "asyncio" or is_abandoned else LATE


def _bounded(subject: Subject, use: Use, name: str) -> Iterator[ast.Call]:
    """Awaited calls that a time-out stands around."""
    if name == "asyncio.wait_for":
        inner = argument(use.call, "fut", 0)
        if isinstance(inner, ast.Call):
            yield inner
        return
    block = subject.shapes.blocks.get(id(use.call))
    for node, _ in own_nodes(block.body) if block else ():
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            yield node.value


def check_default_executor(subject: Subject) -> Iterator[Finding]:
    """US305"""
    for use, name in subject.calls(EXECUTOR):
        if name.endswith("run_in_executor") and not is_none(argument(use.call, "executor", 0)):
            continue
        ways = subject.requests_to(use)
        hit = next(_endless_in(subject, use), None) if ways else None
        if hit is not None:
            guess, what = hit
            because = (
                f"{what} may wait without end in one of the few threads that also resolve names"
            )
            confidence = max(Confidence.LIKELY, confidence_of(guess), key=list(Confidence).index)
            spot = subject.spot(use.where, use.call, name)
            yield found("US305", spot, because, ways=ways, confidence=confidence)


def _endless_in(subject: Subject, use: Use) -> Iterator[tuple[int, str]]:
    """What a call hands to a thread, where that may wait for ever."""
    walk, judged = subject.worked.walk, subject.worked.judged
    for node in subject.nodes.get(use.where.scope, ()):
        for hit in judged.hits.get(node, ()):
            if (
                hit.outside.seen.node is use.call
                and hit.place is Place.EXECUTOR
                and is_endless(hit)
            ):
                yield hit.guess, hit.name
        for edge in walk.nodes[node].edges:
            if edge.seen.node is use.call and edge.target.place is Place.EXECUTOR:
                for guess, hit in subject.below(edge.target):
                    if is_endless(hit) and hit.row.code != "US103":
                        yield max(guess, edge.guess), hit.name


NEEDS_LOOP = frozenset(
    "create_task ensure_future get_running_loop get_event_loop current_task".split()
)


def check_never_awaits(subject: Subject) -> Iterator[Finding]:
    """US306"""
    steps: dict[str, Way] = {}
    for entrance in subject.program.entrances:
        for step in entrance.steps:
            if entrance.kind == "route" and step.kind in ("endpoint", "dependency"):
                steps.setdefault(step.function, Way(entrance, step.place))
    inside = _inside(subject)
    for id_, way in steps.items():
        function = subject.worked.functions.declared.get(id_)
        if (
            function is None
            or not function.is_async
            or function.awaits
            or _needs_loop(subject, id_)
        ):
            continue
        spot = Spot(function.file, function.line, shown(id_), shown(id_))
        starts = subject.starts(id_, Place.LOOP)
        below = (each for start in starts for each in subject.below(start, at_once=True))
        blocks = next(((guess, hit) for guess, hit in below if _blocks(hit)), None)
        if blocks is None:
            because = "nothing in it is awaited"
            yield found("US306", spot, because, ways=[way], confidence=Confidence.POSSIBLE)
            continue
        because = f"nothing in it is awaited, and {blocks[1].name} blocks: a plain def would run in a thread"
        stays = next(_stays(subject, inside.get(id_, ())), None)
        if stays is not None:
            because = (
                f"nothing in it is awaited, but {stays} would block the loop from a plain def, too"
            )
            yield found("US306", spot, because, ways=[way], confidence=Confidence.POSSIBLE)
            continue
        yield found(
            "US306", spot, because, ways=[way], severity=Severity.WARNING,
            confidence=confidence_of(blocks[0]),
            remedy=_made_plain(subject, id_),
        )  # fmt: skip


def _made_plain(subject: Subject, function: str) -> str:
    """Who awaits it by hand would await its result: a TypeError, or less where exceptions are caught."""
    remedy = "make it a plain def: FastAPI then runs it in a thread; look for shared state first"
    callers = [shown(each) for each in subject.callers(function)]
    if not callers:
        return remedy
    more = f" and {len(callers) - 1} more" if len(callers) > 1 else ""
    return f"{remedy}; {callers[0]}{more} must no longer await it, and call it in a thread"


def _inside(subject: Subject) -> Mapping[str, Sequence[str]]:
    """Async functions that are defined in others, by each function around them."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for id_ in subject.nodes:
        inner = subject.worked.functions.declared.get(id_)
        parts = id_.split(".<locals>.") if inner is not None and inner.is_async else []
        for end in range(1, len(parts)):
            found[".<locals>.".join(parts[:end])].append(id_)
    return found


def _stays(subject: Subject, inside: Iterable[str]) -> Iterator[str]:
    """Those of them that block: streams and tasks, which run on the loop wherever the one around runs."""
    for id_ in inside:
        on_loop = [node for node in subject.nodes[id_] if node.place is Place.LOOP]
        if any(_blocks(hit) for node in on_loop for _, hit in subject.below(node)):
            yield shown(id_).rpartition(".")[2]


def _needs_loop(subject: Subject, function: str) -> bool:
    return any(name.rpartition(".")[2] in NEEDS_LOOP for name in subject.called(function))


def _blocks(hit: Hit) -> bool:
    if impact_of(hit) == "trivial":
        return False
    return (hit.row.code.startswith("US1") and hit.row.cost is not Cost.US) or is_computing(hit)
