"""Calls as values of the representation, for readers that need no more than names."""

from __future__ import annotations

import ast

from unstall.audit import types_members
from unstall.audit.calls import Seen, confidence_of, text_of
from unstall.audit.ir import Argument, Call, Via
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.values import (
    CLASS,
    CONTEXT,
    EXTERNAL,
    FUNCTION,
    GENERATOR,
    INSTANCE,
    Value,
)


def as_call(types: Types, scope: Scope, seen: Seen) -> Call:
    """For readers that need no more than names."""
    values = types.expanded(seen.targets)
    names = tuple(sorted({name for value in values for name in names_of(types, value)}))
    node = seen.node
    written = node.func if isinstance(node, ast.Call) and seen.via is Via.CALL else node
    return Call(
        via=seen.via,
        line=node.lineno,
        end_line=node.end_lineno or node.lineno,
        column=node.col_offset,
        text=text_of(written),
        targets=names,
        confidence=confidence_of(min((value.guess for value in values), default=0)),
        awaited=seen.event.awaited,
        arguments=_arguments(types, scope, node) if isinstance(node, ast.Call) else (),
        repeats=seen.event.repeats,
        dead=seen.dead,
        unknown="" if names else unknown(types, scope, written),
    )


def names_of(types: Types, value: Value) -> tuple[str, ...]:
    """What a target is called."""
    if value.kind == CLASS:
        return (value.name,)
    if value.kind == FUNCTION:
        # A wrapper, and what it is wrapped around.
        around = [v for _, values in value.closure for v in values if v.kind == FUNCTION]
        return (value.name, *(name for each in around for name in names_of(types, each)))
    if value.kind in (EXTERNAL, GENERATOR, CONTEXT):
        return (value.name,)
    if value.kind == INSTANCE:
        if ":" not in value.name:
            return (value.name,)
        found = types_members.member(types, frozenset((value,)), "__call__")
        return tuple(each.name for each in found if each.kind == FUNCTION) or (value.name,)
    return ()


def unknown(types: Types, scope: Scope, node: ast.expr) -> str:
    """Why a call has no target, and what would settle it."""
    if isinstance(node, ast.Attribute):
        if not types.known(scope, node.value):
            return f"the class of {text_of(node.value)} is not known: annotate it"
        return f"{text_of(node.value)} has no {node.attr} that source shows"
    if isinstance(node, ast.Name):
        return f"what {node.id} is here is not known: annotate it or call it by name"
    return "it calls what an expression gives: give that a name with an annotation"


def _arguments(types: Types, scope: Scope, node: ast.Call) -> tuple[Argument, ...]:
    found = [_argument(types, scope, None, each) for each in node.args]
    found += [_argument(types, scope, keyword.arg, keyword.value) for keyword in node.keywords]
    return tuple(found)


def _argument(types: Types, scope: Scope, name: str | None, node: ast.expr) -> Argument:
    if isinstance(node, ast.Constant):
        value = node.value if isinstance(node.value, (str, int, float, bool)) else None
        return Argument(name, repr(node.value), True, value)
    values = types.known(scope, node)
    return Argument(
        name,
        text_of(node),
        refers=tuple(sorted({v.name for v in values if v.kind in (FUNCTION, EXTERNAL)})),
        types=tuple(sorted({v.name for v in values if v.kind == INSTANCE})),
    )
