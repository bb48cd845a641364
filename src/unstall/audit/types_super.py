"""What `super()` gives: the next in the order of whatever `self` is of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from unstall.audit.types_classes import Member
from unstall.audit.types_members import PLAIN_BASES, of_foreign, of_member
from unstall.audit.values import (
    EXTERNAL,
    FUNCTION,
    INSTANCE,
    MANY,
    NOTHING,
    Value,
    Values,
    guessed,
    key_of,
    union,
    where,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types

Read = Callable[[Member, Value], Values]
"""What of a member of an object is wanted, if not its value."""


def above(types: Types, written: str, name: str, read: Read | None = None) -> Values:
    """In any object: one of a class below may have other bases."""
    classes = (written, *types.classes.subclasses(written))
    return by_super(types, written, name, classes, read=read)


def by_super(
    types: Types,
    written: str,
    name: str,
    classes: Sequence[str],
    exact: bool = False,
    read: Read | None = None,
) -> Values:
    """`super().name`, written in a class, for an object of the first of these; for the others a guess."""
    first, *below = ((each, _tail(types, written, each)) for each in classes)
    different = [first, *(each for each in below if each[1] != first[1])]
    own, *others = (
        _after(types, name, Value(INSTANCE, each, exact=exact), tail, read)
        for each, tail in different
    )
    known = {each.name for each in own}
    more = where(union(others), lambda each: each.name not in known)
    if len(more) > MANY:
        more = frozenset(_of_anybody(types, each) for each in more)
    found = own | guessed(more, 1 if len({each.name for each in more}) <= MANY else 2)
    key = key_of(written, name)
    return frozenset(
        each._replace(above=key) if each.kind in (FUNCTION, EXTERNAL) else each for each in found
    )


def _of_anybody(types: Types, value: Value) -> Value:
    """A method of any object that has it."""
    scope = types.project.scope(value.name) if value.kind == FUNCTION else None
    owner = scope.outer if scope is not None else None
    return value._replace(owner=owner.id, exact=False) if owner is not None else value


def _tail(types: Types, written: str, class_: str) -> tuple[str, ...]:
    """Where `super()`, written in a class, looks in the order of one below."""
    order = types.classes.order(class_)
    return order[order.index(written) + 1 :] if written in order else ()


def _after(
    types: Types, name: str, receiver: Value, order: Sequence[str], read: Read | None
) -> Values:
    """Of the first that has the member."""
    for each in order:
        if ":" not in each:
            if types.classes.has(each, name):
                return of_foreign(types, Value(INSTANCE, each), name)
            continue
        found = types.classes.own(each, name)
        if found is not None:
            return read(found, receiver) if read else of_member(types, receiver, found, name)
    foreign = [each for each in order if ":" not in each and each not in PLAIN_BASES]
    return of_foreign(types, Value(INSTANCE, foreign[0]), name) if foreign else NOTHING
