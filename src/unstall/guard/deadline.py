"""`Deadline`: answers in time, cancels what is late, and says what could not be cancelled."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.errors import UsageError
from unstall.guard.asgi import (
    App,
    Message,
    Problem,
    Receive,
    Scope,
    Send,
    header,
    path_of,
    refuse,
    spread,
)
from unstall.guard.budget import CURRENT, HEADER, BadDeadline, Budget, left_of
from unstall.guard.metrics import OVERRUN, REJECTED
from unstall.guard.routes import Routes

_AGAIN_S = 0.05
_DOOR_S = 0.01
"""How soon a request is looked at again that was still at a guard's door."""
_DOOR_LOOKS = 100
"""So often: middleware between us and the guard may keep its answer. Looks and no time, because a loop that
is held has not let the guard speak."""
_LATE_NS = 50 * NS_PER_MS
"""A timer that comes later than this was kept from coming: the loop was held."""
_DEEPEST = 64
_OTHER = "other"
_LOG = logging.getLogger("unstall.deadline")


@dataclass(frozen=True, slots=True)
class Overrun:
    """A request that was not answered in time, and what became of its work."""

    method: str
    route: str
    """The template that has its budget, else `other`."""
    allowed_s: float
    took_s: float
    """Until its work had ended, or until this was told."""
    answered: bool
    """Whether a 504 could be sent: an answer that had begun is cut instead."""
    ended: bool
    """False when it goes on in spite of having been cancelled."""
    at: str | None
    """Where a task that goes on is: `file.py:line in function`."""
    left: tuple[str, ...]
    """Threads that work on for it, each with function and line."""
    held_s: float
    """How long the loop was held beyond the deadline, so that nothing could be cancelled; 0.0 if it was
    not.
    """
    held_by: str | None

    def __str__(self) -> str:
        parts = [
            f"{self.method} {self.route} was not answered within {self.allowed_s:.3g} s"
            + ("" if self.answered else ", and its answer had begun, so it was cut")
        ]
        if self.held_s:
            by = (
                self.held_by
                or "by what was not seen: switch the monitor on with unstall.instrument"
            )
            parts.append(f"the loop was held {self.held_s:.2f} s beyond that, {by}")
        if not self.ended:
            parts.append(
                f"its task goes on {f'at {self.at}' if self.at else 'where it cannot be seen'}"
            )
        if self.left:
            parts.append(f"could not be cancelled: {', '.join(self.left)}")
        return "; ".join(parts)


