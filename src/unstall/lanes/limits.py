"""How large a lane is and how long it lets anybody wait; from code, a file, the environment."""

from __future__ import annotations

import enum
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from unstall.clock import NS_PER_S
from unstall.errors import UsageError

MOST_WORKERS = 10_000
_MOST_S = 1e9
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_COUNTS = ("threads", "processes", "interpreters", "queue")
_TIMES = ("deadline", "queue_timeout")
_KEYS = (*_COUNTS, *_TIMES)
_UNLIMITED = "none"


class Backend(enum.StrEnum):
    """What a lane's slots are; the value is the name of the setting that says how many."""

    THREADS = "threads"
    PROCESSES = "processes"
    INTERPRETERS = "interpreters"


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one lane, checked."""

    workers: int
    """Slots."""
    queue: int
    """Calls that may wait for a slot."""
    deadline_ns: int | None = None
    """From the call to its answer; None for as long as it takes."""
    queue_timeout_ns: int | None = None
    """From the call to its slot."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A value, and where the user wrote it."""

    key: str
    value: object
    where: str


def limits_of(
    name: str,
    backend: Backend,
    code: Mapping[str, object],
    tables: Mapping[str, Any],
    environ: Mapping[str, str],
) -> Limits:
    """Environment over file over code. Raises UsageError that names the place of a bad value."""
    given: object = name
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise UsageError(
            f"{name!r} cannot be the name of a lane: begin with a letter and go on with letters, "
            "digits, '_', '-' and '.'"
        )
    found: dict[str, Any] = {}
    for given in (*_in_code(name, code), *_in_file(name, tables), *_in_environ(name, environ)):
        if given.key in tuple(Backend) and given.key != backend:
            raise UsageError(
                f"{given.where} is set, but the lane {name!r} has {backend}: "
                f"set {backend}, or change the lane's kind where it is made"
            )
        found[given.key] = _checked(given)
    workers = found[backend]
    queue = found.get("queue")
    return Limits(
        workers,
        2 * workers if queue is None else queue,
        found.get("deadline"),
        found.get("queue_timeout"),
    )


def _in_code(name: str, code: Mapping[str, object]) -> Iterator[_Given]:
    for key, value in code.items():
        yield _Given(key, value, f"{key} of the lane {name!r}")


def _in_file(name: str, tables: Mapping[str, Any]) -> Iterator[_Given]:
    table = tables.get(name, {})
    if not isinstance(table, Mapping):
        raise UsageError(
            f"lanes.{name} in the settings is {table!r}, which is no table: write [tool.unstall.lanes.{name}]"
        )
    for key, value in table.items():
        yield _Given(_known(key, f"{key} in lanes.{name}"), value, f"{key} in lanes.{name}")


def _in_environ(name: str, environ: Mapping[str, str]) -> Iterator[_Given]:
    prefix = f"UNSTALL_LANE_{re.sub('[^A-Z0-9]', '_', name.upper())}_"
    for variable, text in environ.items():
        key = variable.removeprefix(prefix).lower()
        if not variable.startswith(prefix) or not text.strip():
            continue
        if key not in _KEYS and key.endswith(tuple(f"_{known}" for known in _KEYS)):
            continue  # of another lane, whose name begins with this one's
        yield _Given(_known(key, variable), _typed(key, text.strip()), variable)


def _known(key: str, where: str) -> str:
    if key not in _KEYS:
        raise UsageError(f"{where} is no setting of a lane: there are {', '.join(_KEYS)}")
    return key


def _typed(key: str, text: str) -> object:
    """What is neither a number nor `none` stays text, and is refused with the others."""
    try:
        return int(text) if key in _COUNTS else float(text)
    except ValueError:
        return text


def _checked(given: _Given) -> int | None:
    value = given.value
    if given.key in _TIMES:
        return _nanoseconds(given)
    if given.key == "queue" and value is None:
        return None
    least = 0 if given.key == "queue" else 1
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_WORKERS:
        return value
    raise UsageError(
        f"{given.where} is {value!r}: give a whole number from {least} to {MOST_WORKERS}"
    )


def _nanoseconds(given: _Given) -> int | None:
    value = given.value
    if value is None or (isinstance(value, str) and value.lower() == _UNLIMITED):
        return None
    seconds = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if 0 < seconds <= _MOST_S:
        return int(seconds * NS_PER_S)
    raise UsageError(
        f"{given.where} is {value!r}: give seconds greater than 0, for example 2.0, or '{_UNLIMITED}'"
    )


# --- the file -------------------------------------------------------------------------------


def tables_here() -> Mapping[str, Any]:
    """The lanes of the nearest `unstall.toml` or `pyproject.toml`, by name; read once per folder."""
    try:
        folder = Path.cwd()
    except OSError:  # it has been deleted under us
        return {}
    return tables_from(folder)


@lru_cache(maxsize=16)
def tables_from(folder: Path) -> Mapping[str, Any]:
    """Raises UsageError for a file that is no TOML."""
    for place in (folder, *folder.parents):
        for file in (place / "unstall.toml", place / "pyproject.toml"):
            lanes = _lanes_in(file)
            if lanes is not None:
                return lanes
    return {}


def _lanes_in(file: Path) -> Mapping[str, Any] | None:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 ({error.reason}): save it as UTF-8") from None
    if "lanes" not in text:
        return None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is no TOML ({error}): correct it") from None
    lanes = document.get("tool", {}).get("unstall", {}).get("lanes")
    if lanes is None and file.name == "unstall.toml":
        lanes = document.get("lanes")
    if lanes is not None and not isinstance(lanes, Mapping):
        raise UsageError(f"lanes in {file} is {lanes!r}, which is no table of lanes")
    return lanes


def cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
