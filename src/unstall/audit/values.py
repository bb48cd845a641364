"""What an expression can be, as far as source tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

INSTANCE: Final = "instance"
"""Of the class `name`; `items` are its type arguments."""
FUNCTION: Final = "function"
"""A first-party function; `owner`: the class of the receiver that it is bound to."""
CLASS: Final = "class"
"""A first-party class itself."""
MODULE: Final = "module"
"""A first-party module, or a folder of modules with a trailing `/`."""
EXTERNAL: Final = "external"
"""Anything of somebody else, by its dotted name; `owner`: the class of the receiver of a method."""
COROUTINE: Final = "coroutine"
"""Of the function `name`; `items[0]` is what awaiting it gives."""
GENERATOR: Final = "generator"
"""Of the function `name`, not begun; `items[0]` is what it yields."""
CONTEXT: Final = "context"
"""A context manager made of the generator function `name`; `items[0]` is what `with` gives."""
MANAGER: Final = "manager"
"""A generator function made into one whose calls give a CONTEXT."""
CONSTANT: Final = "constant"
PARAMETER: Final = "parameter"
"""Whatever the caller passed: `name` is the scope's id and the parameter, with a blank between."""
SUPER: Final = "super"


class Value(NamedTuple):
    kind: str
    name: str
    items: tuple[frozenset[Value], ...] = ()
    guess: int = 0
    """Guesses that lie between it and the source."""
    owner: str = ""
    exact: bool = False
    """Made here: no subclass of `name`."""
    closure: tuple[tuple[str, frozenset[Value]], ...] = ()
    """What the parameters of enclosing calls were, by key."""
    place: str = ""
    """Where a call of it runs, if not where the caller does."""
    above: str = ""
    """Of what `super()` gives: the class where that is written and the attribute, with a blank between."""


Values = frozenset[Value]
NOTHING: Values = frozenset()
MANY: Final = 8
"""More candidates than this are no knowledge."""


def one(kind: str, name: str, *items: Values, guess: int = 0, exact: bool = False) -> Values:
    return frozenset((Value(kind, name, items, guess, "", exact),))


def instance(name: str, *items: Values, guess: int = 0, exact: bool = False) -> Values:
    return frozenset((Value(INSTANCE, name, items, guess, "", exact),))


def union(many: Iterable[Values]) -> Values:
    """All of them; the same object where one holds the others."""
    found = NOTHING
    for values in many:
        if not values <= found:
            found = found | values if found else values
    return found


def ordered(values: Values) -> Sequence[Value]:
    """In an order that is the same in each run."""
    return sorted(values, key=_order) if len(values) > 1 else tuple(values)


def _order(value: Value) -> tuple[object, ...]:
    inside = [sorted(map(_order, each)) for each in value.items]
    closure = [(key, sorted(map(_order, each))) for key, each in value.closure]
    plain = value.kind, value.name, value.guess, value.owner, value.exact, value.place, value.above
    return (*plain, inside, closure)


def guessed(values: Values, least: int) -> Values:
    """The same with at least so many guesses."""
    if all(value.guess >= least for value in values):
        return values
    return frozenset(v if v.guess >= least else v._replace(guess=least) for v in values)


def key_of(scope_id: str, parameter: str) -> str:
    return f"{scope_id} {parameter}"


def substituted(values: Values, given: Mapping[str, Values]) -> Values:
    """Parameters replaced by what was passed for them; those not passed stay."""
    if not given or not any(_mentions(value) for value in values):
        return values
    return union(_replace(value, given) for value in values)


def _mentions(value: Value) -> bool:
    if value.kind == PARAMETER:
        return True
    return any(_mentions(each) for values in value.items for each in values) or any(
        _mentions(each) for _, values in value.closure for each in values
    )


def _replace(value: Value, given: Mapping[str, Values]) -> Values:
    if value.kind == PARAMETER:
        return given.get(value.name, frozenset((value,)))
    if value.items or value.closure:
        items = tuple(substituted(values, given) for values in value.items)
        closure = tuple((key, substituted(values, given)) for key, values in value.closure)
        return frozenset((value._replace(items=items, closure=closure),))
    return frozenset((value,))


def depth(value: Value) -> int:
    """How deeply values lie in values."""
    inner = [each for values in value.items for each in values]
    inner += [each for _, values in value.closure for each in values]
    return 1 + max(map(depth, inner), default=0)


def flat(values: Values, deepest: int = 4) -> Values:
    """Values that lie too deep are left out: recursive code would nest them without end."""
    for value in values:
        if (value.items or value.closure) and not _is_flat(value, deepest):
            return frozenset(_flat(each, deepest) for each in values)
    return values


def _is_flat(value: Value, deepest: int) -> bool:
    """Most are, and are not made again."""
    inner = (*value.items, *(values for _, values in value.closure))
    if deepest == 0:
        return not inner
    for values in inner:
        for each in values:
            if (each.items or each.closure) and not _is_flat(each, deepest - 1):
                return False
    return True


def _flat(value: Value, deepest: int) -> Value:
    if not (value.items or value.closure):
        return value
    if deepest == 0:
        return value._replace(items=(), closure=())
    below = deepest - 1
    return value._replace(
        items=tuple(frozenset(_flat(each, below) for each in values) for values in value.items),
        closure=tuple(
            (key, frozenset(_flat(each, below) for each in values)) for key, values in value.closure
        ),
    )


def where(values: Values, test: Callable[[Value], bool]) -> Values:
    return frozenset(filter(test, values))
