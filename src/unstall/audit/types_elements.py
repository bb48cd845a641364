"""What elements and `with` give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unstall.audit.values import (
    CONSTANT,
    CONTEXT,
    COROUTINE,
    FUNCTION,
    GENERATOR,
    INSTANCE,
    MANY,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    guessed,
    instance,
    union,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types


def element(types: Types, values: Values, is_async: bool = False) -> Values:
    """What `for x in values` gives x."""
    return union(
        guessed(_element(types, value, is_async), value.guess) for value in types.expanded(values)
    )


def _element(types: Types, value: Value, is_async: bool) -> Values:
    if value.kind == GENERATOR:
        return value.items[0] if value.items else NOTHING
    if value.kind != INSTANCE:
        return NOTHING
    if value.name == "builtins.tuple":
        return union(value.items)
    if ":" not in value.name:
        given = [
            g for each in types.project.external_mro(value.name) for g in types.table.iterates(each)
        ]
        if given:
            return union(instance(g) for g in given)
        return value.items[0] if value.items else NOTHING
    method = "__aiter__" if is_async else "__iter__"
    found = types.member(frozenset((value,)), method)
    if not found:
        return types.called(types.member(frozenset((value,)), "__getitem__"), None, None)
    given_back = types.called(found, None, None)
    stepped = union(
        types.called(
            types.member(frozenset((each,)), "__anext__" if is_async else "__next__"), None, None
        )
        for each in given_back
        if each.kind == INSTANCE and each.name == value.name
    )
    others = frozenset(e for e in given_back if not (e.kind == INSTANCE and e.name == value.name))
    return types.awaited(stepped) | element(types, others, is_async)


def item(types: Types, values: Values, index: tuple[int, ...]) -> Values:
    """What stands at a place of something that is unpacked."""
    for place in index:
        values = union(_at(types, value, place) for value in types.expanded(values))
    return values


def _at(types: Types, value: Value, place: int) -> Values:
    if value.kind == INSTANCE and value.name == "builtins.tuple" and value.items:
        return value.items[place] if -len(value.items) <= place < len(value.items) else NOTHING
    return _looked_up(types, value)


def looked_up(types: Types, values: Values) -> Values:
    """`values[…]` with an index that is not known."""
    return union(guessed(_looked_up(types, value), value.guess) for value in values)


def _looked_up(types: Types, value: Value) -> Values:
    if value.kind != INSTANCE:
        return NOTHING
    if value.name == "builtins.dict" and len(value.items) > 1:
        return one_of(value.items[1])
    if value.name == "builtins.tuple":
        return union(value.items)
    if ":" in value.name:
        return types.called(types.member(frozenset((value,)), "__getitem__"), None, None)
    for each in types.project.external_mro(value.name):
        given = types.table.returns(f"{each}.__getitem__")
        if given:
            return union(instance(g) for g in given)
    return _element(types, value, False)


def one_of(values: Values) -> Values:
    """One of several: a guess. Of a table of functions each is there to be called."""
    if {value.kind for value in values} <= {FUNCTION, PARAMETER, CONSTANT}:
        return guessed(values, 1 if len(values) > 1 else 0)
    return guessed(values, 0 if len(values) < 2 else 1 if len(values) <= MANY else 2)


def entered(types: Types, values: Values, is_async: bool = False) -> Values:
    """What `with values as x` gives x."""
    return union(guessed(_entered(types, v, is_async), v.guess) for v in types.expanded(values))


def _entered(types: Types, value: Value, is_async: bool) -> Values:
    if value.kind == CONTEXT:
        return value.items[0] if value.items else NOTHING
    if value.kind == COROUTINE:
        return entered(types, value.items[0], is_async) if value.items else NOTHING
    if value.kind != INSTANCE:
        return NOTHING
    if ":" in value.name:
        method = "__aenter__" if is_async else "__enter__"
        found = types.member(frozenset((value,)), method)
        ours = frozenset(each for each in found if each.kind == FUNCTION)
        if ours:
            return types.awaited(types.called(ours, None, None))
    for each in types.classes.order(value.name):
        given = types.table.enters(each) if ":" not in each else ()
        if given and given != (each,):
            return union(instance(g, *value.items) for g in given)
    return frozenset((value,))
