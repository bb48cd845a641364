"""Branches that never run, as far as constants tell."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unstall.audit import types_names, types_parameters
from unstall.audit.scan import Event
from unstall.audit.scopes import Scope

if TYPE_CHECKING:
    from unstall.audit.types import Types


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
        if isinstance(test, ast.Constant):
            return bool(test.value)
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self._truth(scope, test.operand)
            return None if inner is None else not inner
        if isinstance(test, ast.BoolOp):
            parts = [self._truth(scope, part) for part in test.values]
            if isinstance(test.op, ast.And):
                return False if False in parts else True if all(parts) else None
            return True if True in parts else False if all(p is False for p in parts) else None
        if isinstance(test, ast.Attribute):
            return False if test.attr == "TYPE_CHECKING" else None
        if isinstance(test, ast.Name):
            return self._named(scope, test)
        return None

    def _named(self, scope: Scope, test: ast.Name) -> bool | None:
        if test.id == "TYPE_CHECKING":
            return False
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
        ):
            return None
        return _constant(binding.value)

    def _always_default(self, owner: Scope, name: str) -> bool | None:
        """A parameter with a constant default that no call passes; of a function that is called at all."""
        truth = _constant(types_parameters.default_of(owner, name))
        if (
            truth is not False
            or owner.kind != "function"
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
