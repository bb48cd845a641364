"""How far an annotation is believed: as far as the code beside it does not say otherwise."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unstall.audit import types_names
from unstall.audit.constants import last_of
from unstall.audit.known import UNKNOWN, Known, constant, joined
from unstall.audit.known_classes import named
from unstall.audit.scopes import Binding, Scope
from unstall.audit.types_classes import Member
from unstall.audit.values import Value

if TYPE_CHECKING:
    from unstall.audit.types import Types

_FIELDS = frozenset({"pydantic.Field", "pydantic.fields.Field", "dataclasses.field"})
"""Calls that only describe a field. Without a default somebody passes it."""
_ENUMS = frozenset({"enum.Enum", "enum.IntEnum", "enum.StrEnum"})
_FACTORIES = frozenset({"default_factory", "factory"})


# Fields


def field_of(types: Types, receiver: Value, name: str) -> tuple[Scope, Binding] | None:
    """The one place that says what an attribute is; None: something else may give it a value."""
    found = types.classes.find(receiver.name, name)
    if not isinstance(found, Member) or found.assigned or len(found.bindings) != 1:
        return None
    below = () if receiver.exact else types.classes.subclasses(receiver.name)
    anew = (types.classes.anew(receiver.name, each, name) for each in below)
    if types.project.is_stored(name) or any(anew):
        return None
    (binding,) = found.bindings
    is_field = binding.kind == "assign" and binding.annotation is not None and not binding.item
    return (found.owner, binding) if is_field else None


def or_default(types: Types, owner: Scope, value: ast.expr | None, stated: Known) -> Known:
    """What a field holds: what is annotated, or the value that stands beside that."""
    if isinstance(value, ast.Call):
        described = named(types, owner, value.func) in _FIELDS
        names = {each.arg for each in value.keywords}
        if not described or None in names or names & _FACTORIES:
            return UNKNOWN
        passed = [each.value for each in value.keywords if each.arg == "default"]
        value = next(iter([*value.args, *passed]), None)
    if value is None or (isinstance(value, ast.Constant) and value.value is ...):
        return stated
    return joined((constant(value), stated)) if isinstance(value, ast.Constant) else UNKNOWN


def constant_of_module(types: Types, scope: Scope, name: ast.Name) -> ast.expr | None:
    """The one value that a name of the module ever has."""
    found = types_names.find(types, scope, name.id, (name.lineno, name.col_offset))
    if found is None or found[0].kind != "module" or types.project.is_stored(name.id):
        return None
    owner, only = found[0], found[0].bindings.get(name.id, [])
    if len(only) != 1 or only[0].kind != "assign" or only[0].item or name.id in owner.changed:
        return None
    return only[0].value


def member_of(types: Types, scope: Scope, node: ast.expr) -> tuple[str, str] | None:
    """Of `Mode.FAST`: class and name. None: it is something else, or two names may mean the same."""
    name = named(types, scope, node.value) if isinstance(node, ast.Attribute) else ""
    class_ = types.classes.scope(name) if ":" in name else None
    is_enum = class_ is not None and not _ENUMS.isdisjoint(types.classes.order(name))
    if class_ is None or not is_enum or types.classes.find(name, "__eq__") is not None:
        return None
    bindings = [each for many in class_.bindings.values() for each in many]
    values = [each.value for each in bindings if each.kind == "assign"]
    said = {each.value for each in values if isinstance(each, ast.Constant)}
    made = [each for each in values if isinstance(each, ast.Call) and last_of(each.func) == "auto"]
    member = getattr(node, "attr", "")
    is_one = [each.kind for each in class_.bindings.get(member, ())] == ["assign"]
    return (name, member) if is_one and len(values) in (len(said), len(made)) else None


# What functions give


def backed(stated: Known, given: Sequence[Known]) -> Known:
    """Of an annotation that leaves out None what the body bears out: its class; the rest if it says so."""
    known = joined(given) if given else stated
    if known.classes:
        return known
    return stated if known.none is False else _class_alone(stated)


def _class_alone(known: Known) -> Known:
    items = known.items
    return Known(
        classes=known.classes, items=tuple(map(_class_alone, items)) if items is not None else None
    )


def gives_none(scope: Scope) -> bool:
    """Whether its body says, by `return None` or by its end, that it may."""
    body: Sequence[ast.stmt] = getattr(scope.node, "body", ())
    return may_end(body) or any(
        each.value is None or _is_none(each.value) for each in scope.returns
    )


def _is_none(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_none(node.body) or _is_none(node.orelse)
    if isinstance(node, ast.BoolOp):
        return any(map(_is_none, node.values))
    return isinstance(node, ast.Constant) and node.value is None


def may_end(body: Sequence[ast.stmt]) -> bool:
    """Whether a function may come to its end without `return`: `with` may swallow what is raised."""
    return not any(map(_leaves, body))


def _leaves(node: ast.stmt) -> bool:
    if isinstance(node, (ast.Return, ast.Raise)):
        return True
    if isinstance(node, ast.If):
        return not may_end(node.body) and not may_end(node.orelse)
    if isinstance(node, ast.Try):
        whole = not may_end([*node.body, *node.orelse])
        return not may_end(node.finalbody) or (
            whole and not any(may_end(each.body) for each in node.handlers)
        )
    if isinstance(node, ast.While):
        is_endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        return is_endless and not any(isinstance(each, ast.Break) for each in ast.walk(node))
    return False
