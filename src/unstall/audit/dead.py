"""Branches that never run, as far as constants and what is passed tell."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from unstall.audit import types_names, types_parameters
from unstall.audit.constants import last_of, said, truth
from unstall.audit.known_values import Knowledge
from unstall.audit.scan import ASKS_KIND, Event
from unstall.audit.scopes import Scope
from unstall.audit.types_classes import Member

if TYPE_CHECKING:
    from unstall.audit.types import Types


def kind_rules_out(event: Event, is_async: Callable[[ast.expr], bool | None]) -> bool | None:
    """Whether what was passed keeps a condition from being met; None: it cannot be said."""
    doubt = False

    def leaf(part: ast.expr) -> bool | None:
        nonlocal doubt
        if not (isinstance(part, ast.Call) and last_of(part.func) in ASKS_KIND and part.args):
            return said(part)
        known = is_async(part.args[0])
        doubt = doubt or known is None
        return known

    for test, negated in zip(event.tests, event.negated, strict=True):
        if truth(test, leaf) == negated:
            return True
    return None if doubt else False


class Branches:
    def __init__(self, types: Types) -> None:
        self._types = types
        self._knowledge = Knowledge(types)
        self._known: dict[int, bool | None] = {}

    def dead(self, scope: Scope, event: Event) -> bool:
        """Whether one of the conditions around it is never met."""
        for test, negated in zip(event.tests, event.negated, strict=True):
            truth = self._truth(scope, test)
            if truth is not None and truth == negated:
                return True
        return False

    def _truth(self, scope: Scope, test: ast.expr) -> bool | None:
        key = id(test)
        if key not in self._known:
            self._known[key] = self._decide(scope, test)
        return self._known[key]

    def _decide(self, scope: Scope, test: ast.expr) -> bool | None:
        """True, false, or None: it depends."""
        return truth(test, lambda part: self._leaf(scope, part))

    def _leaf(self, scope: Scope, test: ast.expr) -> bool | None:
        known = said(test)
        if known is not None:
            return known
        if isinstance(test, ast.Name):
            return self._named(scope, test)
        if isinstance(test, ast.Attribute) and isinstance(test.value, ast.Name):
            return self._made_with(scope, test.value.id, test.attr)
        return self._knowledge.answer_of_class(scope, test)

    def _named(self, scope: Scope, test: ast.Name) -> bool | None:
        found = types_names.find(self._types, scope, test.id, (test.lineno, test.col_offset))
        if found is None or len(found[1]) != 1:
            return None
        owner, (binding,) = found
        if binding.kind == "parameter":
            return self._always_default(owner, test.id)
        if (
            owner.kind != "module"
            or len(owner.bindings.get(test.id, ())) != 1
            or binding.kind != "assign"
            or test.id in owner.changed
        ):
            return None
        return _constant(binding.value)

    def _made_with(self, scope: Scope, receiver: str, name: str) -> bool | None:
        """An attribute that is a parameter of the constructor, and that nothing else is ever given to."""
        owner = scope.class_of_method()
        arguments = getattr(scope.node, "args", None)
        if owner is None or arguments is None or not arguments.args:
            return None
        found = self._types.classes.find(owner.id, name)
        if not isinstance(found, Member) or found.bindings or len(found.assigned) != 1:
            return None
        ((maker, binding),) = found.assigned
        value = binding.value
        if (
            receiver != arguments.args[0].arg
            or getattr(maker.node, "name", "") != "__init__"
            or not isinstance(value, ast.Name)
            or self._types.classes.subclasses(found.owner.id)
            or self._types.project.is_stored(name)
            or any(
                each.scope.class_of_method() is owner for each in self._types.callers.calling("cls")
            )
        ):
            return None
        return self._always_default(maker, value.id)

    def _always_default(self, owner: Scope, name: str) -> bool | None:
        """A parameter with a constant default that no call passes; of a function that is called at all."""
        truth = _constant(types_parameters.default_of(owner, name))
        if (
            truth is not False
            or owner.kind != "function"
            or not owner.keeps(name)
            or getattr(owner.node, "decorator_list", None)
        ):
            return None
        callers = self._types.callers
        mentions = callers.mentions(owner)
        calls = [each for each in mentions if callers.is_call_of(each, owner) is not None]
        if not calls or len(calls) < len(mentions):
            return None
        for each in calls:
            call = each.call
            if each.argument >= 0 or any(k.arg is None for k in call.keywords):
                return None
            if callers.argument(each, owner, name) is not None:
                return None
            if any(isinstance(argument, ast.Starred) for argument in call.args):
                return None
        return False


def _constant(node: ast.expr | None) -> bool | None:
    return bool(node.value) if isinstance(node, ast.Constant) else None
