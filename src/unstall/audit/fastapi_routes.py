"""Each route with its full path, and the steps that a request to it takes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from unstall.audit.entrances_index import Def, own_nodes
from unstall.audit.entrances_syntax import argument, last_name
from unstall.audit.entrances_table import STEPS, Runs
from unstall.audit.entrances_targets import Target, runs, stepped
from unstall.audit.entrances_values import Value
from unstall.audit.fastapi_dependencies import Dependency, Trees, steps
from unstall.audit.fastapi_models import Models
from unstall.audit.fastapi_route_classes import RouteClasses
from unstall.audit.ir import Entrance, Place, Step
from unstall.audit.starlette import Owner, Way
from unstall.audit.starlette_around import Around, Surroundings
from unstall.audit.starlette_routes import WEBSOCKET, Route

_CONVERTOR = re.compile(r"{(\w+):\w+}")
_SERIALISER = "fastapi.routing.serialize_response"
_LEAVES_OUT = ("response_model_include", "response_model_exclude")
_MAKERS = frozenset("from_orm model_construct model_validate parse_obj".split())
_UNKNOWN = Runs(Place.UNKNOWN, "it is not known which framework calls a plain def here")


@dataclass(frozen=True, slots=True)
class Served:
    """A route on one way to it."""

    route: Route
    path: str
    dependencies: tuple[Dependency, ...]
    apps: tuple[Owner, ...]


@dataclass(slots=True)
class Paths:
    trees: Trees
    models: Models
    surroundings: Surroundings
    classes: RouteClasses
    later: Mapping[str, Sequence[Step]] = field(default_factory=dict)
    """What a function hands over to run after it: background tasks and streams, by its id."""

    def served(self, route: Route) -> Iterator[Served]:
        """The route under each of its full paths, with all that it depends on."""
        owners = self.surroundings.owners
        below = () if route.is_plain else self.trees.of_parameters(route.endpoint)
        for way in owners.ways(route.owner) if route.owner is not None else [Way()]:
            asked: tuple[Dependency, ...] = ()
            prefixes: tuple[str, ...] = ("",)
            if not route.is_plain and route.owner is not None:
                own = owners.dependencies(route.owner)
                asked = self.trees.of_list((*way.dependencies, *own, *self._listed(route)))
                prefixes = owners.prefixes(route.owner)
            for prefix in prefixes:
                path = _CONVERTOR.sub(r"{\1}", way.prefix + prefix + route.path)
                yield Served(route, path, (*asked, *below), way.apps)

    def _listed(self, route: Route) -> list[Value]:
        given = argument(route.call, None, "dependencies")
        values = self.surroundings.owners.values
        return values.elements(given, route.where) if given is not None else []

    def entrances(self, served: Served) -> Iterator[Entrance]:
        """One for each method."""
        route, target = served.route, served.route.endpoint
        file, line = self._place(target, route)
        ran = self._runs(route)
        taken = self._steps(served, ran, file, line)
        is_websocket = route.methods == (WEBSOCKET,)
        for method in route.methods:
            yield Entrance(
                "websocket" if is_websocket else "route",
                f"{method} {served.path}",
                target.id,
                ran.place,
                file,
                line,
                taken,
                receiver=target.receiver,
                exact=target.exact,
            )

    def _runs(self, route: Route) -> Runs:
        if route.owner is None and route.endpoint.kind in ("sync", "generator"):
            return _UNKNOWN
        return runs("websocket" if route.methods == (WEBSOCKET,) else "endpoint", route.endpoint)

    def _place(self, target: Target, route: Route) -> tuple[str, int]:
        values = self.surroundings.owners.values
        found = self.trees.targets.place_of(target)
        return found or (values.index.modules[route.where.module].file, route.line)

    def _steps(self, served: Served, ran: Runs, file: str, line: int) -> tuple[Step, ...]:
        target = served.route.endpoint
        found = [
            self._middleware(around)
            for app in served.apps
            for around in self.surroundings.middleware(app)
        ]
        found += [self._wrapped(one, served) for one in self.classes.around(served.route)]
        found += steps(served.dependencies)
        found += [self._of_model("validation", one) for one in self._validators(served)]
        found.append(stepped("endpoint", target, file, line, ran=ran))
        if (
            not served.route.is_plain
            and served.route.owner is not None
            and _is_serialised(served.route)
        ):
            serialised = STEPS["serialisation", ""]
            found.append(
                Step("serialisation", _SERIALISER, serialised.place, serialised.why, file, line)
            )
            found += [
                self._of_model("serialisation", one) for one in self._serialisers(served.route)
            ]
        for step in tuple(found):
            if step.kind in ("endpoint", "dependency"):
                found += self.later.get(step.function, ())
        return tuple(found)

    def _validators(self, served: Served) -> tuple[Def, ...]:
        if served.route.is_plain or served.route.owner is None:
            return ()
        return self.models.validators(served.route.endpoint, served.dependencies)

    def _serialisers(self, route: Route) -> tuple[Def, ...]:
        """Which parts of it are left out, nobody knows."""
        function = route.endpoint.function
        if any(argument(route.call, None, each) is not None for each in _LEAVES_OUT):
            return ()
        model = argument(route.call, None, "response_model")
        if model is not None and not _is_none(model):
            return self.models.serialisers([model], route.where)
        if function is None or isinstance(function.node, ast.Lambda):
            return ()
        if model is None and function.node.returns is not None:
            return self.models.serialisers([function.node.returns], function.where)
        given = [each.func for each in _returned(function.node) if isinstance(each, ast.Call)]
        made = [each for each in given if _makes_object(each)]
        return self.models.serialisers(made, function.inside)

    def _of_model(self, kind: str, function: Def) -> Step:
        ran = STEPS[kind, ""]
        file = self.surroundings.owners.values.index.modules[function.where.module].file
        return Step(kind, function.id, ran.place, ran.why, file, function.node.lineno)

    def _wrapped(self, target: Target, served: Served) -> Step:
        file, line = self._place(target, served.route)
        return stepped("route class", target, file, line)

    def _middleware(self, around: Around) -> Step:
        values = self.surroundings.owners.values
        file, line = self.trees.targets.place_of(around.target) or (
            values.index.modules[around.where.module].file,
            around.line,
        )
        return stepped("middleware", around.target, file, line)


def _is_serialised(route: Route) -> bool:
    """Unless it surely returns a response, or nothing."""
    function = route.endpoint.function
    if function is None or route.methods == (WEBSOCKET,) or "generator" in route.endpoint.kind:
        return False
    if isinstance(function.node, ast.Lambda):
        return not _is_response(function.node.body)
    if function.node.returns is not None and _names_response(function.node.returns):
        return False
    return not all(_is_response(value) for value in _returned(function.node))


def _returned(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    """What it gives but None."""
    return [
        node.value
        for node, _ in own_nodes(function.body)
        if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value)
    ]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _makes_object(func: ast.expr) -> bool:
    """`Out` of `Out(…)` and of `Out.model_validate(…)`, as they are written."""
    if isinstance(func, ast.Attribute) and func.attr in _MAKERS:
        func = func.value
    return last_name(func)[:1].isupper()


def _is_response(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _names_response(node.func)


def _names_response(node: ast.expr) -> bool:
    return last_name(node).endswith("Response")
