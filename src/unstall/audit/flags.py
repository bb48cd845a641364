"""Parameters that a function branches on, and the truth of the constants that a call passes for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.calls import Seen
from unstall.audit.constants import said, truth
from unstall.audit.functions import argument_for, is_open
from unstall.audit.ir import Via
from unstall.audit.scan import Event, Scan
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import Mention, called_by, last_name
from unstall.audit.types_parameters import default_of
from unstall.audit.values import CLASS, EXTERNAL, FUNCTION, Value

Flags = tuple[tuple[str, bool], ...]
"""By parameter, in order: whether what was passed is true. What is not known is not there."""
_PLAIN = frozenset({"staticmethod", "classmethod", "override"})
"""Decorators that hand on what the caller passed."""


def rule_out(event: Event, flags: Flags) -> bool:
    """Whether a condition around the event is not met."""
    known = dict(flags)

    def leaf(part: ast.expr) -> bool | None:
        return known[part.id] if isinstance(part, ast.Name) and part.id in known else said(part)

    return any(
        truth(test, leaf) is negated
        for test, negated in zip(event.tests, event.negated, strict=True)
    )


class Passed:
    """What functions branch on is worked out once for each."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._asked: dict[str, tuple[str, ...]] = {}
        self._others: dict[tuple[str, str], tuple[ast.expr, ...]] = {}

    def by(self, seen: Seen, value: Value, target: Scope, own: Flags) -> Flags:
        """What a call says: by a constant, by leaving it to the default, or by handing on `own`."""
        call = seen.node
        asked = self._asked.get(target.id)
        if asked is None:
            asked = self._asked[target.id] = _asked_by(target, self._types.project.scan(target))
        if not asked or not isinstance(call, ast.Call) or seen.via is not Via.CALL:
            return ()
        if last_name(call.func) != called_by(target, getattr(target.node, "name", "")):
            return ()  # under another name it may be a partial, with arguments before these
        shape = self._types.shape(target)
        skip = 1 if value.owner and not shape.is_static else 0
        found: list[tuple[str, bool]] = []
        for name in asked:
            given = argument_for(call, shape, name, skip)
            if given is None and not is_open(call):
                given = default_of(target, name)
            if isinstance(given, ast.Constant):
                found.append((name, bool(given.value)))
            elif isinstance(given, ast.Name):
                found += [(name, is_true) for each, is_true in own if each == given.id]
        return tuple(each for each in found if not self._is_doubted(target, *each))

    def _is_doubted(self, target: Scope, name: str, is_true: bool) -> bool:
        """A call of a method that may be this one, which nobody can tell, passes something else."""
        return any(
            not (isinstance(given, ast.Constant) and bool(given.value) is is_true)
            for given in self._given_by_others(target, name)
        )

    def _given_by_others(self, target: Scope, name: str) -> tuple[ast.expr, ...]:
        key = (target.id, name)
        known = self._others.get(key)
        if known is None:
            shape = self._types.shape(target)
            skip = 0 if shape.is_static else 1
            calls = [
                mention.call
                for mention in self._types.callers.mentions(target)
                if mention.argument < 0 and self._is_unknown(mention)
            ]
            given = [(call, argument_for(call, shape, name, skip)) for call in calls]
            # Of what is not written, `f(**k)` itself says no more than that it may be anything.
            known = self._others[key] = tuple(
                each or call for call, each in given if each is not None or is_open(call)
            )
        return known

    def _is_unknown(self, mention: Mention) -> bool:
        values = self._types.values(mention.scope, mention.call.func)
        return not any(value.kind in (FUNCTION, CLASS, EXTERNAL) for value in values)


def _asked_by(scope: Scope, scan: Scan) -> tuple[str, ...]:
    """Parameters that keep what was passed, and whose truth decides what is called, here or further on."""
    decorators = getattr(scope.node, "decorator_list", ())
    if scope.kind != "function" or any(last_name(each) not in _PLAIN for each in decorators):
        return ()
    tests = {id(test): test for event in scan.events for test in event.tests}
    names = {name for test in tests.values() for name in _names(test)}
    for event in scan.events:
        if isinstance(event.node, ast.Call):
            given = (*event.node.args, *(keyword.value for keyword in event.node.keywords))
            names |= {each.id for each in given if isinstance(each, ast.Name)}
    return tuple(sorted(name for name in names if scope.keeps(name)))


def _names(test: ast.expr) -> Iterator[str]:
    """Of `a`, `not a`, `a and b`."""
    if isinstance(test, ast.Name):
        yield test.id
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from _names(test.operand)
    elif isinstance(test, ast.BoolOp):
        for part in test.values:
            yield from _names(part)
