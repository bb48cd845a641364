"""Branches that never run, as far as constants and what is passed tell."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from unstall.audit import types_names, types_parameters
from unstall.audit.constants import last_of, said, truth
from unstall.audit.scan import ASKS_KIND, Event
from unstall.audit.scopes import Scope

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
        return self._named(scope, test) if known is None and isinstance(test, ast.Name) else known

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
