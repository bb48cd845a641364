"""What functions of the standard library give that hand on what is in their arguments."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from unstall.audit import types_elements
from unstall.audit.scopes import Scope
from unstall.audit.values import GENERATOR, INSTANCE, NOTHING, Values, instance, union, where
from unstall.catalog.row import Effect

if TYPE_CHECKING:
    from unstall.audit.types import Types

_Gives = Callable[["Types", list[Values]], Values]


def of_standard(types: Types, name: str, scope: Scope, call: ast.Call) -> Values:
    """Nothing where it is another function."""
    gives = _GIVES.get(name)
    return gives(types, [types.values(scope, each) for each in call.args]) if gives else NOTHING


def _element(types: Types, given: list[Values]) -> Values:
    return types.element(given[0]) if given else NOTHING


def _one(types: Types, given: list[Values]) -> Values:
    """One of them: of several kinds a guess."""
    return types_elements.one_of(_element(types, given))


def _some(types: Types, given: list[Values]) -> Values:
    return instance("builtins.list", _one(types, given))


def _deque(types: Types, given: list[Values]) -> Values:
    return instance("collections.deque", _element(types, given))


def _as_lazy(types: Types, given: list[Values]) -> Values:
    """Iterators of the same elements; a generator among them is as lazy as before."""
    return union(given)


def _first(types: Types, given: list[Values]) -> Values:
    return given[0] if given else NOTHING


def _second(types: Types, given: list[Values]) -> Values:
    return given[1] if len(given) > 1 else NOTHING


def _csv(name: str) -> _Gives:
    """It reads as what it is passed does: lines of a file, of a generator, or what is in memory."""

    def gives(types: Types, given: list[Values]) -> Values:
        if not given or not given[0]:
            return instance(name, guess=2)
        lazy = where(given[0], lambda value: value.kind == GENERATOR)
        files = where(given[0], lambda value: value.kind == INSTANCE and _reads(types, value.name))
        guess = min((value.guess for value in files), default=0)
        read = instance(name, guess=guess) if files else NOTHING
        return lazy | read or instance("builtins.list")

    return gives


def _reads(types: Types, name: str) -> bool:
    row = types.table.row_for(name, "iterate")
    return row is not None and row.effect is Effect.BLOCKS


_GIVES: dict[str, _Gives] = {
    "collections.deque": _deque,
    "csv.DictReader": _csv("csv.DictReader"),
    "csv.reader": _csv("csv.reader"),
    "itertools.chain": _as_lazy,
    "itertools.chain.from_iterable": _element,
    "itertools.cycle": _first,
    "itertools.dropwhile": _second,
    "itertools.filterfalse": _second,
    "itertools.islice": _first,
    "itertools.takewhile": _second,
    "random.Random.choice": _one,
    "random.Random.choices": _some,
    "random.Random.sample": _some,
    "random.SystemRandom.choice": _one,
    "random.choice": _one,
    "random.choices": _some,
    "random.sample": _some,
    "secrets.choice": _one,
}
