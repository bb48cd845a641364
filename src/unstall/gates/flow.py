"""Who asks for a slot: one flow of control, that does one thing after another.

A task is a flow, and so is a plain thread. A thread that works for a task while that task waits for it
(anyio's workers, in which FastAPI runs plain `def`) is part of the task's flow. A child task is a flow of
its own, and knows what its parents held when it was started: whether they wait for it is asked only when
that matters.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import _get_running_loop as running_loop
from asyncio import current_task
from contextvars import ContextVar
from threading import get_ident
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unstall.gates.gate import Loan

_NOBODY = 0
_DEEPEST = 48
_MOST_DEPTHS = 3
_MOST_CODES = 1_000


class Flow:
    """What one flow of control holds. Its task is kept as a number, because its context holds the flow."""

    __slots__ = ("inherited", "key", "loan", "loans", "of_task", "task")

    def __init__(self, key: int, of_task: bool, inherited: tuple[Loan, ...]) -> None:
        self.key = key
        self.of_task = of_task
        self.inherited = inherited
        """What the flow that started this one held then."""
        self.loans: list[Loan] = []
        """What it holds, the oldest first."""
        self.loan: Loan | None = None
        """What it asked for last."""
        self.task: asyncio.Task[Any] | None = None
        """Only while a thread works for it."""


FLOW: ContextVar[Flow | None] = ContextVar("unstall_flow", default=None)
HOP: ContextVar[Flow | None] = ContextVar("unstall_hop", default=None)
"""In a worker thread, the flow of the task that waits for it."""


def flow_here(asynchronous: bool) -> Flow:
    """The flow that runs now; one that cannot be told from its siblings is new each time."""
    loop = running_loop()
    if loop is None:
        hop = HOP.get()
        if hop is not None:
            return hop
        key = _NOBODY if asynchronous else get_ident()  # trio's tasks share a thread
    else:
        task = current_task(loop)
        key = _NOBODY if task is None else id(task)
    flow = FLOW.get()
    if flow is None or flow.key != key or key == _NOBODY:
        flow = Flow(key, loop is not None, () if flow is None else _held(flow))
        FLOW.set(flow)
    return flow


def flow_around() -> Flow | None:
    """The flow that asked, seen from inside the pool; a task made for its time-out inherits it."""
    if running_loop() is None:
        hop = HOP.get()
        if hop is not None:
            return hop
    return FLOW.get()


def on_loop() -> bool:
    """Whether an event loop runs on this thread."""
    return running_loop() is not None


def _held(flow: Flow) -> tuple[Loan, ...]:
    loans = (*flow.inherited, *flow.loans)
    return tuple(loan for loan in loans if loan.flow is not None)


# --- where it asks --------------------------------------------------------------------------

Where = tuple[CodeType, int, dict[str, Any]]
"""A line of the application: its code, the instruction, the module's names. A plain tuple, as one is made
for each slot."""


def line_of(at: Where) -> int:
    code, lasti, _ = at
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return line
    return code.co_firstlineno


class Finder:
    """Finds the innermost line of the application on the stack; made for one pool.

    The stacks of a pool differ little, so it first looks where it found the same function before: to walk
    there frame by frame costs more than all the rest.
    """

    __slots__ = ("_codes", "_depths", "_greenlet", "_is_app")

    def __init__(self, is_app: Mapping[str, bool]) -> None:
        self._is_app = is_app
        self._codes: dict[int, tuple[int, CodeType]] = {}
        """By number: at which depth a function of the application was found."""
        self._depths: tuple[int, ...] = ()
        self._greenlet = False

    def find(self) -> Where | None:
        if self._greenlet:
            return self._outside() or self._walk()
        try:
            for depth in self._depths:
                frame = sys._getframe(depth)
                known = self._codes.get(id(frame.f_code))
                if known is not None and known[0] == depth:
                    return frame.f_code, frame.f_lasti, frame.f_globals
        except ValueError:  # a shallow stack
            pass
        return self._walk()

    def _walk(self) -> Where | None:
        frame: FrameType | None = sys._getframe(1)
        for depth in range(_DEEPEST):
            if frame is None:
                self._greenlet = self._greenlet or outside_greenlet() is not None
                return self._outside()
            code = frame.f_code
            if self._is_app[code.co_filename]:
                self._learn(depth, code)
                return code, frame.f_lasti, frame.f_globals
            frame = frame.f_back
        return None

    def _outside(self) -> Where | None:
        frame = outside_greenlet()
        for _ in range(_DEEPEST):
            if frame is None:
                return None
            if self._is_app[frame.f_code.co_filename]:
                return frame.f_code, frame.f_lasti, frame.f_globals
            frame = frame.f_back
        return None

    def _learn(self, depth: int, code: CodeType) -> None:
        if len(self._codes) >= _MOST_CODES:
            self._codes.clear()
        self._codes[id(code)] = depth, code
        if depth not in self._depths:
            self._depths = (depth, *self._depths)[:_MOST_DEPTHS]


def outside_greenlet() -> FrameType | None:
    """The frame that waits for the current greenlet: SQLAlchemy runs its synchronous core in one."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return None
    parent = greenlet.getcurrent().parent
    return None if parent is None else parent.gr_frame
