"""One row of the matrix, and what all its functions share."""

from __future__ import annotations

import enum
import inspect
import json
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from unstall.model.finding import Cause

SLOW_S = 0.5
MARK = "# stalls"
"""At the end of the line to blame; of several, each is right."""
ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "MATRIX_BACKENDS"


class Group(enum.StrEnum):
    SLOW = "slow"
    """A wait for something slow."""
    CPU = "cpu"
    GIL = "gil"
    GC = "gc"
    LATENT = "latent"
    """Blocks, but is fast today."""
    CLEAN = "clean"


class Place(enum.StrEnum):
    """Where in a FastAPI application the function is."""

    ROUTE = "route"
    DEPENDENCY = "dependency"
    BACKGROUND = "background task"
    CHILD = "child task"
    """Of a task group in the route."""
    STREAM = "stream"
    """The body of a streaming response."""
    WEBSOCKET = "websocket"


class Send(enum.StrEnum):
    """How the client asks for it."""

    GET = "get"
    UPLOAD = "upload"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True)
class Case:
    function: Callable[..., Any]
    """Blocking: `async`, without arguments, behind one more frame that takes the time. Clean: the route."""
    group: Group
    cause: Cause | None = None
    rule: str = ""
    place: Place = Place.ROUTE
    prepare: Callable[[], None] | None = None
    """Runs before the loop does."""
    connect: Callable[[], Awaitable[None]] | None = None
    """Runs on the loop at start-up."""
    where: Callable[..., Any] | None = None
    """The function with the mark, if it is not `function`."""
    needs: tuple[str, ...] = ()
    """Servers: postgres, http, late, grpc, valkey."""
    send: Send = Send.GET
    warm: bool = True
    """Whether it was asked for before it counts; a blocking one, with an argument that it refuses."""
    quick: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def path(self) -> str:
        return f"/{self.name}/{{item}}"

    @property
    def route(self) -> str:
        return f"GET {self.path}"

    @property
    def staged(self) -> str:
        """What a fresh process needs to find it."""
        return f"{self.function.__module__}:{self.name}"

    @property
    def judged(self) -> bool:
        """Whether it is part of unstall's bar in production mode."""
        return self.group not in (Group.LATENT, Group.CLEAN)


@cache
def marked(case: Case) -> tuple[str, ...]:
    """`file:line` of each line that may be blamed; none where nobody on the loop is at fault."""
    function = inspect.unwrap(case.where or case.function)
    file = Path(inspect.getsourcefile(function) or "").resolve().relative_to(ROOT).as_posix()
    lines, first = inspect.getsourcelines(function)
    return tuple(
        f"{file}:{first + at}" for at, line in enumerate(lines) if line.rstrip().endswith(MARK)
    )


def backends() -> SimpleNamespace:
    """Addresses of the servers that this run has: `http` is a URL, the others host and port or a DSN."""
    return SimpleNamespace(**json.loads(os.environ.get(VARIABLE, "{}")))


AT = backends()


class _Helper:
    """A thread that was started before any loop ran: to start one is a wait, too."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._started = False

    def start(self) -> None:
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="helper", daemon=True).start()

    def _run(self) -> None:
        while True:
            act = self._asked.get()
            time.sleep(SLOW_S)
            act()

    def later(self, act: Callable[[], object]) -> None:
        self._asked.put(act)


_helper = _Helper()
start_helper = _helper.start
later = _helper.later
"""Does something on another thread in `SLOW_S`; a case that uses it has `prepare=start_helper`."""
