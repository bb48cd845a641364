"""How many there can be of what a request brings, as far as annotations say it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NamedTuple

from unstall.audit import types_names
from unstall.audit.many_trail import Part
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import last_name
from unstall.audit.types_classes import Member
from unstall.audit.values import INSTANCE

_FEW = 1_000
"""So many calls of microseconds are a few milliseconds."""
_BOUNDS = frozenset({"max_length", "max_items"})
_BY_KEY = frozenset("set Set frozenset FrozenSet dict Dict Mapping MutableMapping".split())
"""They hold each key once."""
_COUNTED = frozenset({"builtins.bool", "enum.Enum", "enum.IntEnum", "enum.StrEnum"})


class Said(NamedTuple):
    """What stands for a parameter or field, and where."""

    scope: Scope
    annotation: ast.expr
    default: ast.expr | None = None


def bare(annotation: ast.expr) -> ast.expr:
    """`Annotated[T, …]` and `T | None` as T."""
    match annotation:
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
            return bare(first)
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return bare(left)
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return bare(inner)
        case _:
            return annotation


def bound(said: ast.expr | None) -> ast.expr | None:
    """What a default or an annotation says of the length of the whole; of its parts it may say more."""
    match said:
        case ast.Call():
            return next((each.value for each in said.keywords if each.arg in _BOUNDS), None)
        case ast.Subscript(slice=ast.Tuple(elts=parts)) if last_name(said.value) == "Annotated":
            return next(filter(None, map(bound, parts)), None)
        case ast.Subscript(slice=inner) if last_name(said.value) == "Optional":
            return bound(inner)
        case ast.BinOp(left=left, right=right):
            return bound(left) or bound(right)
    return None


def is_few(types: Types, said: Said, held: Sequence[Part]) -> bool:
    """Its annotation bounds it, or the part of it that `held` leads to, or counts the keys."""
    every = _part(types, said, held) if held else [said]
    return bool(every) and all(_is_few(types, each) for each in every)


def _is_few(types: Types, said: Said) -> bool:
    scope, node = _named(types, said)
    limit = bound(said.default) or bound(node)
    if limit is None:
        return has_few_keys(types, scope, node)
    if isinstance(limit, ast.Constant):
        return isinstance(limit.value, int) and limit.value <= _FEW
    return True


def _named(types: Types, said: Said) -> tuple[Scope, ast.expr]:
    """`Names = Annotated[…]` in place of its name."""
    scope, node, _ = said
    if isinstance(node, ast.Name):
        found = types_names.find(types, scope, node.id, (node.lineno, node.col_offset))
        owner, bindings = found if found is not None else (scope, ())
        return owner, next((each.value for each in bindings if each.value is not None), node)
    return scope, node


def _part(types: Types, said: Said, held: Sequence[Part]) -> list[Said]:
    """The field of a class at the end of the way; nothing where it may be anything else."""
    *before, last = held
    values = types.annotation(said.scope, said.annotation)
    for part in before:
        values = types.member(values, part) if isinstance(part, str) else types.element(values)
    found: list[Said] = []
    for value in values:
        is_field = isinstance(last, str) and value.kind == INSTANCE
        member = types.classes.find(value.name, str(last)) if is_field else None
        if not isinstance(member, Member):
            return []
        found += (
            Said(member.owner, each.annotation, each.value)
            for each in member.bindings
            if each.annotation is not None
        )
    return found


def has_few_keys(types: Types, scope: Scope, annotation: ast.expr) -> bool:
    """A pair has two parts, and a set of an enumeration no more than that."""
    kind = bare(annotation)
    if not isinstance(kind, ast.Subscript):
        return False
    parts = kind.slice.elts if isinstance(kind.slice, ast.Tuple) else [kind.slice]
    if last_name(kind.value) in ("tuple", "Tuple"):
        return not any(isinstance(each, ast.Constant) and each.value is ... for each in parts)
    return last_name(kind.value) in _BY_KEY and _is_counted(types, scope, parts[0])


def _is_counted(types: Types, scope: Scope, key: ast.expr) -> bool:
    if isinstance(key, ast.Subscript) and last_name(key.value) == "Literal":
        return True
    kinds = [types.classes.order(value.name) for value in types.annotation(scope, key)]
    return bool(kinds) and not any(_COUNTED.isdisjoint(kind) for kind in kinds)
