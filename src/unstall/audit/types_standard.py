"""What functions of the standard library give that hand on what is in their arguments."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from unstall.audit import types_elements, types_files
from unstall.audit.scopes import Scope
from unstall.audit.values import (
    GENERATOR,
    INSTANCE,
    NOTHING,
    Value,
    Values,
    instance,
    key_of,
    union,
    where,
)
from unstall.catalog.row import Effect

if TYPE_CHECKING:
    from unstall.audit.types import Types

_Gives = Callable[["Types", list[Values]], Values]


def of_standard(types: Types, name: str, scope: Scope, call: ast.Call) -> Values:
    """Nothing where it is another function."""
    if name in _READERS:
        return _rows(types, name, _passed(types, scope, call.args[0]) if call.args else NOTHING)
    gives = _GIVES.get(name)
    if gives is None:
        return types_files.opened(name, call)
    return gives(types, [types.values(scope, each) for each in call.args])


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


def _passed(types: Types, scope: Scope, node: ast.expr) -> Values:
    """Of a parameter what callers pass, where they are known: `Iterable[str]` may be a list or a file."""
    if isinstance(node, ast.Name) and scope.kind == "function" and scope.keeps(node.id):
        found = types.callers.passed(key_of(scope.id, node.id))
        if found:
            return found
    return types.known(scope, node)


_READERS = frozenset({"csv.DictReader", "csv.reader"})
"""They read as what they are passed does: lines of a file, of a generator, or what is in memory."""


def _rows(types: Types, name: str, passed: Values) -> Values:
    if not passed:
        return instance(name, guess=2)
    lazy = where(passed, lambda v: v.kind == GENERATOR or _computes(types, v.name))
    read = frozenset(
        Value(INSTANCE, name, guess=max(value.guess, _guesses(types, value.name)))
        for value in passed - lazy
        if value.name not in _IN_MEMORY
    )
    return lazy | read or instance("builtins.list")


_IN_MEMORY = frozenset(
    "builtins.list builtins.tuple builtins.set builtins.dict builtins.str io.StringIO io.BytesIO "
    "collections.deque".split()
)
_STREAMS = ("typing.TextIO", "typing.IO", "typing.BinaryIO")


def _computes(types: Types, name: str) -> bool:
    """Asked for lines it does more than wait for a file: a packed one."""
    row = types.table.row_for(name, "iterate")
    return row is not None and row.effect is Effect.BLOCKS and row.code != "US106"


def _guesses(types: Types, name: str) -> int:
    """Guesses that lie between a class and lines of a file."""
    row = types.table.row_for(name, "iterate")
    if row is not None and row.effect is Effect.BLOCKS:
        return 0
    return 1 if name in _STREAMS else 2


_GIVES: dict[str, _Gives] = {
    "collections.deque": _deque,
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
