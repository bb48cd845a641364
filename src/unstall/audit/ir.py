"""What source says, without judgement: functions, the calls they make, and where requests enter.

A project is read once into a `Program`; names, places and verdicts are pure functions of it. The import
of the app and a type server say more about the same values: they settle targets, they add no kinds.

Names: first-party functions and classes are `package.module:Outer.inner` (as in `Entry.function`; local
functions `module:outer.<locals>.inner`, lambdas `module:outer.<lambda>@LINE`), everything else is dotted,
by where it is defined publicly: `sqlalchemy.orm.Session.execute`, `builtins.open`.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from unstall.model.finding import Confidence


class Place(enum.StrEnum):
    """Where a function runs. (function, loop) and (function, thread pool) are different nodes."""

    LOOP = "loop"
    THREAD_POOL = "thread pool"
    """anyio's shared 40 tokens: plain `def` routes, dependencies and background tasks, run_in_threadpool."""
    EXECUTOR = "executor"
    """Threads of its own: an executor, a lane, `threading.Thread`."""
    PROCESS = "process"
    STARTUP = "start-up"
    """Module level, a lifespan up to its `yield`, startup handlers: delays readiness, not requests."""
    SHUTDOWN = "shutdown"
    """After the last request: what follows the `yield` of a lifespan. Nobody waits for it."""
    OFFLINE = "offline"
    """Workers, command lines and scripts: no request waits."""
    UNKNOWN = "unknown"


class Via(enum.StrEnum):
    """How control goes over to the target."""

    CALL = "call"
    ITERATE = "iterate"
    """`for`, a comprehension, `next`, `list(…)`: lazy iterators block here, not where they are made."""
    ENTER = "enter"
    EXIT = "exit"
    READ = "read"
    """A property, or an attribute that is loaded when it is read."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call; what is not known is empty."""

    name: str | None
    """The keyword; None for a positional one."""
    text: str
    constant: bool = False
    value: str | int | float | bool | None = None
    """Of a constant; None is also the constant None."""
    refers: tuple[str, ...] = ()
    """Functions passed without being called: by name, as a lambda, bound, or in functools.partial."""
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One place where a function hands control to something that has a name."""

    via: Via
    line: int
    end_line: int
    column: int
    text: str
    """As written, without the arguments: `self.repo.load`."""
    targets: tuple[str, ...]
    """All it can be, by name; empty: unknown."""
    confidence: Confidence = Confidence.CERTAIN
    """Of the targets."""
    awaited: bool = False
    arguments: tuple[Argument, ...] = ()
    repeats: bool = False
    """Inside a loop or comprehension."""
    dead: bool = False
    """Under a condition that is constantly false."""
    unknown: str = ""
    """Why there is no target, and what would settle it."""


@dataclass(frozen=True, slots=True)
class Function:
    id: str
    file: str
    """Relative to the root, with `/`."""
    line: int
    end_line: int
    is_async: bool = False
    is_generator: bool = False
    decorators: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    returns: tuple[str, ...] = ()
    """Classes of what it returns or yields, by name."""
    awaits: bool = False
    """There is an await, async for or async with in its own body."""


@dataclass(frozen=True, slots=True)
class Step:
    """One function on the path of a request, in the order of running."""

    kind: str
    """middleware, route class, dependency, validation, endpoint, serialisation, stream, background task"""
    function: str
    place: Place
    why: str
    """In one clause: `a plain def dependency runs in the thread pool`."""
    file: str
    line: int
    depth: int = 0
    """Of a dependency below another one."""
    receiver: str = ""
    """The class of the `self` that it is called on, where that is known."""
    exact: bool = False
    """`self` is of that class, and of none below it."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where a loop or a thread enters first-party code."""

    kind: str
    """route, websocket, middleware, exception handler, lifespan, startup, import, background task, task,
    callback, offline"""
    name: str
    """`GET /users/{id}` for a route, else the function."""
    function: str
    place: Place
    file: str
    line: int
    steps: tuple[Step, ...] = ()
    """Of a route: all that runs for a request, the endpoint included."""
    by: tuple[str, ...] = ()
    """Functions that start it: it runs if one of them does. Empty: a framework or an import starts it."""
    doubt: str = ""
    """Why it may never run, in one clause: `nobody was seen to call sync_all`."""
    receiver: str = ""
    """As a step has it."""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be analysed."""

    file: str
    why: str


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    file: str
    tree: ast.Module = field(repr=False, compare=False)
    is_test: bool = False
    """Never an entrance."""


class Names(Protocol):
    """What expressions refer to. `scope` is the id of the enclosing function or class; `""`: module level."""

    modules: Mapping[str, Module]

    def name_of(self, module: str, scope: str, expression: ast.expr) -> tuple[str, ...]:
        """What the expression names: a function, class, module or global; through imports, aliases,
        assignments and partials. Empty: unknown."""
        ...

    def types_of(self, module: str, scope: str, expression: ast.expr) -> tuple[str, ...]:
        """Classes the expression's value is an instance of. Empty: unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Program:
    root: Path
    modules: Mapping[str, Module]
    functions: Mapping[str, Function]
    bases: Mapping[str, tuple[str, ...]]
    """First-party class to its bases, in order."""
    entrances: tuple[Entrance, ...] = ()
    unread: tuple[Unread, ...] = ()
