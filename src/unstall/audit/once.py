"""What is done at most once in a process: below a cached function, or to fill something that is kept."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.calls import Seen
from unstall.audit.first_time import Keys, emptied, first_times, keys_of, lacking, own_names
from unstall.audit.ir import Place
from unstall.audit.scan import Event
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import Mention, last_name
from unstall.audit.types_classes import Member
from unstall.audit.values import CLASS

_CACHES = frozenset({"functools.cache", "functools.lru_cache"})
_MAKERS = frozenset({"__init__", "__new__", "__post_init__"})
"""What they leave empty was not filled yet."""
_ASKS = frozenset({"isinstance", "issubclass", "super", "cast"})
"""Calls that make no object of a class that they are passed."""
_INJECTS = frozenset({"Depends", "Security"})
"""Calls that make each request an object of it."""


class Once:
    """Asked function by function; each is worked out once."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._first: dict[str, frozenset[int]] = {}
        self._of_objects: dict[str, frozenset[int]] = {}
        self._keys: dict[str, Keys] = {}
        self._lasting: dict[str, bool] = {}
        self._cached: dict[str, bool] = {}
        self._warm: dict[str, bool] = {}
        self._own: dict[str, frozenset[str] | set[str]] = {}
        """Names that are a function's own, or of one around it."""
        self._emptying: dict[str, list[tuple[Scope, frozenset[str]]]] | None = None
        self._begun: frozenset[str] = frozenset()
        self._around: frozenset[str] = frozenset()

    def begin(self, begun: frozenset[str], ended: frozenset[str]) -> None:
        """Functions that start-up and shut-down come to. What the last one empties nobody fills again."""
        self._begun, self._around = begun, begun | ended
        self._first.clear()
        self._keys.clear()
        self._lasting.clear()

    def fills(self, scope: Scope, node: ast.AST) -> bool:
        """It fills something that lives as long as the process, for the first time only."""
        known = self._first.get(scope.id)
        if known is None:
            own = _of_functions_around(scope)
            known = first_times(scope.node, shared=True, own=own)
            if known and (lost := self._emptied_by_others(scope)):
                known = first_times(scope.node, shared=True, own=own, lost=lost)
            self._first[scope.id] = known
        return id(node) in known

    def fills_object(self, scope: Scope, node: ast.AST) -> bool:
        """The same of what may live only as long as an object."""
        known = self._of_objects.get(scope.id)
        if known is None:
            known = self._of_objects[scope.id] = first_times(scope.node)
        return id(node) in known

    def fills_key(self, scope: Scope, event: Event) -> bool:
        """It fills a key that is missing from something that lives as long as the process."""
        if not event.tests:
            return False
        keys = self._keys.get(scope.id)
        if keys is None:
            found = keys_of(scope.node)
            lasting = frozenset(each for each in found.filled if self._lasts(scope, each[0]))
            keys = self._keys[scope.id] = found._replace(filled=lasting)
        return bool(keys.filled) and any(
            lacking(test, not negated, keys.got) & keys.filled
            for test, negated in zip(event.tests, event.negated, strict=True)
        )

    def _lasts(self, scope: Scope, kept: str) -> bool:
        """`kept`, as written in a function, is there for later requests too."""
        root, _, attribute = kept.partition(".")
        class_, shape = scope.class_of_method(), self._types.shape(scope)
        is_self = not shape.is_static and root in shape.parameters[:1] and root != "cls"
        if class_ is not None and is_self:
            is_own = "." not in attribute
            return is_own and (self._is_of_class(class_, attribute) or self._lives_on(class_))
        if scope.id not in self._own:
            self._own[scope.id] = own_names(scope.node) | _of_functions_around(scope)
        return root not in self._own[scope.id]

    def _is_of_class(self, class_: Scope, attribute: str) -> bool:
        """All objects have the same collection, which the body of the class makes."""
        found = self._types.classes.find(class_.id, attribute)
        if not isinstance(found, Member) or found.assigned or not found.bindings:
            return False
        foreign = self._types.classes.foreign(class_.id)
        copies = any(each.startswith("pydantic.") for each in foreign)
        return isinstance(found.bindings[-1].value, ast.Dict) and not copies

    def _lives_on(self, class_: Scope) -> bool:
        """Objects of the class are made for the process; by whom, the code may not say."""
        known = self._lasting.get(class_.id)
        if known is None:
            self._lasting[class_.id] = True  # what makes itself is made by others
            known = all(map(self._is_made_once, self._makers(class_)))
            self._lasting[class_.id] = known
        return known

    def _makers(self, class_: Scope) -> Iterator[Mention]:
        """Calls that make its objects, or those of a class below, or are passed it to do so."""
        types = self._types
        for name in (class_.id, *types.classes.subclasses(class_.id)):
            scope = types.classes.scope(name)
            for mention in types.callers.mentions(scope) if scope is not None else ():
                call, place = mention.call, mention.argument
                values = types.values(mention.scope, call.args[place] if place >= 0 else call.func)
                if any(value.kind == CLASS and value.name == name for value in values):
                    yield mention

    def _is_made_once(self, mention: Mention) -> bool:
        scope, call = mention.scope, mention.call
        maker = last_name(call.func) if mention.argument >= 0 else ""
        if maker in _ASKS or maker in _INJECTS:
            return maker in _ASKS
        if scope.kind in ("module", "class"):
            return True
        owner = scope.class_of_method()
        if owner is not None and getattr(scope.node, "name", "") in _MAKERS:
            return self._lives_on(owner)
        is_start = scope.id in self._begun or self._is_warm(scope)
        return is_start or self.is_cached(scope) or self.fills(scope, call)

    def is_filled(self, scope: Scope, seen: Seen, place: Place) -> bool:
        """Start-up has filled it, long before somebody comes here in this place."""
        return (
            place is not Place.STARTUP and scope.id in self._begun and self.fills(scope, seen.node)
        )

    def is_cached(self, target: Scope) -> bool:
        """Nothing can be passed to it, its result is kept for good, and nobody asks for another one."""
        known = self._cached.get(target.id)
        if known is None:
            known = self._cached[target.id] = self._is_cached(target)
        return known

    def _is_cached(self, target: Scope) -> bool:
        shape = self._types.shape(target)
        given = shape.parameters or shape.keywords or shape.rest or shape.rest_keywords
        if not shape.is_cached or given or ".<locals>." in target.id or target.outer is None:
            return False
        outer, name = target.outer, getattr(target.node, "name", "")
        makers = (
            each.func if isinstance(each, ast.Call) else each
            for each in getattr(target.node, "decorator_list", ())
        )
        cleared = (
            mention.call.func.value
            for mention in self._types.callers.calling("cache_clear")
            if isinstance(mention.call.func, ast.Attribute)
        )
        return any(
            value.name in _CACHES for each in makers for value in self._types.values(outer, each)
        ) and not any(last_name(each) == name for each in cleared)

    def has_run(self, target: Scope, place: Place) -> bool:
        """Long before somebody comes to it in this place."""
        return (place is not Place.STARTUP and target.id in self._begun) or self._is_warm(target)

    def _is_warm(self, target: Scope) -> bool:
        """It has run while modules were imported."""
        known = self._warm.get(target.id)
        if known is None:
            known = self._warm[target.id] = self._types.callers.is_called_by_modules(target)
        return known

    def _emptied_by_others(self, scope: Scope) -> frozenset[str]:
        """What other functions of the module empty again; attributes without what they are of."""
        if self._emptying is None:
            self._emptying = {}
            for each in self._types.project.own_scopes():
                keeps = each.kind != "function" or getattr(each.node, "name", "") in _MAKERS
                if not keeps and (names := emptied(each.node)):
                    self._emptying.setdefault(each.module, []).append((each, names))
        return frozenset(
            name
            for each, names in self._emptying.get(scope.module, ())
            if each is not scope and not self._is_around(each)
            for name in names
        )

    def _is_around(self, scope: Scope) -> bool:
        """Start-up and shut-down alone come to it."""
        return scope.id in self._around and all(
            caller in self._around for caller in self._callers(scope)
        )

    def _callers(self, scope: Scope) -> Iterator[str]:
        """Functions that surely call it, or hand it on."""
        callers = self._types.callers
        for mention in callers.mentions(scope):
            registers = mention.scope.kind == "module" and mention.argument >= 0
            if not registers and callers.is_call_of(mention, scope) is not None:
                yield mention.scope.id


def _of_functions_around(scope: Scope) -> frozenset[str]:
    """Names of enclosing functions: what they hold lives as long as a call of these."""
    found: set[str] = set()
    outer = scope.outer
    while outer is not None:
        if outer.kind == "function":
            found.update(outer.bindings)
        outer = outer.outer
    return frozenset(found)
