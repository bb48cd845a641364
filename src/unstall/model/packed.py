"""Values of `model` as rows in which each distinct value is written once.

A report of a large project names the same few thousand entries and hops a million times. Only for what
this very version reads again: fields go by their position.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")
Row = list[Any]
"""What it is, then the value itself, or the numbers of the rows that it is made of."""

_PLAIN, _TUPLE, _DICT = "", "()", "{}"


def pack(value: Any) -> list[Row]:
    """The last row is the value; each row rests on rows before it."""
    rows: list[Row] = []
    known: dict[tuple[Any, ...], int] = {}
    same: dict[int, int] = {}

    def number(value: Any) -> int:
        if (seen := same.get(id(value))) is not None:
            return seen
        if is_dataclass(value):
            row = [type(value).__name__, *(number(getattr(value, f.name)) for f in fields(value))]
            key: tuple[Any, ...] = tuple(row)
        elif isinstance(value, enum.Enum):
            row = [type(value).__name__, value.value]
            key = tuple(row)
        elif isinstance(value, tuple):
            row = [_TUPLE, *map(number, value)]
            key = tuple(row)
        elif isinstance(value, Mapping):
            row = [_DICT, *(number(each) for pair in value.items() for each in pair)]
            key = tuple(row)
        else:
            row = [_PLAIN, value]
            key = (type(value), value)
        at = known.get(key)
        if at is None:
            at = known[key] = len(rows)
            rows.append(row)
        if is_dataclass(value) or isinstance(value, tuple):
            same[id(value)] = at  # `value` keeps them all alive meanwhile
        return at

    number(value)
    return rows


def unpack(cls: type[T], rows: list[Row]) -> T:
    """Raises KeyError, TypeError, ValueError or IndexError when the rows are no value of `cls`."""
    root: Any = cls  # the cache asks for a Hashable, which `type[T]` does not promise to be
    makers = _makers(root)
    values: list[Any] = []
    for kind, *parts in rows:
        if kind == _PLAIN:
            (plain,) = parts
            values.append(plain)
        elif kind == _TUPLE:
            values.append(tuple([values[at] for at in parts]))
        elif kind == _DICT:
            inner = [values[at] for at in parts]
            values.append(dict(zip(inner[::2], inner[1::2], strict=True)))
        else:
            values.append(makers[kind](parts, values))
    found = values[-1]
    if not isinstance(found, cls):
        raise TypeError(f"expected {cls.__name__}, found {type(found).__name__}")
    return found


Maker = Callable[[list[Any], list[Any]], Any]


@cache
def _makers(cls: type) -> Mapping[str, Maker]:
    """How each class that a value of `cls` can hold is made, by its name."""
    return {each.__name__: _maker(each) for each in _classes(cls, set())}


def _maker(cls: type) -> Maker:
    if issubclass(cls, enum.Enum):
        return lambda parts, values: cls(parts[0])
    return lambda parts, values: cls(*[values[at] for at in parts])


def _classes(hint: Any, seen: set[Any]) -> Iterator[type]:
    if hint in seen:
        return
    seen.add(hint)
    for inner in get_args(hint):
        yield from _classes(inner, seen)
    if not isinstance(hint, type):
        return
    if issubclass(hint, enum.Enum):
        yield hint
    elif is_dataclass(hint):
        yield hint
        for inner in get_type_hints(hint).values():
            yield from _classes(inner, seen)
