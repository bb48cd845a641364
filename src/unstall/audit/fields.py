"""Where in a syntax tree something can lie that runs or binds."""

from __future__ import annotations

import ast

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
        type(None),
    }
    | set(ast.operator.__subclasses__())
    | set(ast.cmpop.__subclasses__())
    | set(ast.boolop.__subclasses__())
    | set(ast.unaryop.__subclasses__())
)
"""Nothing can be called below them."""
NO_NODES = LEAVES - {ast.Name, ast.Constant, ast.alias, ast.Pass} | {
    bytes,
    float,
    complex,
    type(...),
}
"""The same, but for names and constants."""