class Deadline:
    """Pure ASGI middleware: a request that is not answered in time is cancelled, and answered with 504.

    `default` is in seconds, `routes` has others by template, `header` may only shorten them. The time
    ends when the answer begins, so streams and background tasks go on; with `streams` it ends when the
    answer does. A task that goes on for `grace` seconds after it was cancelled is told of. `told` is
    given each overrun; without it they are logged as warnings by `unstall.deadline`. `retry_after`, in
    seconds, goes into the 504 where every request may be sent again. Needs asyncio. Raises UsageError.
    """

    def __init__(
        self,
        app: App,
        default: float | None = None,
        *,
        routes: Mapping[str, float | None] | None = None,
        header: str | None = HEADER,
        streams: bool = False,
        grace: float = 1.0,
        retry_after: float | None = None,
        told: Callable[[Overrun], object] | None = None,
    ) -> None:
        self.app = app
        self.default_ns = _checked("default", default)
        table = {route: _checked(route, seconds) for route, seconds in (routes or {}).items()}
        self.routes = Routes(table)
        self.header = None if header is None else header.lower().encode()
        self.streams = streams
        self.grace_s = _grace(grace)
        self.retry_after = _again(retry_after)
        self.told = told or _logged

    def late(self, reason: str, detail: str) -> Problem:
        again = None if self.retry_after is None else spread(self.retry_after)
        return Problem(504, reason, detail, again)

    def left(self, budget: Budget) -> tuple[str, ...]:
        """The threads that work on for it; for those who know lanes and pools."""
        return ()

    def frames(self, task: asyncio.Task[Any]) -> Iterator[FrameType]:
        """Of what a suspended task awaits, the outermost first."""
        return awaited_frames(task)

    def held_by(self, from_ns: int, until_ns: int) -> str | None:
        """Who held the loop between two moments; for those who watch it."""
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        found = self.routes.find(scope) if self.routes else None
        allowed = self.default_ns if found is None else found.value
        if self.header is not None:
            text = header(scope, self.header)
            if text is not None:
                try:
                    asked = int(left_of(text, time.time()) * NS_PER_S)
                except BadDeadline as error:
                    REJECTED.add(("deadline-malformed",))
                    await refuse(Problem(400, "deadline-malformed", f"{error}."), scope, send)
                    return
                allowed = asked if allowed is None else min(allowed, asked)
        if allowed is None:
            await self.app(scope, receive, send)
            return
        route = _OTHER if found is None else found.route
        if allowed <= 0:
            OVERRUN.add((route,))
            past = -allowed / NS_PER_S
            detail = (
                f"The deadline passed {past:.3f} s before the request came in. Nothing was begun."
            )
            await refuse(self.late("deadline-passed", detail), scope, send)
            return
        budget = Budget(time.monotonic_ns() + allowed, allowed, route)
        outer = CURRENT.get()
        if outer is not None and outer.due_ns <= budget.due_ns:
            await self.app(scope, receive, send)  # an app inside another, which has less time
            return
        token = CURRENT.set(budget)
        try:
            await _Run(self, budget, scope, send).go(receive)
        finally:
            CURRENT.reset(token)


class _Run:
    """One request under its deadline, in the task that the server made for it."""

    __slots__ = (
        "_answer", "_begun", "_budget", "_cancelled", "_cancelling", "_deadline", "_grace", "_held_ns",
        "_late", "_looks", "_loop", "_over", "_scope", "_send", "_task", "_timer", "_told",
    )  # fmt: skip

    def __init__(self, deadline: Deadline, budget: Budget, scope: Scope, send: Send) -> None:
        self._deadline = deadline
        self._budget = budget
        self._scope = scope
        self._send = send
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self._begun = self._late = self._over = self._told = self._cancelled = False
        self._held_ns = self._looks = 0
        self._answer: asyncio.Task[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._timer = self._loop.call_later(budget.left_ns() / NS_PER_S, self._due)

    async def go(self, receive: Receive) -> None:
        try:
            await self._deadline.app(self._scope, receive, self._sent)
        except asyncio.CancelledError:
            if not self._cancelled or self._task.uncancel() > self._cancelling:
                raise  # it is somebody else's
        except Exception as error:
            if not self._late:
                raise
            if self._cancelled:
                self._task.uncancel()  # the client has its answer, and this is what came of the cancelling
            _LOG.debug("after the deadline: %r", error)
        else:
            if self._cancelled:
                self._task.uncancel()
        finally:
            self._over = True
            self._timer.cancel()
            if self._grace is not None:
                self._grace.cancel()
        if self._late:
            if self._answer is not None:
                await self._answer
            self._tell(ended=True)

    async def _sent(self, message: Message) -> None:
        if self._late:
            return  # the client has its answer
        kind = message["type"]
        if kind == "http.response.start":
            self._begun = True
            if not self._deadline.streams:
                self._timer.cancel()
        elif kind == "http.response.body" and not message.get("more_body", False):
            self._timer.cancel()
        await self._send(message)

    # --- on the loop, when time is over -----------------------------------------------------------

    def _due(self) -> None:
        if not self._looks:
            late_ns = time.monotonic_ns() - self._budget.due_ns
            self._held_ns = late_ns if late_ns > _LATE_NS else 0
        # Its guard says so in this moment, and when to come back.
        if self._budget.queued and self._looks < _DOOR_LOOKS:
            self._looks += 1
            self._timer = self._loop.call_later(_DOOR_S, self._due)
            return
        self._late = True
        OVERRUN.add((self._budget.route,))
        if not self._begun:
            self._answer = self._loop.create_task(self._say())
        self._cancel()
        self._grace = self._loop.call_later(self._deadline.grace_s, self._goes_on)

    def _cancel(self) -> None:
        """Not while it waits for a thread of anyio's: that would give the thread's token to somebody else
        although the thread works on, and threads would be more and more."""
        if self._over:
            return
        frame = self._innermost()
        if frame is not None and _waits_for_thread(frame):
            self._loop.call_later(_AGAIN_S, self._cancel)
            return
        self._cancelled = True
        self._task.cancel("unstall: the request's deadline has passed")

    async def _say(self) -> None:
        seconds = self._budget.allowed_ns / NS_PER_S
        detail = f"The request was not answered within {seconds:.3g} s; it may have been done all the same."
        try:
            await refuse(self._deadline.late("deadline", detail), self._scope, self._send)
        except Exception as error:  # the client has gone
            _LOG.debug("a 504 could not be sent: %r", error)

    def _innermost(self) -> FrameType | None:
        frame = None
        for frame in self._deadline.frames(self._task):  # noqa: B007 - the last one
            pass
        return frame

    def _place(self) -> str | None:
        """The innermost line that it waits in."""
        frame = self._innermost()
        if frame is None:
            return None
        code = frame.f_code
        return f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno} in {code.co_qualname}"

    def _goes_on(self) -> None:
        if not self._over:
            self._tell(ended=False)

    def _tell(self, *, ended: bool) -> None:
        if self._told:
            return
        self._told = True
        now, budget = time.monotonic_ns(), self._budget
        deadline = self._deadline
        try:
            overrun = Overrun(
                self._scope["method"],
                path_of(self._scope) if budget.route == _OTHER else _path(budget.route),
                budget.allowed_ns / NS_PER_S,
                (now - budget.due_ns + budget.allowed_ns) / NS_PER_S,
                self._answer is not None,
                ended,
                None if ended else self._place(),
                deadline.left(budget),
                self._held_ns / NS_PER_S,
                deadline.held_by(budget.due_ns, budget.due_ns + self._held_ns)
                if self._held_ns
                else None,
            )
            deadline.told(overrun)
        except Exception:  # to tell must never harm
            _LOG.debug("an overrun could not be told", exc_info=True)


