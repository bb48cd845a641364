"""Of which class the `self` of a method is, as far as the way there tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from unstall.audit import types_names, types_super
from unstall.audit.ir import Place
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_classes import Member
from unstall.audit.values import FUNCTION, MANY, Value, Values, where
from unstall.audit.walk_nodes import Node


class Self(NamedTuple):
    """What is known of the `self` of a method."""

    receiver: str
    """Its class or one above it; empty: that of the method."""
    exact: bool
    barred: tuple[str, ...] = ()
    """As a node has it."""


_ANYBODY = Self("", False)


def entered(types: Types, function: str, place: Place, receiver: str, exact: bool) -> Node:
    """The function as a framework enters it, on an object of this class; empty: it is not known."""
    node = Node(function, place)
    target = types.project.scope(function) if receiver else None
    if target is None:
        return node
    method = Value(FUNCTION, function, owner=receiver, exact=exact)
    own, is_exact, barred = self_of(types, node, target, method, target)
    return node._replace(receiver=own, exact=is_exact, barred=barred)


def self_of(types: Types, node: Node, scope: Scope, value: Value, target: Scope) -> Self:
    """The `self` of a method that this node, a call in `scope`, comes to."""
    owner = target.outer
    if owner is None or owner.kind != "class":
        return _ANYBODY
    name = getattr(target.node, "name", "")
    if value.above:
        # It is called although a class below defines it anew.
        found, name = _through_super(types, node, scope, value, owner.id), ""
    elif value.owner == "self":
        found = _same(types, node, scope, owner.id)
    elif value.owner == owner.id:
        # Exactly this class, while others inherit from it: their methods are not meant.
        is_base = value.exact and bool(types.classes.subclasses(owner.id))
        found = Self(owner.id, True) if is_base else _ANYBODY
    elif ":" in value.owner:
        found = Self(value.owner, value.exact)
    else:
        return _ANYBODY
    return found if found.exact else _below(types, found, owner.id, name)


def _same(types: Types, node: Node, scope: Scope, owner: str) -> Self:
    """`self` of this node, as a method of `owner` has it."""
    class_ = scope.class_of_method()
    own = node.receiver or (class_.id if class_ is not None else "")
    if owner not in types.classes.order(own):
        return Self("", False, node.barred)
    is_known = own != owner or node.exact
    return Self(own if is_known else "", node.exact, node.barred)


def handed_on(types: Types, node: Node, scope: Scope, values: Values) -> Values:
    """Methods of this node's `self`, as one knows them who has another."""
    return frozenset(_handed_on(types, node, scope, each) for each in values)


def _handed_on(types: Types, node: Node, scope: Scope, value: Value) -> Value:
    method = types.project.scope(value.name) if value.owner == "self" else None
    if method is None or method.outer is None or method.outer.kind != "class":
        return value
    found = _same(types, node, scope, method.outer.id)
    return value._replace(owner=found.receiver or method.outer.id, exact=found.exact)


def _through_super(types: Types, node: Node, scope: Scope, value: Value, owner: str) -> Self:
    own = value.owner if ":" in value.owner else ""
    is_known = own != owner or value.exact
    barred = node.barred if _is_written_here(scope, value) else ()
    return Self(own if is_known else "", value.exact, () if value.exact else barred)


def _is_written_here(scope: Scope, value: Value) -> bool:
    """Not handed on by a method of another object."""
    class_ = scope.class_of_method()
    return class_ is not None and class_.id == value.above.partition(" ")[0]


def _below(types: Types, found: Self, owner: str, name: str) -> Self:
    """It is of no class that defines the method anew: that one would have been called."""
    top = found.receiver or owner
    classes = types.classes
    below = classes.subclasses(top)
    redefined = [(each, classes.anew(top, each, name)) for each in below] if name else []
    having = [(each, member) for each, member in redefined if member is not None]
    if len({member.owner for _, member in having}) > MANY:
        having = []
    followed = (each for each, member in having if _is_followed(types, name, member))
    barred = {*followed, *(each for each in found.barred if each in below)}
    return found._replace(barred=tuple(sorted(barred)))


def _is_followed(types: Types, name: str, member: Member) -> bool:
    """Whether all that it may be is gone through, and so is whatever comes back from there."""
    given = [types_names.bound(types, member.owner, name, each) for each in member.bindings]
    given += [types_names.assigned(types, *each) for each in member.assigned]
    if not all(given) or any(value.kind != FUNCTION for values in given for value in values):
        return False
    return not any(types.classes.hides_super(each.node) for each in member.bindings)


def above(types: Types, node: Node, scope: Scope, value: Value, alone: bool) -> Values:
    """What `super()` gives in the order of this node's `self`; `alone`: classes below do not count."""
    if not _is_written_here(scope, value):
        return frozenset((value,))
    written, _, name = value.above.partition(" ")
    fits = written in types.classes.order(node.receiver)
    top, exact = (node.receiver, node.exact) if fits else (written, False)
    below = () if alone or exact else types.classes.subclasses(top)
    classes = [top, *(each for each in below if not _is_below_one(types, each, node.barred))]
    return types_super.by_super(types, written, name, classes, exact)


def allowed(types: Types, node: Node, values: Values) -> Values:
    """Without methods of classes that `self` is not of."""
    return where(values, lambda each: not _is_barred(types, node, each)) if node.barred else values


def _is_barred(types: Types, node: Node, method: Value) -> bool:
    scope = types.project.scope(method.name)
    owner = scope.outer if scope is not None else None
    return owner is not None and _is_below_one(types, owner.id, node.barred)


def _is_below_one(types: Types, class_: str, barred: tuple[str, ...]) -> bool:
    order = types.classes.order(class_)
    return any(each in order for each in barred)


# New objects


def made(types: Types, node: Node, class_: Value) -> Value:
    """`cls()` makes an object of the class that this node has as `cls`."""
    own = node.receiver
    if class_.owner != "self" or class_.name not in types.classes.order(own):
        return class_
    return class_._replace(name=own, exact=node.exact)


def of_constructor(types: Types, node: Node, new: Value, name: str) -> Iterator[tuple[str, int]]:
    """Classes whose method of that name is asked, each with how much of a guess it is."""
    yield new.name, 0
    if new.exact or new.owner != "self":
        return
    classes = types.classes
    below = classes.subclasses(new.name)
    redefined = [(each, classes.anew(new.name, each, name)) for each in below]
    having = {each: member.owner for each, member in redefined if member is not None}
    for each in having if len(set(having.values())) <= MANY else ():
        if not _is_below_one(types, each, node.barred):
            yield each, 1
