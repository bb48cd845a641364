"""Values to JSON and back, driven by the type hints of the frozen classes in `model`.

Understood: dataclasses, `X | None`, `tuple[X, ...]`, `dict[str, X]`, enums, and what JSON has itself.
A field that holds its default is left out, so files stay small and old files load when a field is added.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from unstall.errors import NewerRecording, RecordingError

T = TypeVar("T")

_TOO_LARGE = 1 << 63


def dump(value: Any) -> Any:
    """What `json.dumps` accepts, from a value of `model`."""
    if is_dataclass(value):
        return {
            f.name: dump(item)
            for f in fields(value)
            if (item := getattr(value, f.name)) != _default(f)
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [dump(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): dump(item) for key, item in value.items()}
    return value


def load(cls: type[T], data: Any) -> T:
    """The value of class `cls` that `data` describes.

    Raises KeyError, TypeError or ValueError when it does not describe one.
    """
    hint: Any = cls  # the cache asks for a Hashable, which `type[T]` does not promise to be
    value: T = _reader(hint)(data)
    return value


def load_document(
    cls: type[T], data: Mapping[str, Any], *, newest: int, name: str, whole: str
) -> T:
    """As `load`, of what is kept in a file with the `version` of its format.

    `name` and `whole` say in messages what it is, in a word and in full. Raises RecordingError when `data`
    is none, NewerRecording for a format after `newest`.
    """
    version = data.get("version")
    if isinstance(version, int) and version > newest:
        raise NewerRecording(
            f"this {name} has format {version} and this unstall reads {newest}: upgrade it"
        )
    try:
        return load(cls, data)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"this is not {whole}: {error}") from None


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = _reader(next(arg for arg in args if arg is not type(None)))
        return lambda data: None if data is None else inner(data)
    if origin is tuple and args[-1] is Ellipsis:
        item = _reader(args[0])
        return lambda data: tuple(item(entry) for entry in _expect(list, data))
    if origin is tuple:
        items = [_reader(arg) for arg in args]
        return lambda data: tuple(
            read(entry) for read, entry in zip(items, _expect(list, data), strict=True)
        )
    if origin is dict:
        value = _reader(args[1])
        return lambda data: {str(key): value(entry) for key, entry in _expect(dict, data).items()}
    if is_dataclass(hint):
        return _dataclass_reader(hint)
    if hint is Any:
        return lambda data: data
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint
    return _scalar_reader(hint)


def _dataclass_reader(cls: Any) -> Callable[[Any], Any]:
    hints = get_type_hints(cls)
    readers = {f.name: _reader(hints[f.name]) for f in fields(cls)}

    def read(data: Any) -> Any:
        _expect(dict, data)
        known = {name: readers[name](data[name]) for name in readers if name in data}
        return cls(**known)  # a missing field without a default raises TypeError

    return read


def _expect(kind: type, data: Any) -> Any:
    """A string is a sequence too, and would be taken apart where a list is meant."""
    if not isinstance(data, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(data).__name__}")
    return data


def _scalar_reader(cls: type) -> Callable[[Any], Any]:
    accepted = (int, float) if cls is float else cls

    def read(data: Any) -> Any:
        if not isinstance(data, accepted) or (isinstance(data, bool) and cls is not bool):
            raise TypeError(f"expected {cls.__name__}, found {type(data).__name__}")
        if isinstance(data, int | float) and not abs(data) < _TOO_LARGE:
            raise ValueError(f"{data} is no number of ours")
        return data

    return read
