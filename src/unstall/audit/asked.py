"""Which parameters decide what is called, in a function or in one that it hands them on to."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from unstall.audit.constants import many_of
from unstall.audit.functions import Shape
from unstall.audit.known import MOST_PARTS, Known
from unstall.audit.known_names import Kept
from unstall.audit.known_values import asks_attribute, asks_class, hands_on
from unstall.audit.scan import Event
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import last_name, names_of

TRUTH: Final = "truth"
NONE: Final = "none"
CLASS: Final = "class"
LITERAL: Final = "literal"
_ANY: Final = "*"
"""A place among the arguments that is not known."""
_ROUNDS = 8
"""So far a parameter is followed from function to function."""
_DEEPEST = 2
"""So deep lie the parts that are asked about: of a tuple in `*rest`."""

Questions = frozenset[tuple[int, str]]
"""What is asked, and how deep the part lies that it is asked about; 0: about the whole."""
Asked = dict[str, Questions]
"""By parameter, in order, what is asked about it."""
_Found = dict[str, set[tuple[int, str]]]


class _Handed(NamedTuple):
    scope: str
    parameter: str
    function: str
    """The last name of what it is handed to."""
    place: str
    part: int
    """So deep in the parameter lies what is handed on."""
    deeper: int
    """So deep it lies in the argument; of `*a` the parts are what is passed: -1."""


def reduced(known: Known, questions: Questions) -> Known:
    """What answers a question: functions are told apart by no more than that."""
    asked = {question for depth, question in questions if not depth}
    below = frozenset((depth - 1, question) for depth, question in questions if depth)
    items = known.items if below else None
    has_keys = bool(below) and len(known.keys) <= MOST_PARTS
    return Known(
        known.truth if TRUTH in asked else None,
        known.none if NONE in asked else None,
        known.classes if CLASS in asked else (),
        tuple(reduced(each, below) for each in items) if items is not None else None,
        tuple((key, reduced(each, below)) for key, each in known.keys) if has_keys else (),
        known.open if has_keys else True,
        known.literal if LITERAL in asked else None,
    )


def _moved(questions: set[tuple[int, str]], by: int) -> set[tuple[int, str]]:
    """The same questions, about what lies so much deeper, or less deep."""
    return {(depth + by, q) for depth, q in questions if 0 <= depth + by <= _DEEPEST}


def asking(types: Types, kept: Kept) -> dict[str, Asked]:
    """By function."""
    scopes = [each for each in types.project.own_scopes() if hands_on(each)]
    found: dict[str, _Found] = {scope.id: _tested(scope, types, kept) for scope in scopes}
    handed = [each for scope in scopes for each in _handed(scope, types, kept)]
    for _ in range(_ROUNDS):
        places = _places(scopes, found, types)
        changed = False
        for each in handed:
            asked = places.get(each.function)
            if asked is None:
                continue
            more = (
                asked[_ANY] | asked[each.place]
                if each.place != _ANY
                else set().union(*asked.values())
            )
            more = _moved(_moved(more, -each.deeper), each.part)
            known = found[each.scope].setdefault(each.parameter, set())
            changed = changed or not more <= known
            known |= more
        if not changed:
            break
    return {
        id_: {name: frozenset(names[name]) for name in sorted(names) if names[name]}
        for id_, names in found.items()
        if any(names.values())
    }


def _places(scopes: list[Scope], found: dict[str, _Found], types: Types) -> dict[str, _Found]:
    """By last name, what functions so called ask about arguments, by keyword or number."""
    places: dict[str, _Found] = {}
    for scope in scopes:
        functions = names_of(types, scope) if found[scope.id] else ()
        shape = types.shape(scope)
        for function, (name, questions) in product(functions, found[scope.id].items()):
            known = places.setdefault(function, defaultdict(set))
            if name in (shape.rest, shape.rest_keywords):
                known[_ANY] |= _moved(questions, -1)  # an argument is a part of it
                continue
            for place in _places_of(shape, name):
                known[place] |= questions
    return places


def _places_of(shape: Shape, name: str) -> Iterator[str]:
    """A method's first argument may be its second parameter."""
    yield name
    if name in shape.parameters:
        number = shape.parameters.index(name)
        yield str(number)
        yield str(number - 1)


