"""One value of a plan, checked: each reader takes what TOML gave and says where it stands."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar
from urllib.parse import urlsplit

from unstall.errors import UsageError

Reader = Callable[[Any, str], Any]
E = TypeVar("E", bound=enum.StrEnum)


def table(given: object, where: str, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Key to value. Raises UsageError for a key that is not known, with the near one."""
    return {
        key: _reader(key, where, readers)(value, f"{key} of {where}")
        for key, value in mapping(given, where).items()
    }


def mapping(value: object, where: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise UsageError(f"{where} is {value!r:.60}, which is no table: write it as a table")


def tables(value: object, where: str) -> list[Any]:
    if isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        return value
    key = where.partition(" ")[0]
    raise UsageError(f"{where} is {value!r:.60}: write [[{key}]], as often as needed")


def anything(value: Any, where: str) -> Any:
    return value


def text(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    raise UsageError(f"{where} is {value!r:.60}: give a text")


def filled(value: object, where: str) -> str:
    if isinstance(value, str) and value.strip() and value.isprintable():
        return value
    raise UsageError(f"{where} is {value!r:.60}: give a text of one line")


def texts(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(each, str) and each for each in value):
        return tuple(value)
    raise UsageError(f'{where} is {value!r:.60}: give a list of texts, as in ["DATABASE_URL"]')


def assigned(value: object, where: str) -> dict[str, str]:
    """Names to texts, which are never told: there are secrets among them."""
    if not isinstance(value, Mapping):
        raise UsageError(
            f'{where} is {_kind(value)}: give a table of texts, as in {{ NAME = "value" }}'
        )
    for name, each in value.items():
        if not isinstance(each, str):
            raise UsageError(f"{name} in {where} is {_kind(each)}: give a text, in quotes")
    return dict(value)


def variables(value: object, where: str) -> dict[str, str]:
    """Of an environment: no system takes a name with =, or an end of text."""
    found = assigned(value, where)
    for name, text in found.items():
        if not name or "=" in name or "\0" in name:
            raise UsageError(f"{where} has the name {name!r}: a variable has a name without =")
        if "\0" in text:
            raise UsageError(f"{name} in {where} has a null character in it: take it out")
    return found


def url(value: object, where: str) -> str:
    """Of a server, perhaps with {port}; a password in it is never told."""
    found = filled(value, where)
    try:
        parts = urlsplit(found.replace("{port}", "1"))
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is none
        good = False
    if not good:
        raise UsageError(f"{where} is no URL of a server: write it as in http://127.0.0.1:8000")
    return found


def numbers(value: object, where: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise UsageError(
            f"{where} is {value!r:.60}: give a table of numbers, as in {{ latency = 100 }}"
        )
    return {key: number(each, f"{key} in {where}") for key, each in value.items()}


def number(value: object, where: str) -> float:
    """From 0 up."""
    largest = sys.float_info.max
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= largest:
        return float(value)
    raise UsageError(f"{where} is {value!r:.60}: give a number from 0 up")


def positive(value: object, where: str) -> float:
    found = number(value, where)
    if not found:
        raise UsageError(f"{where} is 0: give more")
    return found


def share(value: object, where: str) -> float:
    found = number(value, where)
    if found > 1:
        raise UsageError(f"{where} is {found:g}: give a probability from 0 to 1")
    return found


def whole(value: object, where: str) -> int:
    """From 0 up."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53:
        return value
    raise UsageError(f"{where} is {value!r:.60}: give a whole number from 0 up")


def counting(value: object, where: str) -> int:
    """From 1 up."""
    found = whole(value, where)
    if not found:
        raise UsageError(f"{where} is 0: give 1 or more")
    return found


def path(value: object, where: str) -> str:
    found = filled(value, where)
    if not found.startswith("/"):
        raise UsageError(f"{where} is {found!r}: a path begins with a slash, as in /{found}")
    return found


def word_of(kind: type[E]) -> Callable[[object, str], E]:
    def read(value: object, where: str) -> E:
        if isinstance(value, str) and value in tuple(kind):
            return kind(value)
        near = get_close_matches(str(value), [each.value for each in kind], n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"give {', '.join(kind)}"
        raise UsageError(f"{where} is {value!r:.60}: {advice}")

    return read


def _kind(value: object) -> str:
    return f"of the type {type(value).__name__}"


def _reader(key: str, where: str, readers: Mapping[str, Reader]) -> Reader:
    if key not in readers:
        near = get_close_matches(key, readers, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(readers)}"
        raise UsageError(f"{key!r} is no key of {where}; {advice}")
    return readers[key]
