"""What callers pass: the values of parameters that say nothing themselves."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from unstall.audit import types_names
from unstall.audit.functions import argument_for
from unstall.audit.scopes import Scope
from unstall.audit.types_containers import provided
from unstall.audit.types_generics import is_variable
from unstall.audit.values import (
    CLASS,
    CONSTANT,
    FUNCTION,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    guessed,
    one,
    union,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types

_MOST = 48
"""Calls of one name that are looked at: a name that everybody uses says little."""


class Mention(NamedTuple):
    """A call whose function, or one of whose arguments, is written with a certain last name."""

    scope: Scope
    call: ast.Call
    argument: int
    """Which argument; -1: the function itself."""


class Callers:
    def __init__(self, types: Types) -> None:
        self._types = types
        self._mentions: dict[str, list[Mention]] | None = None
        self._decorators: dict[str, list[tuple[Scope, ast.expr]]] | None = None
        self._named: dict[str, tuple[tuple[Scope, ast.expr], ...]] = {}

    def passed(self, key: str) -> Values:
        """All that any first-party call passes for a parameter: a guess."""
        return self._types.once(("passed", key), None, lambda: guessed(self._passed(key), 1))

    def _passed(self, key: str) -> Values:
        if is_variable(key):
            return self._types.generics.anywhere(key)
        scope_id, _, parameter = key.rpartition(" ")
        scope = self._types.project.scope(scope_id)
        if scope is None or not isinstance(scope.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return NOTHING
        found = self._injected(scope, parameter)
        name = scope.node.name
        if scope.outer is not None and _is_setter(scope.node):
            found.append(types_names.put_from_outside(self._types, scope.outer.id, name))
        for mention in (*self.mentions(scope)[:_MOST], *self._from_below(scope)):
            node = self._argument(mention, scope, parameter)
            if node is not None:
                values = self._types.known(mention.scope, node)
                found.append(provided(values) if mention.argument >= 0 else values)
        values = union(found)
        return frozenset(v for v in values if v.kind not in (CONSTANT, PARAMETER))

    def decorated(self, key: str) -> Values:
        """The functions that stand below a decorator whose first parameter this is: a guess."""
        return self._types.once(("decorated", key), None, lambda: guessed(self._decorated(key), 1))

    def _decorated(self, key: str) -> Values:
        scope_id, _, parameter = key.rpartition(" ")
        scope = self._types.project.scope(scope_id)
        if scope is None or scope.outer is None:
            return NOTHING
        shape = self._types.shape(scope)
        is_method = scope.outer.kind == "class" and not shape.is_static
        if shape.parameters[is_method : is_method + 1] != (parameter,):
            return NOTHING
        return union(
            one(FUNCTION, below.id, exact=True)
            for name in _written_as(scope)
            for below, decorator in self._below(name)
            if below.outer is not None
            and any(
                v.kind == FUNCTION and v.name == scope.id
                for v in self._types.values(below.outer, decorator)
            )
        )

    def _below(self, name: str) -> list[tuple[Scope, ast.expr]]:
        """Functions below a decorator that is written with that last name."""
        if self._decorators is None:
            self._decorators = defaultdict(list)
            for scope in self._types.project.own_scopes():
                for decorator in getattr(scope.node, "decorator_list", ()):
                    if scope.kind == "function":
                        self._decorators[last_name(_made_by(decorator))].append((scope, decorator))
        return self._decorators.get(name, [])

    def mentions(self, scope: Scope) -> list[Mention]:
        """Calls that may be calls of this function, by its name."""
        name = getattr(scope.node, "name", "")
        return self._all().get(called_by(scope, name), [])

    def calling(self, name: str) -> tuple[Mention, ...]:
        """Calls of whatever has this last name."""
        return tuple(each for each in self._all().get(name, ()) if each.argument < 0)

    def named(self, name: str) -> Sequence[tuple[Scope, ast.expr]]:
        """Whatever has this last name, where it is called, passed, or decorates a class or function."""
        known = self._named.get(name)
        if known is None:
            known = self._named[name] = tuple(self._written(name))
        return known

    def _written(self, name: str) -> Iterator[tuple[Scope, ast.expr]]:
        for each in self._all().get(name, ()):
            yield each.scope, each.call.func if each.argument < 0 else each.call.args[each.argument]
        for scope in self._types.project.own_scopes():
            for decorator in getattr(scope.node, "decorator_list", ()):
                if scope.outer is not None and last_name(decorator) == name:
                    yield scope.outer, decorator

    def _from_below(self, scope: Scope) -> list[Mention]:
        """`super().__init__(…)` in classes that inherit this constructor."""
        owner = scope.outer
        if owner is None or getattr(scope.node, "name", "") != "__init__":
            return []
        below = frozenset(self._types.classes.subclasses(owner.id))
        found = self._all().get("__init__", ()) if below else ()
        around = [(mention, mention.scope.class_of_method()) for mention in found]
        return [m for m, class_ in around if class_ is not None and class_.id in below][:_MOST]

    def argument(self, mention: Mention, scope: Scope, parameter: str) -> ast.expr | None:
        return self._argument(mention, scope, parameter)

    def given(self, scope: Scope, parameter: str) -> Iterator[tuple[Scope, ast.expr]]:
        """What calls of a function pass for a parameter, and where they stand."""
        for mention in self.mentions(scope):
            node = self._argument(mention, scope, parameter)
            if node is not None:
                yield mention.scope, node

    def is_called_by_modules(self, scope: Scope) -> bool:
        """While some module is imported: long before a request."""
        return any(
            mention.argument < 0
            and mention.scope.kind == "module"
            and self.is_call_of(mention, scope) is not None
            for mention in self.mentions(scope)
        )

    def is_call_of(self, mention: Mention, scope: Scope) -> Value | None:
        """The value by which a call reaches the function; None: it calls something else."""
        node = mention.call.func if mention.argument < 0 else mention.call.args[mention.argument]
        for value in self._types.values(mention.scope, node):
            if value.kind == FUNCTION and self._reaches(value, scope.id):
                return value
            if value.kind == CLASS and self._constructs(value, scope):
                return value
        return None

    def _constructs(self, value: Value, scope: Scope) -> bool:
        """The class runs this method of its own, or of one that it inherits from."""
        owner = scope.outer
        if owner is None or owner.kind != "class":
            return False
        return owner.id in self._types.classes.order(value.name)

    def _reaches(self, value: Value, id_: str) -> bool:
        """The function itself, or a wrapper around it."""
        if value.name == id_:
            return True
        return any(
            each.kind == FUNCTION and self._reaches(each, id_)
            for _, values in value.closure
            for each in values
        )

    def _argument(self, mention: Mention, scope: Scope, parameter: str) -> ast.expr | None:
        call = mention.call
        shape = self._types.shape(scope)
        if parameter not in shape.parameters and parameter not in shape.keywords:
            return None
        value = self.is_call_of(mention, scope)
        if value is None:
            return None
        is_method = scope.outer is not None and scope.outer.kind == "class" and not shape.is_static
        skip = 1 if is_method and (value.owner or value.kind == CLASS) else 0
        if value.kind == FUNCTION and value.name != scope.id:
            skip += self._shift(scope)
        if mention.argument >= 0:  # handed on, with its arguments after it
            call = ast.Call(call.func, call.args[mention.argument + 1 :], call.keywords)
        return argument_for(call, shape, parameter, skip)

    def _shift(self, scope: Scope) -> int:
        """How many arguments the wrapper around a function puts before those of the caller."""
        most = 0
        for _, call in self._inner_calls(scope):
            stars = [n for n, argument in enumerate(call.args) if isinstance(argument, ast.Starred)]
            most = max(most, *stars[:1], 0)
        return most

    def _inner_calls(self, scope: Scope) -> Iterator[tuple[Scope, ast.Call]]:
        """Where the wrapper that decorators put around a function calls it."""
        types = self._types
        if not getattr(scope.node, "decorator_list", ()) or scope.outer is None:
            return
        for value in types.member_of_definition(scope):
            for key, values in value.closure:
                if value.kind != FUNCTION or not any(
                    v.kind == FUNCTION and v.name == scope.id for v in values
                ):
                    continue
                wrapper = types.project.scope(value.name)
                if wrapper is None:
                    continue
                for event in types.project.scan(wrapper).events:
                    if event.kind != "call" or not isinstance(event.node, ast.Call):
                        continue
                    called = types.values(wrapper, event.node.func)
                    if any(v.kind == PARAMETER and v.name == key for v in called):
                        yield wrapper, event.node

    def _injected(self, scope: Scope, parameter: str) -> list[Values]:
        """What decorators pass: `def wrapper(*a): return f(session, *a)`."""
        found: list[Values] = []
        shape = self._types.shape(scope)
        for wrapper, call in self._inner_calls(scope):
            node = argument_for(call, shape, parameter, 0)
            if node is not None:
                found.append(self._types.known(wrapper, node))
        return found

    def _all(self) -> dict[str, list[Mention]]:
        if self._mentions is None:
            mentions: dict[str, list[Mention]] = defaultdict(list)
            project = self._types.project
            for scope in self._scopes():
                for event in project.scan(scope).events:
                    if event.kind == "call" and isinstance(event.node, ast.Call):
                        call = event.node
                        mentions[last_name(call.func)].append(Mention(scope, call, -1))
                        for place, argument in enumerate(call.args[:3]):
                            name = last_name(argument)
                            if name:
                                mentions[name].append(Mention(scope, call, place))
            self._mentions = mentions
        return self._mentions

    def _scopes(self) -> list[Scope]:
        """All that has calls: modules, classes, functions, and the lambdas that these turn out to have."""
        project = self._types.project
        scopes = [root for name, root in project.roots.items() if not project.modules[name].is_test]
        scopes += project.own_scopes()
        done = 0
        while done < len(scopes):
            scope = scopes[done]
            project.scan(scope)
            scopes += [
                c
                for c in scope.children.values()
                if c.kind in ("lambda", "generator") and c not in scopes[done:]
            ]
            done += 1
        return list(dict.fromkeys(scopes))


def _written_as(scope: Scope) -> Iterator[str]:
    """A decorator's own name, and those of the functions that make it."""
    current: Scope | None = scope
    while current is not None and current.kind == "function":
        yield getattr(current.node, "name", "")
        current = current.outer


def _made_by(decorator: ast.expr) -> ast.expr:
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def _is_setter(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(getattr(decorator, "attr", "") == "setter" for decorator in node.decorator_list)


def called_by(scope: Scope, name: str) -> str:
    """A constructor is called by the name of its class."""
    if name in ("__init__", "__new__") and scope.outer is not None:
        return getattr(scope.outer.node, "name", name)
    return name


def names_of(types: Types, scope: Scope) -> tuple[str, ...]:
    """Last names that a call is written with: of a constructor also those of the classes below."""
    name = getattr(scope.node, "name", "")
    if name != "__init__" or scope.outer is None:
        return (called_by(scope, name),)
    classes = map(types.classes.scope, (scope.outer.id, *types.classes.subclasses(scope.outer.id)))
    written = [getattr(each.node, "name", "") for each in classes if each is not None]
    return (*dict.fromkeys(written), name, "cls")


def last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
