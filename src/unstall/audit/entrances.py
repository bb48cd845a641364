"""Where requests, tasks and commands enter first-party code."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from unstall.audit.entrances_index import Class, Index
from unstall.audit.entrances_read import index
from unstall.audit.entrances_registered import Registered, entrance, later_steps, registered
from unstall.audit.entrances_targets import Targets, runs
from unstall.audit.entrances_values import Values
from unstall.audit.fastapi_dependencies import Trees
from unstall.audit.fastapi_models import Models
from unstall.audit.fastapi_route_classes import RouteClasses
from unstall.audit.fastapi_routes import Paths, Served
from unstall.audit.ir import Entrance, Function, Names, Place, Step
from unstall.audit.slips import Slips
from unstall.audit.starlette import Owners
from unstall.audit.starlette_around import Around, Surroundings
from unstall.audit.starlette_routes import routes


def entrances(
    names: Names,
    functions: Mapping[str, Function],
    slips: Slips | None = None,
    known: Index | None = None,
) -> tuple[Entrance, ...]:
    """All entrances of a project, in the order of its files and lines; tests have none.

    `known` is the index of the modules, where there is one already.
    """
    slips = slips or Slips()
    targets = Targets(Values(names, known or index(names.modules)), functions)
    handed: list[Registered] = []
    found: list[Entrance] = []
    with slips.kept("", "what tasks and commands run"):
        handed += registered(targets)
        found += [entrance(targets, one) for one in handed]
    with slips.kept("", "the routes"):
        paths = _paths(targets, later_steps(targets, handed))
        with slips.kept("", "what runs around the routes"):
            found[:0] = [_around(targets, around) for around in paths.surroundings.all()]
        found[:0] = list(_routes(paths, slips))
    return tuple(sorted(_merged(found), key=lambda e: (e.file, e.line, e.kind, e.name)))


def _merged(found: Iterable[Entrance]) -> Iterable[Entrance]:
    """Each once, with all that start it; one that a framework starts needs nobody."""
    unique: dict[tuple[str, str, str, Place, str, bool], Entrance] = {}
    for one in found:
        key = one.kind, one.name, one.function, one.place, one.receiver, one.exact
        known = unique.get(key, one)
        by = tuple(dict.fromkeys((*known.by, *one.by))) if known.by and one.by else ()
        unique[key] = replace(known, by=by)
    return unique.values()


def _paths(targets: Targets, later: Mapping[str, Sequence[Step]]) -> Paths:
    owners = Owners(targets)
    return Paths(
        Trees(targets, _views(owners)),
        Models(targets),
        Surroundings(owners),
        RouteClasses(owners),
        later,
    )


def served_by(names: Names, functions: Mapping[str, Function]) -> list[Served]:
    """All routes with their trees of dependencies."""
    return served(_paths(Targets(Values(names, index(names.modules)), functions), {}))


def served(paths: Paths) -> list[Served]:
    """Every route on every way to it."""
    return [one for route in routes(paths.surroundings.owners) for one in paths.served(route)]


def _routes(paths: Paths, slips: Slips) -> Iterator[Entrance]:
    owners = paths.surroundings.owners
    for route in routes(owners):
        file = owners.values.index.modules[route.where.module].file
        with slips.kept(file, route.endpoint.id):
            yield from [made for one in paths.served(route) for made in paths.entrances(one)]


def _around(targets: Targets, around: Around) -> Entrance:
    target = around.target
    file, line = targets.place_of(target) or (
        targets.values.index.modules[around.where.module].file,
        around.line,
    )
    kind = "lifespan" if around.kind == "shutdown" else around.kind
    name = target.id.partition(":")[2] or target.id
    place = runs(around.kind, target).place
    return Entrance(
        kind, name, target.id, place, file, line, receiver=target.receiver, exact=target.exact
    )


def _views(owners: Owners) -> frozenset[str]:
    """Classes decorated with a router, `@cbv(router)`: FastAPI makes an instance for each request."""
    return frozenset(
        made.id
        for decorator, made in owners.values.index.decorators
        if isinstance(made, Class) and isinstance(decorator, ast.Call)
        if any(owners.of(given, made.where) for given in decorator.args)
    )
