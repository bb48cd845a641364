"""Parameters that a function's branches ask about, and what a call surely passes for them."""

from __future__ import annotations

import ast
from typing import NamedTuple

from unstall.audit.asked import Asked, asking, loops_of, reduced
from unstall.audit.calls import Seen
from unstall.audit.functions import Shape, argument_for, is_open
from unstall.audit.known import UNKNOWN, Known, joined, tuple_of, without_keys
from unstall.audit.known_values import Knowledge, Own
from unstall.audit.scan import Event
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import Mention, called_by, last_name, names_of
from unstall.audit.types_parameters import default_of
from unstall.audit.values import CLASS, EXTERNAL, FUNCTION, INSTANCE, Value, Values

Flags = tuple[tuple[str, Known], ...]
"""By parameter, in order: what is known of what was passed. What is not known is not there."""


class _Given(NamedTuple):
    """What a call passes."""

    by_place: tuple[Known, ...]
    by_name: dict[str, Known]
    open_places: bool
    """More may follow."""
    open_names: bool


class Passed:
    """What functions ask about is worked out once for each."""

    def __init__(self, types: Types, *, asks: bool = True) -> None:
        """Without `asks` nothing is followed from function to function."""
        self._types = types
        self._knowledge = Knowledge(types)
        self._asking: dict[str, Asked] | None = None if asks else {}
        self._others: dict[tuple[str, str], Known | None] = {}
        self._unknown: dict[str, tuple[Mention, ...]] = {}
        self._written: dict[str, tuple[str, ...]] = {}

    def rule_out(self, scope: Scope, event: Event, flags: Flags) -> bool:
        """Whether a condition around the event is not met, or it is done for each of what is empty."""
        own = dict(flags)
        answer = self._knowledge.answer
        return any(
            answer(scope, test, own) is negated
            for test, negated in zip(event.tests, event.negated, strict=True)
        ) or any(answer(scope, each, own) is False for each in loops_of(event))

    def objects(self, scope: Scope, given: ast.expr | str, flags: Flags) -> Values:
        """What a parameter, or a name for one, holds, as far as its class was asked for."""
        own = dict(flags)
        if isinstance(given, str):
            known = own.get(given, UNKNOWN)
        else:
            known = self._knowledge.passed(scope, given, own)
        return frozenset(Value(INSTANCE, each) for each in known.classes)

    def by(self, seen: Seen, value: Value, target: Scope, scope: Scope, own: Flags) -> Flags:
        """What a call in `scope` says, by what it writes, leaves to the default, or hands on of `own`."""
        call = seen.node
        asked = self._asked(target)
        if not asked or not isinstance(call, ast.Call):
            return ()
        if last_name(call.func) not in self._names(target):
            return ()  # under another name it may be a partial, with arguments before these
        shape = self._types.shape(target)
        skip = 1 if value.owner and not shape.is_static else 0
        given = self._given(scope, call, dict(own))
        found: list[tuple[str, Known]] = []
        for name, questions in asked.items():
            known = reduced(self._for(target, shape, name, given, skip), questions)
            if known != UNKNOWN:
                known = reduced(self._agreed(target, name, known), questions)
            if known != UNKNOWN:
                found.append((name, known))
        return tuple(found)

    def _names(self, target: Scope) -> tuple[str, ...]:
        known = self._written.get(target.id)
        if known is None:
            known = self._written[target.id] = names_of(self._types, target)
        return known

    # What is passed

    def _given(self, scope: Scope, call: ast.Call, own: Own) -> _Given:
        of = self._knowledge.of
        places: list[Known] = []
        names: dict[str, Known] = {}
        open_places = open_names = False
        for argument in call.args:
            if open_places:
                break
            if isinstance(argument, ast.Starred):
                items = of(scope, argument.value, own).items
                open_places = items is None
                places += items or ()
            else:
                places.append(of(scope, argument, own))
        for keyword in call.keywords:
            known = of(scope, keyword.value, own)
            if keyword.arg is not None:
                names[keyword.arg] = known
            else:
                names |= dict(known.keys)
                open_names = open_names or known.open
        return _Given(tuple(places), names, open_places, open_names)

    def _for(self, target: Scope, shape: Shape, name: str, given: _Given, skip: int) -> Known:
        places = shape.parameters[skip:]
        if name == shape.rest:
            return UNKNOWN if given.open_places else tuple_of(given.by_place[len(places) :])
        if name == shape.rest_keywords:
            named = {*places, *shape.keywords}
            rest = ((k, without_keys(v)) for k, v in given.by_name.items() if k not in named)
            keys = tuple(sorted(rest))
            return Known(none=False, classes=("builtins.dict",), keys=keys, open=given.open_names)
        if name in given.by_name:
            return given.by_name[name]
        place = places.index(name) if name in places else -1
        if 0 <= place < len(given.by_place):
            return given.by_place[place]
        if given.open_names or (given.open_places and place >= 0):
            return UNKNOWN
        default = default_of(target, name)
        return self._knowledge.fixed(target.outer or target, default)

    # What others may pass

    def _agreed(self, target: Scope, name: str, known: Known) -> Known:
        """Without what a call contradicts of a method that may be this one, which nobody can tell."""
        key = (target.id, name)
        if key not in self._others:
            self._others[key] = self._elsewhere(target, name)
        others = self._others[key]
        return known if others is None else joined((known, others))

    def _elsewhere(self, target: Scope, name: str) -> Known | None:
        """What is true of all that such calls pass; None: none passes anything."""
        shape = self._types.shape(target)
        found: Known | None = None
        for mention in self._unknown_calls(target):
            given = argument_for(mention.call, shape, name, 0 if shape.is_static else 1)
            if given is None and not is_open(mention.call):
                continue
            # Of what is not written, `f(**k)` says no more than that it may be anything.
            known = UNKNOWN if given is None else self._knowledge.of(mention.scope, given, {})
            found = known if found is None else joined((found, known))
            if found == UNKNOWN:
                break
        return found

    def _unknown_calls(self, target: Scope) -> tuple[Mention, ...]:
        name = called_by(target, getattr(target.node, "name", ""))
        known = self._unknown.get(name)
        if known is None:
            mentions = self._types.callers.mentions(target)
            calls = (each for each in mentions if each.argument < 0)
            known = self._unknown[name] = tuple(filter(self._is_unknown, calls))
        return known

    def _is_unknown(self, mention: Mention) -> bool:
        values = self._types.values(mention.scope, mention.call.func)
        return not any(value.kind in (FUNCTION, CLASS, EXTERNAL) for value in values)

    # What is asked

    def _asked(self, target: Scope) -> Asked:
        if self._asking is None:
            self._asking = asking(self._types, self._knowledge.names)
        return self._asking.get(target.id, {})