def _path(route: str) -> str:
    return route.rpartition(" ")[2]


def _logged(overrun: Overrun) -> None:
    _LOG.warning("%s", overrun, extra={"overrun": overrun})


def awaited_frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    """As far as plain coroutines and generators await one another."""
    awaited: Any = task.get_coro()
    for _ in range(_DEEPEST):
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            return
        yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def _waits_for_thread(frame: FrameType) -> bool:
    """anyio's wait for one of its workers, which its own cancelling would not end either. Who waits for a
    token has an inner frame, and can go."""
    return (
        frame.f_code.co_name == "run_sync_in_worker_thread"
        and frame.f_globals.get("__name__") == "anyio._backends._asyncio"
        and not frame.f_locals.get("abandon_on_cancel", False)
    )


def _number(given: Any) -> float:
    """Not a number for what is none."""
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return float(given) if is_number else math.nan


def _grace(seconds: Any) -> float:
    number = _number(seconds)
    if 0 <= number < math.inf:
        return number
    raise UsageError(f"grace of the deadline is {seconds!r}: give seconds from 0 upwards")


def _again(seconds: Any) -> int | None:
    if seconds is None:
        return None
    number = _number(seconds)
    if 0 < number < math.inf:
        return math.ceil(number)
    raise UsageError(
        f"retry_after of the deadline is {seconds!r}: give seconds greater than 0, or None"
    )


def _checked(name: str, seconds: Any) -> int | None:
    if seconds is None:
        return None
    number = _number(seconds)
    if not 0 < number < math.inf:
        raise UsageError(
            f"the deadline of {name} is {seconds!r}: give seconds greater than 0, for example 2.0, or None"
        )
    return int(number * NS_PER_S)
