"""What runs around requests: middleware, exception handlers, lifespans and startup handlers."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from unstall.audit.entrances_index import Def, Use, Where
from unstall.audit.entrances_syntax import argument
from unstall.audit.entrances_targets import Target
from unstall.audit.entrances_texts import texts_of
from unstall.audit.entrances_values import Value
from unstall.audit.starlette import Owner, Owners

_EVENTS = ("startup", "shutdown")
_LAST = 1 << 30


@dataclass(frozen=True, slots=True)
class Around:
    kind: str
    """middleware, exception handler, lifespan, startup, import, shutdown"""
    owner: Owner | None
    """None: it is not known whose it is."""
    target: Target
    where: Where
    line: int
    is_listed: bool = False
    """The owner was made with it."""


@dataclass(slots=True)
class Surroundings:
    """What is registered around requests; middleware in the order in which requests pass it."""

    owners: Owners
    _found: list[Around] | None = None
    _passed: dict[tuple[str, int, int], tuple[Around, ...]] = field(default_factory=dict)

    def all(self) -> list[Around]:
        if self._found is None:
            self._found = [
                *self._middleware(),
                *self._decorated("exception_handler", "exception handler"),
                *self._handlers(),
                *self._events(),
                *self._made(),
                *self._making(),
            ]
        return self._found

    def middleware(self, owner: Owner) -> tuple[Around, ...]:
        """Outermost first: what was added last, then what the app was made with."""
        known = self._passed.get(owner.key)
        if known is None:
            mine = [
                a
                for a in self.all()
                if a.kind == "middleware" and a.owner and a.owner.key == owner.key
            ]
            added = [a for a in mine if not a.is_listed]
            added.sort(key=lambda a: self._when(a, owner))
            given = [a for a in mine if a.is_listed]
            known = self._passed[owner.key] = (*reversed(added), *given)
        return known

    def _when(self, around: Around, owner: Owner) -> tuple[int, int]:
        """Its place among what is added to an owner: by line, through a function by the line of its call."""
        index, here = self.owners.values.index, owner.made.where if owner.made is not None else None
        if around.where == here:
            return around.line, 0
        name = around.where.scope.rpartition(":")[2].rpartition(".")[2]
        for use in index.uses(name) if here is not None else ():
            called = self.owners.values.functions(use.call.func, use.where)
            if use.where == here and around.where.scope in called:
                return use.call.lineno, around.line
        return _LAST, around.line

    def _listed(self, owner: Owner) -> list[Value]:
        return [
            found
            for value in self.owners.setting(owner, "middleware")
            for item in self.owners.values.elements(value.node, value.where)
            for found in self.owners.values.of(item.node, item.where)
        ]

    def _middleware(self) -> Iterator[Around]:
        index = self.owners.values.index
        for use in index.uses("middleware", "add_middleware"):
            func = use.call.func
            if not isinstance(func, ast.Attribute):
                continue
            for owner in self.owners.of(func.value, use.where) or self._nobody(use, "http"):
                by_name = func.attr == "middleware"
                for target in self._given(use) if by_name else self._classes(use.call, use.where):
                    yield Around("middleware", owner, target, use.where, use.call.lineno)
        for owner in self.owners.all():
            for value in self._listed(owner):
                if isinstance(value.node, ast.Call):
                    for target in self._classes(value.node, value.where):
                        yield Around(
                            "middleware", owner, target, value.where, value.node.lineno, True
                        )

    def _classes(self, call: ast.Call, where: Where) -> Iterator[Target]:
        """The method that a middleware class is entered by, or the function given to it."""
        dispatch = argument(call, None, "dispatch")
        if dispatch is not None:
            yield from self.owners.targets.of(dispatch, where)
            return
        given = argument(call, 0, "middleware_class", "cls")
        for target in self.owners.targets.of(given, where) if given is not None else ():
            yield from self._entered(target)

    def _entered(self, target: Target) -> Iterator[Target]:
        targets = self.owners.targets
        if target.made is not None:
            for name in ("dispatch", "__call__"):
                method = targets.values.method(target.made.id, name)
                if method is not None:
                    yield targets.on(target.made.id, method)
        elif target.function is not None:  # a factory: it gets the app and returns another one
            inner = targets.returned(target.function)
            yield from [targets.function(f) for f in inner] or [target]
        else:
            yield replace(target, id=f"{target.id}.__call__", kind="async")

    def _given(self, use: Use) -> Iterable[Target]:
        """What a decorator gets, written as one or applied to a name."""
        index = self.owners.values.index
        decorated, applied = index.decorated.get(id(use.call)), index.applied.get(id(use.call))
        if isinstance(decorated, Def):
            return (self.owners.targets.function(decorated),)
        if applied is not None and applied.args:
            return self.owners.targets.of(applied.args[0], use.where)
        return ()

    def _nobody(self, use: Use, *first: str) -> tuple[None, ...]:
        """For decorators that are known by their name and first argument alone."""
        given = argument(use.call, 0, "event_type", "middleware_type")
        texts = texts_of(self.owners.values, given, use.where)
        func = use.call.func
        known = isinstance(func, ast.Attribute) and self.owners.targets.classes(
            func.value, use.where
        )
        return (None,) if not known and set(texts).intersection(first) else ()

    def _decorated(self, name: str, kind: str) -> Iterator[Around]:
        for use in self.owners.values.index.uses(name):
            if isinstance(use.call.func, ast.Attribute):
                for owner in self.owners.of(use.call.func.value, use.where) or (None,):
                    for target in self._given(use):
                        yield Around(kind, owner, target, use.where, use.call.lineno)

    def _handlers(self) -> Iterator[Around]:
        owners = self.owners
        for use in owners.values.index.uses("add_exception_handler"):
            handler = argument(use.call, 1, "handler")
            if isinstance(use.call.func, ast.Attribute) and handler is not None:
                for owner in owners.of(use.call.func.value, use.where) or (None,):
                    for target in owners.targets.of(handler, use.where):
                        yield Around("exception handler", owner, target, use.where, use.call.lineno)
        for owner in owners.all():
            for value in owners.setting(owner, "exception_handlers"):
                for handlers in owners.values.of(value.node, value.where):
                    for item in handlers.node.values if isinstance(handlers.node, ast.Dict) else ():
                        for target in owners.targets.of(item, handlers.where):
                            yield Around(
                                "exception handler", owner, target, handlers.where, item.lineno
                            )

    def _events(self) -> Iterator[Around]:
        owners = self.owners
        for use in owners.values.index.uses("on_event", "add_event_handler"):
            func = use.call.func
            if not isinstance(func, ast.Attribute):
                continue
            event = (*texts_of(owners.values, argument(use.call, 0, "event_type"), use.where), "")[
                0
            ]
            handler = argument(use.call, 1, "func")
            if event not in _EVENTS:
                continue
            for owner in owners.of(func.value, use.where) or self._nobody(use, *_EVENTS):
                given = (
                    owners.targets.of(handler, use.where)
                    if handler is not None
                    else self._given(use)
                )
                for target in given:
                    yield Around(event, owner, target, use.where, use.call.lineno)

    def _made(self) -> Iterator[Around]:
        """Lifespans and handlers that owners are made with."""
        owners = self.owners
        for owner in owners.all():
            for value in owners.setting(owner, "lifespan"):
                for target in owners.targets.of(value.node, value.where):
                    yield Around("lifespan", owner, target, value.where, value.node.lineno)
            for name, kind in (("on_startup", "startup"), ("on_shutdown", "shutdown")):
                for value in owners.setting(owner, name):
                    for item in owners.values.elements(value.node, value.where):
                        for target in owners.targets.of(item.node, item.where):
                            yield Around(kind, owner, target, item.where, item.node.lineno)

    def _making(self) -> Iterator[Around]:
        """Functions that make an app, and those that its module calls when it is imported."""
        owners, index = self.owners, self.owners.values.index
        makers = {o.made.where for o in owners.all() if o.is_app and o.made is not None}
        for where in makers:
            function = index.functions.get(where.scope.partition(".<locals>.")[0])
            if function is not None:
                line = function.node.lineno
                yield Around("import", None, owners.targets.function(function), where, line)
        modules = {where.module for where in makers}
        for use in index.at_import:
            if use.where.module in modules:
                for id_ in owners.values.functions(use.call.func, use.where):
                    target = owners.targets.function(index.functions[id_])
                    yield Around("import", None, target, use.where, use.call.lineno)
