"""What is surely true of a value: of a literal, of an object that is made here, of what is annotated."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import NamedTuple

from unstall.audit.constants import is_empty


class Known(NamedTuple):
    """Of each part, as much as is sure; empty: nothing is."""

    truth: bool | None = None
    none: bool | None = None
    """Whether it is None."""
    classes: tuple[str, ...] = ()
    """It is of one of these, or of a class below one; empty: of any."""
    items: tuple[Known, ...] | None = None
    """Of a tuple."""
    keys: tuple[tuple[str, Known], ...] = ()
    """Of the keywords that are passed on as `**name`: those that are surely among them."""
    open: bool = True
    """There may be other keywords."""
    literal: str | float | tuple[str, str] | None = None
    """A text, a number, or of a member of an enumeration the class and the name."""

    def at(self, path: tuple[int, ...]) -> Known:
        """What unpacking gives."""
        found = self
        for place in path:
            if found.items is None or not 0 <= place < len(found.items):
                return UNKNOWN
            found = found.items[place]
        return found


MOST_PARTS = 16
"""Of what has more, nothing is known of any: tuples of tuples would multiply."""
UNKNOWN = Known()
NONE = Known(False, True, ("builtins.NoneType",))


def of_class(*names: str) -> Known:
    return Known(none=False, classes=names)


def constant(node: ast.Constant) -> Known:
    value = node.value
    if value is None:
        return NONE
    literal = value if isinstance(value, (str, int, float)) else None
    return Known(bool(value), False, (f"builtins.{type(value).__name__}",), literal=literal)


def tuple_of(items: tuple[Known, ...]) -> Known:
    parts = tuple(map(without_keys, items)) if len(items) <= MOST_PARTS else None
    return Known(bool(items), False, ("builtins.tuple",), parts)


def has_keys(known: Known) -> bool:
    """Something is known of its keywords."""
    return bool(known.keys) or not known.open


def without_keys(known: Known) -> Known:
    """Of a dict that may be changed where nobody looks: inside another value, or under several names."""
    return known._replace(keys=(), open=True) if has_keys(known) else known


def joined(many: Iterable[Known]) -> Known:
    """What is true of each."""
    first, *others = many
    for other in others:
        first = _both(first, other)
    return first


def _both(a: Known, b: Known) -> Known:
    if a == b:
        return a
    both = a.classes and b.classes
    items = None
    if a.items is not None and b.items is not None and len(a.items) == len(b.items):
        items = tuple(_both(*pair) for pair in zip(a.items, b.items, strict=True))
    others = dict(b.keys)
    return Known(
        a.truth if a.truth is b.truth else None,
        a.none if a.none is b.none else None,
        tuple(sorted({*a.classes, *b.classes})) if both else (),
        items,
        tuple((key, _both(each, others[key])) for key, each in a.keys if key in others),
        a.open or b.open or {key for key, _ in a.keys} != others.keys(),
        a.literal if a.literal == b.literal else None,
    )


def either(parts: list[Known]) -> Known:
    """`a or b`: what is not the last is only given if it is true."""
    *first, last = parts
    truths = [each.truth for each in parts]
    truth = True if True in truths else False if all(t is False for t in truths) else None
    if all(each.truth is False for each in first):
        return last
    given = [_not_none(each) for each in first if each.truth is not False]
    return joined([*given, last])._replace(truth=truth)


def _not_none(value: Known) -> Known:
    classes = tuple(each for each in value.classes if each != NONE.classes[0])
    return value._replace(none=False, classes=classes)


def _signed(node: ast.expr) -> Known:
    """`-1`; of any other operator nothing is known."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return constant(ast.Constant(-number))
    return UNKNOWN


# Of what can be emptied and filled, nothing is known but what it is.
_PLAIN: dict[type[ast.expr], Callable[[ast.expr], Known]] = {
    ast.Constant: constant,  # type: ignore[dict-item]
    ast.UnaryOp: _signed,
    ast.JoinedStr: lambda node: Known(_written(node), False, ("builtins.str",)),
    ast.List: lambda _: of_class("builtins.list"),
    ast.Set: lambda _: of_class("builtins.set"),
    ast.ListComp: lambda _: of_class("builtins.list"),
    ast.SetComp: lambda _: of_class("builtins.set"),
    ast.DictComp: lambda _: of_class("builtins.dict"),
    ast.Lambda: lambda _: Known(True, False),
    ast.GeneratorExp: lambda _: Known(True, False),
    ast.BinOp: lambda _: Known(none=False),
    ast.Compare: lambda _: Known(none=False),
}


def plain(node: ast.expr) -> Known | None:
    """Of what says all about itself; None: of something else."""
    handler = _PLAIN.get(type(node))
    return handler(node) if handler is not None else None


def of_literal(node: ast.expr) -> Known:
    """Of one that nobody changes."""
    known = plain(node) or UNKNOWN
    return known._replace(truth=False) if is_empty(node) else known


def is_fixed(node: ast.expr | None) -> bool:
    """A literal that nobody can change."""
    if isinstance(node, ast.Tuple):
        return all(map(is_fixed, node.elts))
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(node, ast.Constant)


def _written(node: ast.expr) -> bool | None:
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    return True if any(isinstance(each, ast.Constant) and each.value for each in parts) else None
