"""What import saw replaces what source could only guess; what only source saw stays, and is said."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from unstall.audit.entrances_table import STEPS, short
from unstall.audit.imported import Callee, Imported, Route, walk
from unstall.audit.ir import Entrance, Place, Step

_TOLD = frozenset({"middleware", "dependency", "endpoint"})
"""Kinds of steps that an app tells of itself. The others only source knows: tasks, serialisation."""

_SERVED = frozenset({"route", "websocket"})
_CONVERTOR = re.compile(r"\{([^{}:]+):[^{}]*\}")
_MOST_SAID = 5

_TRIED = {
    "network": "asked for the network",
    "process": "started a process",
    "write": "wrote",
    "serve": "began to serve",
    "signal": "sent a signal",
    "limit": "changed a limit of the process",
}


@dataclass(frozen=True, slots=True)
class Merged:
    entrances: tuple[Entrance, ...]
    gaps: tuple[str, ...] = ()


def merge(
    entrances: Sequence[Entrance], imported: Imported, known: Collection[str] = frozenset()
) -> Merged:
    """Entrances of both. `known` are the functions of source: where import met only the inside of a
    decorator, the decorated function stays."""
    told = {(each.kind, each.name): each for each in _routes(imported)}
    by_function = _unique(told.values())
    merged, taken, unseen = [], set(), []
    for entrance in entrances:
        exact = told.get((entrance.kind, entrance.name))
        if exact is None and entrance.kind in _SERVED:
            exact = by_function.get(_served_by(entrance))
        if exact is not None:
            taken.add((exact.kind, exact.name))
            merged.append(_joined(entrance, exact, known))
            continue
        merged.append(entrance)
        if entrance.kind in _SERVED:
            unseen.append(entrance)
    new = [each for key, each in told.items() if key not in taken and each.file]
    have = {_around_key(each) for each in merged}
    merged += new + [each for each in _around(imported) if _around_key(each) not in have]
    return Merged(tuple(merged), (*_unseen(imported, unseen), *said(imported)))


def of_app(entrances: Sequence[Entrance], imported: Imported) -> Merged:
    """Only those in modules that the app was seen to import; the others are another app's, and told."""
    loaded = set(imported.modules.values())
    left = sorted({each.file for each in entrances if each.file not in loaded})
    kept = tuple(each for each in entrances if each.file in loaded)
    if not left:
        return Merged(kept)
    more = f" and {len(left) - _MOST_SAID} more" if len(left) > _MOST_SAID else ""
    gap = (
        f"entrances in {', '.join(left[:_MOST_SAID])}{more} were left out: "
        f"{imported.app} does not import them"
    )
    return Merged(kept, (gap,))


def _served_by(entrance: Entrance) -> tuple[str, str]:
    """Function and method: source may not know a prefix that is made at run time."""
    return entrance.function, entrance.name.partition(" ")[0]


def _unique(told: Iterable[Entrance]) -> Mapping[tuple[str, str], Entrance]:
    found: dict[tuple[str, str], list[Entrance]] = {}
    for each in told:
        found.setdefault(_served_by(each), []).append(each)
    return {key: group[0] for key, group in found.items() if len(group) == 1}


def _joined(source: Entrance, exact: Entrance, known: Collection[str]) -> Entrance:
    """The steps import saw, in their order; the rest of source's after the middleware or the endpoint."""
    function = exact.function
    if known and function not in known and source.function in known:
        function = source.function
    seen = {_key(step): step for step in source.steps}
    steps = []
    for step in exact.steps:
        mine = replace(step, function=function) if step.kind == "endpoint" else step
        steps.append(_agreed(seen.get(_key(mine)), mine))
    kinds = [step.kind for step in source.steps]
    end = kinds.index("endpoint") if "endpoint" in kinds else len(kinds)
    inside = sum(step.kind == "middleware" for step in steps)
    before = [step for step in source.steps[:end] if step.kind not in _TOLD]
    after = [step for step in source.steps[end:] if step.kind not in _TOLD]
    return replace(
        exact,
        function=function,
        receiver=steps[-1].receiver,
        exact=steps[-1].exact,
        file=source.file if function == source.function else exact.file,
        line=source.line if function == source.function else exact.line,
        steps=(*steps[:inside], *before, *steps[inside:], *after),
    )