def _tested(scope: Scope, types: Types, kept: Kept) -> _Found:
    """In conditions around calls, and by loops around them."""
    found: _Found = defaultdict(set)
    events = types.project.scan(scope).events
    tests = {id(test): test for event in events for test in event.tests}
    loops = {id(each): each for event in events if event.over for each in loops_of(event)}
    for test in (tests | loops).values():
        for name, question in _with_named(test, scope, kept):
            base = kept.parameter(scope, name)
            if base is not None and len(base[1]) <= _DEEPEST:
                found[base[0]].add((len(base[1]), question))
            elif base is None and kept.or_literals(scope, name):
                found[name.id].add((0, question))
    return found


def _with_named(test: ast.expr, scope: Scope, kept: Kept) -> Iterator[tuple[ast.Name, str]]:
    """Also of conditions that have a name."""
    for name, question in _questions(test):
        yield name, question
        condition = kept.condition(scope, name) if question is TRUTH else None
        if condition is not None:
            yield from _questions(condition)


def loops_of(event: Event) -> Iterator[ast.expr]:
    """What the loops around it go over; the condition of `while` is a test."""
    return (each for each in event.over if isinstance(each, ast.expr))


def _questions(test: ast.expr) -> Iterator[tuple[ast.Name, str]]:
    """Of `a`, `not a`, `a and b`, `a is None`, `a == "b"`, `a in ("b",)`, `isinstance(a, B)`, `hasattr`."""
    if isinstance(test, ast.Name):
        yield test, TRUTH
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from _questions(test.operand)
    elif isinstance(test, ast.BoolOp):
        for part in test.values:
            yield from _questions(part)
    elif isinstance(test, ast.Compare) and isinstance(test.left, ast.Name):
        other = test.comparators[0]
        is_literal = isinstance(other, (ast.Constant, ast.Attribute)) or many_of(other) is not None
        if len(test.ops) == 1 and is_literal:
            yield test.left, NONE if getattr(other, "value", other) is None else LITERAL
    else:
        asked = asks_class(test) or asks_attribute(test)
        if asked is not None and isinstance(asked[0], ast.Name):
            yield asked[0], CLASS


def _handed(scope: Scope, types: Types, kept: Kept) -> Iterator[_Handed]:
    for event in types.project.scan(scope).events:
        call = event.node
        if not isinstance(call, ast.Call) or not (function := last_name(call.func)):
            continue
        for place, argument, least in _arguments(call):
            for name, deeper in _written(argument, least):
                base = kept.parameter(scope, name)
                if base is not None:
                    yield _Handed(scope.id, base[0], function, place, len(base[1]), deeper)
                elif any(each.kind == "parameter" for each in kept.all(scope, name)):
                    # filled where it was missing
                    yield _Handed(scope.id, name.id, function, place, 0, deeper)


def _arguments(call: ast.Call) -> Iterator[tuple[str, ast.expr, int]]:
    """Of `**k` the parts are what is passed."""
    is_open = False
    for number, argument in enumerate(call.args):
        is_open = is_open or isinstance(argument, ast.Starred)
        yield (_ANY if is_open else str(number)), argument, 0
    for keyword in call.keywords:
        yield keyword.arg or _ANY, keyword.value, 0 if keyword.arg else -1


def _written(argument: ast.expr, deeper: int) -> Iterator[tuple[ast.Name, int]]:
    """Names in `a`, `*a`, `(a, b)`, `a or b`, and how deep each lies in what is passed."""
    if isinstance(argument, ast.Name):
        yield argument, deeper
    elif isinstance(argument, ast.Starred):
        yield from _written(argument.value, deeper - 1)
    elif isinstance(argument, ast.Tuple):
        for each in argument.elts:
            yield from _written(each, deeper + 1)
    elif isinstance(argument, ast.BoolOp):
        for each in argument.values:
            yield from _written(each, deeper)
