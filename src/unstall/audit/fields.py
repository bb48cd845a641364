"""Where in a syntax tree something can lie that runs or binds, and what it is called."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set
from typing import Any

_PLAIN = frozenset(
    "arg asname attr ctx conversion id is_async kind level module op ops simple type_comment".split()
)
"""Texts, numbers and operators."""


class Fields(dict[type[ast.AST], tuple[str, ...]]):
    """By kind, in the order of the source; each kind is worked out once."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        found = self[kind] = tuple(name for name in kind._fields if name not in _PLAIN)
        return found


class Reversed(Fields):
    """The last one first: so they come off a stack in order."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        found = self[kind] = FIELDS[kind][::-1]
        return found


FIELDS = Fields()
REVERSED = Reversed()

LEAVES = frozenset(
    {
        ast.Name,
        ast.Constant,
        ast.alias,
        ast.Load,
        ast.Store,
        ast.Del,
        ast.Pass,
        str,
        int,
        bool,
        bytes,
        float,
        complex,
        type(...),
        type(None),
    }
    | set(ast.operator.__subclasses__())
    | set(ast.cmpop.__subclasses__())
    | set(ast.boolop.__subclasses__())
    | set(ast.unaryop.__subclasses__())
)
"""Nothing can be called below them."""
NO_NODES = LEAVES - {ast.Name, ast.Constant, ast.alias, ast.Pass}
"""The same, but for names and constants."""


def children(node: ast.AST, without: Set[object] = NO_NODES) -> list[ast.AST]:
    """As `ast.iter_child_nodes`, without what nothing lies below of that is no name or constant.

    `without` these: `LEAVES` for what can hold a call.
    """
    found: list[ast.AST] = []
    given = node.__dict__
    for name in FIELDS[node.__class__]:
        value: Any = given.get(name)
        kind = value.__class__
        if kind is list:
            found += [each for each in value if each.__class__ not in without]
        elif kind not in without:
            found.append(value)
    return found


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """As `ast.walk`, without operators and contexts, and in no order."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if node.__class__ not in LEAVES:
            waiting += children(node)


def dotted(node: ast.AST) -> str:
    """`a.b.c` as it is written; empty for any other expression."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""