def _around_key(entrance: Entrance) -> tuple[str, str, str]:
    return entrance.kind, entrance.function, entrance.receiver


def _key(step: Step) -> tuple[str, str]:
    """Foreign functions are known by class and method: source names them by how they were imported."""
    is_ours = ":" in step.function
    return step.kind, step.function if is_ours else short(step.function).partition(".")[2]


def _agreed(source: Step | None, step: Step) -> Step:
    """Source knows better where a foreign step was written down."""
    if source is None:
        return step
    if source.place == step.place:
        known = step if step.receiver else source
        return replace(source, depth=step.depth, receiver=known.receiver, exact=known.exact)
    return replace(step, file=step.file or source.file, line=step.line or source.line)


# --- entrances of what was imported ---------------------------------------------------------


def _routes(imported: Imported) -> Iterator[Entrance]:
    """One for each method and path."""
    for route in imported.routes:
        if route.kind == "mount":
            continue
        end = route.endpoint
        path = _CONVERTOR.sub(r"{\1}", route.path)
        steps = tuple(_steps(route))
        for method in _methods(route):
            yield Entrance(
                route.kind,
                f"{method} {path}",
                end.function,
                steps[-1].place,
                end.file,
                end.line,
                steps,
                receiver=steps[-1].receiver,
                exact=steps[-1].exact,
            )


def _methods(route: Route) -> tuple[str, ...]:
    if route.kind == "websocket":
        return ("WEBSOCKET",)
    named = tuple(
        method for method in route.methods if method != "HEAD" or "GET" not in route.methods
    )
    return named or ("GET",)


def _steps(route: Route) -> Iterator[Step]:
    for each in route.middleware:
        yield _step("middleware", each.call)
    done: set[tuple[str, str]] = set()
    for dependency, depth in walk(route.dependencies):
        key = dependency.call.function, dependency.call.receiver
        if not (dependency.use_cache and key in done):
            yield _step("dependency", dependency.call, depth)
        done.add(key)
    kind = "websocket" if route.kind == "websocket" else "endpoint"
    yield replace(_step(kind, route.endpoint), kind="endpoint")


def _step(kind: str, call: Callee, depth: int = 0) -> Step:
    ran = STEPS.get((kind, call.kind)) or STEPS.get((kind, ""))
    place = ran.place if ran is not None else Place.UNKNOWN
    why = ran.why if ran is not None else f"it is not known where a {kind} of this kind runs"
    known = call.receiver, bool(call.receiver)
    return Step(kind, call.function, place, why, call.file, call.line, depth, *known)


def _around(imported: Imported) -> Iterator[Entrance]:
    calls = [
        *(("middleware", each.call) for each in imported.middleware),
        *(("exception handler", each.call) for each in imported.handlers),
        *(("lifespan", each) for each in imported.lifespan),
        *(("startup", each) for each in imported.startup),
    ]
    for kind, call in calls:
        if call.file:
            step, name = _step(kind, call), call.function.partition(":")[2]
            yield Entrance(
                kind, name, call.function, step.place, call.file, call.line,
                receiver=step.receiver, exact=step.exact,
            )  # fmt: skip


# --- what is said ---------------------------------------------------------------------------


def _unseen(imported: Imported, unseen: Sequence[Entrance]) -> Iterator[str]:
    if imported.routes and unseen:
        many = f"{len(unseen)} routes in source are" if len(unseen) > 1 else "a route in source is"
        yield f"{many} not among those that {imported.app} serves: {_some(e.name for e in unseen)}"


def said(imported: Imported) -> Iterator[str]:
    """What the import tried and was kept from, and what could not be held back."""
    for kind, tried in _TRIED.items():
        found = [each for each in imported.refusals if each.kind == kind]
        if found:
            what = _some(
                f"{each.argument or each.event} in {each.file}:{each.line}" for each in found
            )
            yield f"while it was imported, {imported.app} {tried}, and nothing of it was done: {what}"
    if imported.unread:
        yield f"routes of {imported.app} that could not be read: {_some(imported.unread)}"
    yield from (f"while {imported.app} was imported, {each}" for each in imported.unfenced)


def _some(items: Iterable[str]) -> str:
    listed = list(dict.fromkeys(items))
    more = len(listed) - _MOST_SAID
    return ", ".join(listed[:_MOST_SAID]) + (f" and {more} more" if more > 0 else "")
