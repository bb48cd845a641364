"""What route classes of ours put around the routes that are made of them: it runs on the loop."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from unstall.audit.entrances_index import Class, Def, Where
from unstall.audit.entrances_syntax import argument
from unstall.audit.entrances_targets import Target
from unstall.audit.entrances_values import Value
from unstall.audit.starlette import Owners
from unstall.audit.starlette_routes import WEBSOCKET, Route

_MAKES = "get_route_handler"
"""What it returns, FastAPI calls for each request."""
_HANDLES = "handle"
_OWN = ("route_class_override", "route_class")
"""Names of a route's own class, and of that of its router."""


@dataclass(slots=True)
class RouteClasses:
    owners: Owners
    _assigned: dict[tuple[str, int, int], list[Value]] | None = None
    _around: dict[str, tuple[Target, ...]] = field(default_factory=dict)

    def around(self, route: Route) -> tuple[Target, ...]:
        """What runs around a route, outermost first."""
        if route.is_plain or route.owner is None or route.methods == (WEBSOCKET,):
            return ()
        values = self.owners.values
        found: dict[str, Target] = {}
        for given in self._classes(route):
            for value in values.of(given.node, given.where):
                for class_ in values.named(value.node, value.where):
                    found.update((each.id, each) for each in self._of(class_))
        return tuple(found.values())

    def _classes(self, route: Route) -> list[Value]:
        """A router that is included elsewhere takes its class with it."""
        assert route.owner is not None
        override, setting = _OWN
        given = argument(route.call, None, override)
        if given is not None:
            return [Value(given, route.where)]
        return self._set().get(route.owner.key) or self.owners.setting(route.owner, setting)

    def _set(self) -> dict[tuple[str, int, int], list[Value]]:
        """`app.router.route_class = LoggedRoute`, by owner."""
        if self._assigned is None:
            found: defaultdict[tuple[str, int, int], list[Value]] = defaultdict(list)
            for node, target, where in self._assignments():
                for owner in self.owners.of(target.value, where):
                    found[owner.key].append(Value(node.value, where))
            self._assigned = dict(found)
        return self._assigned

    def _assignments(self) -> Iterator[tuple[ast.Assign, ast.Attribute, Where]]:
        index = self.owners.values.index
        for module, nodes in index.kept.items():
            for node in nodes if not index.modules[module].is_test else ():
                for target in node.targets if isinstance(node, ast.Assign) else ():
                    if isinstance(target, ast.Attribute) and target.attr == _OWN[1]:
                        assert isinstance(node, ast.Assign)
                        yield node, target, self._where(module, node.lineno)

    def _where(self, module: str, line: int) -> Where:
        """The innermost function around a line."""
        around = [
            each
            for each in self.owners.values.index.functions.values()
            if each.where.module == module and each.node.lineno <= line <= _last(each)
        ]
        return max(around, key=lambda each: each.node.lineno).inside if around else Where(module)

    def _of(self, class_: str) -> tuple[Target, ...]:
        known = self._around.get(class_)
        if known is None:
            known = self._around[class_] = tuple(self._read(class_))
        return known

    def _read(self, class_: str) -> Iterator[Target]:
        values, targets = self.owners.values, self.owners.targets
        handle = values.method(class_, _HANDLES)
        if handle is not None:
            yield targets.on(class_, handle)
        waiting, seen = values.lineage(class_), set[str]()
        while waiting:
            one, *waiting = waiting
            method = values.index.functions.get(f"{one.id}.{_MAKES}")
            if method is not None and method.id not in seen:
                seen.add(method.id)
                yield from self._made_by(method)
                waiting = list(self._asked(method, waiting))

    def _made_by(self, method: Def) -> Iterator[Target]:
        targets = self.owners.targets
        inner = targets.returned(method)
        for each in inner:
            yield targets.function(each)
        for value in targets.values.returned(method) if not inner else ():
            yield from (t for t in targets.of(value.node, value.where) if t.function is not None)

    def _asked(self, method: Def, above: list[Class]) -> Iterator[Class]:
        """Where it goes on, by `super()` or by a class that it names: what that gives runs inside."""
        values = self.owners.values
        for node in values.index.nodes_of(method.id):
            func = node.func if isinstance(node, ast.Call) else None
            if not isinstance(func, ast.Attribute) or func.attr != _MAKES:
                continue
            for asked in values.of(func.value, method.inside):
                match asked.node:
                    case ast.Call(func=ast.Name(id="super"), args=[]):
                        yield from above
                    case ast.Call(func=ast.Name(id="super"), args=[first, *_]):
                        yield from self._lineage(first, asked.where)[1:]
                    case _:
                        yield from self._lineage(asked.node, asked.where)

    def _lineage(self, named: ast.expr, where: Where) -> list[Class]:
        values = self.owners.values
        return [one for class_ in values.named(named, where) for one in values.lineage(class_)]


def _last(function: Def) -> int:
    return function.node.end_lineno or function.node.lineno
