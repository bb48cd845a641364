"""What a call comes to in the object that a node is a method of, read anew from there."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from unstall.audit.calls import Seen, targets_of
from unstall.audit.ir import Via
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_generics import is_variable, says
from unstall.audit.values import INSTANCE, NOTHING, PARAMETER, Value, Values
from unstall.audit.walk_nodes import Node

_ELSEWHERE = frozenset({"__class__", "state"})
"""Attributes that are no mere members of what is known to have them."""


def variables(types: Types, node: Node) -> Mapping[str, Values]:
    """What type variables are for the object of this node, by their keys."""
    if not (node.receiver or node.bindings):
        return {}
    held = {key: values for key, values in node.bindings if is_variable(key)}
    given = types.generics.at(node.receiver, held)
    return {key: values for key, values in given.items() if says(values)} if given else given


def targets(
    types: Types, node: Node, scope: Scope, seen: Seen, given: Mapping[str, Values]
) -> Values:
    """Of a call, where the object tells more than its method does."""
    call = seen.node
    if not (given or node.receiver) or seen.via is not Via.CALL:
        return seen.targets
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
        return seen.targets
    if not _is_itself(seen) or _is_self(types, node, scope, call.func.value):
        return seen.targets  # methods of its own are found where they are called
    base = _read(types, node, scope, call.func.value, given)
    found = NOTHING if base is None else types.member(base, call.func.attr)
    return targets_of(types, seen.event, found) if found else seen.targets


def _is_itself(seen: Seen) -> bool:
    """The call, and not what is called by that which it calls."""
    return seen.event.node is seen.node and seen.node not in seen.event.over[-1:]


def _read(
    types: Types, node: Node, scope: Scope, read: ast.expr, given: Mapping[str, Values]
) -> Values | None:
    """None: the object tells no more of it."""
    if _is_self(types, node, scope, read):
        own = Value(INSTANCE, node.receiver, owner="self", exact=node.exact)
        return frozenset((own,))
    if isinstance(read, ast.Attribute) and read.attr not in _ELSEWHERE:
        base = _read(types, node, scope, read.value, given)
        if base is not None:
            return types.generics.bound(types.member(base, read.attr), given) or None
    values = types.values(scope, read) if given else NOTHING
    if any(value.kind == PARAMETER and value.name in given for value in values):
        return types.generics.bound(values, given)
    return None


def _is_self(types: Types, node: Node, scope: Scope, read: ast.expr) -> bool:
    """Of a class that is known better than by that of the method."""
    if not (node.receiver and isinstance(read, ast.Name)) or scope.kind != "function":
        return False
    class_ = scope.outer
    if class_ is None or class_.id not in types.classes.order(node.receiver):
        return False
    shape = types.shape(scope)
    is_first = shape.parameters[:1] == (read.id,) and not (shape.is_static or shape.is_class)
    return is_first and scope.keeps(read.id)
