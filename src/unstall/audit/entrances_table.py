"""The facts of `entrances.toml`: what hands functions over, and where these then run."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from unstall.audit.ir import Place

DECORATED = -1
"""The function is what is decorated."""

METHODS = frozenset("get put post delete options head patch trace".split())
"""Of routers: the name is the HTTP method."""

APPS = frozenset({"fastapi.FastAPI", "starlette.Starlette"})
ROUTERS = frozenset(
    """fastapi.APIRouter starlette.Router fastapi_utils.InferringRouter fastapi_restful.InferringRouter
    faststream.KafkaRouter faststream.RabbitRouter""".split()
)
DEPENDS = frozenset({"fastapi.Depends", "fastapi.Security"})
MODELS = frozenset({"pydantic.BaseModel", "pydantic.RootModel", "sqlmodel.SQLModel"})
"""FastAPI makes objects of what inherits from them, of what a request brings."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Where a function runs, and why."""

    place: Place
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """A call or decorator that takes a function in."""

    name: str
    """Short; after `?.` a method whose object's class is not known."""
    kind: str
    function: int
    """Position of the argument, or `DECORATED`."""
    on_async: Runs | None
    """None: it takes no such function."""
    on_sync: Runs | None
    path: str = ""
    """HTTP method of a route whose path is the first argument; `*`: the name says it."""
    offloads_if: str = ""
    """A keyword that, when true, sends a plain function to the thread pool."""

    @property
    def package(self) -> str:
        """The one that has to be imported for it; `?`: any."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Methods:
    """Methods of subclasses of a foreign class that the class's owner calls."""

    base: str
    names: frozenset[str]
    prefix: str
    """A method whose name begins so counts, too; empty: none does."""
    kind: str
    on_async: Runs
    on_sync: Runs

    def __contains__(self, name: str) -> bool:
        return name in self.names or (bool(self.prefix) and name.startswith(self.prefix))


def short(name: str) -> str:
    """`celery.app.base.Celery.task` as `celery.Celery.task`; `asyncio.tasks.create_task` as
    `asyncio.create_task`."""
    parts = name.split(".")
    for at, part in enumerate(parts[1:], 1):
        if part[:1].isupper():
            return ".".join((parts[0], *parts[at:]))
    return f"{parts[0]}.{parts[-1]}" if len(parts) > 1 else name


def _runs(text: str) -> Runs:
    place, _, why = text.partition(": ")
    return Runs(Place(place), why)


def _runs_of(item: Mapping[str, Any], kind: str) -> Runs | None:
    return _runs(item[kind]) if kind in item else None


def _rows(item: Mapping[str, Any]) -> Iterator[Row]:
    owners, methods = item.get("of", "").split(), item.get("methods", "").split()
    for name in (*item.get("names", "").split(), *(f"{o}.{m}" for o in owners for m in methods)):
        yield Row(
            name,
            item["kind"],
            DECORATED if item["function"] == "decorated" else item["function"],
            _runs_of(item, "async"),
            _runs_of(item, "sync"),
            item.get("path", ""),
            item.get("offloads_if", ""),
        )


def _methods(item: Mapping[str, Any]) -> Iterator[Methods]:
    names = frozenset(item.get("methods", "").split())
    for base in item["base"].split():
        on_async, on_sync = _runs(item["async"]), _runs(item["sync"])
        yield Methods(base, names, item.get("prefix", ""), item["kind"], on_async, on_sync)


def _by_last_name(rows: Iterator[Row]) -> Mapping[str, tuple[Row, ...]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.name.rpartition(".")[2]].append(row)
    return {name: tuple(same) for name, same in found.items()}


_DATA = tomllib.loads(
    resources.files("unstall.audit").joinpath("entrances.toml").read_text("utf-8")
)

STEPS: Mapping[tuple[str, str], Runs] = {
    (kind, "" if of == "any" else of): _runs(text)
    for kind, texts in _DATA["steps"].items()
    for of, text in texts.items()
}
"""By the kind of the step and that of its function; empty for any."""
ASYNC_CALLABLES = frozenset(_DATA["async_callables"]["names"].split())
ROWS: Mapping[str, tuple[Row, ...]] = _by_last_name(
    row for item in _DATA["rows"] for row in _rows(item)
)
"""By the last part of their name, with which calls are found."""
SUBCLASSES: Mapping[str, Methods] = {
    m.base: m for item in _DATA["subclasses"] for m in _methods(item)
}
"""By base class."""
