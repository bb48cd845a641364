"""How long each piece of a request's path held the loop, exactly, for the requests that are measured.

A piece is a coroutine driven by `timed`: each of its steps is clocked on the loop's thread, from the moment
the loop resumes it to the moment it lets go. What ran inside another piece is told apart by the order in
which steps nest on the thread. A task that a piece starts is clocked as well, by `Followed`, and counts for
all who started it.

Every request is measured up to `MOST_PER_S` a second; above that every n-th on average, whatever it is, and
each stands for n. So the cost has a ceiling, and the shares are those of all requests.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Callable, Coroutine, Generator, Iterable
from time import perf_counter_ns
from typing import Any, Final

MOST_PER_S = 200
MOST_WHEN_BUSY = 10
"""While the process has little CPU to give away: it costs 40 to 250 us to measure a request."""
MOST_SPANS = 64
"""Of one request; a loop that opens a section a thousand times is cut here, and the cut is counted."""


class Span:
    """One piece of a path while it is measured. Times in ns."""

    __slots__ = (
        "away_ns", "began_ns", "depth", "hops", "inner_ns", "kind", "name", "outer", "path", "queued_ns",
        "since_ns", "spawned_ns", "steps_ns", "took_ns", "within", "worked_ns",
    )  # fmt: skip

    def __init__(self, path: Path, kind: str, name: str, outer: Span | None) -> None:
        self.path = path
        self.kind = kind
        self.name = name
        self.outer = outer
        """The piece that began it."""
        self.depth: int = outer.depth + 1 if outer is not None else 0
        self.began_ns = perf_counter_ns()
        self.took_ns = -1
        """-1 while it lasts."""
        self.steps_ns = 0
        """Its own steps kept the loop, and what ran inside them; -1 if that cannot be told."""
        self.spawned_ns = 0
        """The tasks that were started in it kept the loop."""
        self.inner_ns = 0
        """Of its steps, by pieces inside."""
        self.queued_ns = 0
        """It waited for a thread."""
        self.worked_ns = 0
        """It ran in a thread."""
        self.hops = 0
        self.away_ns = 0
        """Pieces inside waited for a thread or ran in one."""
        self.since_ns = 0
        """The beginning of the step under way."""
        self.within: Span | None = None
        """The innermost section open in it, which is no coroutine and has no steps of its own."""

    @property
    def held_ns(self) -> int | None:
        """The loop was kept by this piece and all that it began; None if that cannot be told."""
        return self.steps_ns + self.spawned_ns if self.steps_ns >= 0 else None

    @property
    def own_ns(self) -> int:
        return max(0, self.steps_ns - self.inner_ns)

    def end(self, now: int) -> None:
        self.took_ns = now - self.began_ns


class Root(Span):
    """The request itself: its end is the path's."""

    __slots__ = ("told", "told_held_ns", "told_took_ns")

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(path, kind, "", None)
        self.told = False
        """It was counted while it lasted, and with it so much of its time."""
        self.told_held_ns = self.told_took_ns = 0

    def end(self, now: int) -> None:
        self.took_ns = now - self.began_ns
        self.path.done(self.path)


class Path:
    """The path of one measured request: its pieces in the order in which they began."""

    __slots__ = (
        "before", "cut", "done", "layers", "over", "root", "scope", "since_ns", "spans", "tasks", "times",
    )  # fmt: skip

    def __init__(
        self,
        scope: Any,
        times: int,
        done: Callable[[Path], None],
        *,
        kind: str = "request",
        layers: Entries = (),
        tasks: LoopTasks | None = None,
    ) -> None:
        self.scope = scope
        self.times = times
        """How many requests it stands for."""
        self.done = done
        self.layers = layers
        """Replaced while a step of this path runs."""
        self.tasks = tasks
        self.before: Path | None = None
        """The path in whose midst this one began, in the same task."""
        self.root = Root(self, kind)
        self.spans: list[Span] = [self.root]
        self.cut = 0
        self.since_ns = 0
        """The beginning of the step under way, whichever piece's it is; 0 between steps."""
        self.over = False

    @property
    def held_ns(self) -> int:
        return self.root.steps_ns + self.root.spawned_ns

    def open(self, kind: str, name: str, outer: Span) -> Span | None:
        """None if there are too many."""
        if len(self.spans) >= MOST_SPANS:
            self.cut += 1
            return None
        span = Span(self, kind, name, outer)
        self.spans.append(span)
        return span


class _Here(threading.local):
    span: Span | None = None
    """The innermost piece whose step runs on this thread."""
    off_loop: bool = False
    """This is a worker's thread, and the piece is what it was sent for."""


HERE: Final = _Here()

Entries = tuple[tuple[Any, str, Any, Any], ...]
"""Target, name, the original and ours."""


class Swap:
    """Functions of the host that are replaced only while a step of a measured request runs.

    Between its beginning and its end nothing else runs on the loop. So requests that are not measured
    do not even pay a lookup. Other threads may meet a replacement: it finds no piece there and passes on. Of
    loops on two threads, one may put back what the other still needs: that loses a detail.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: Entries = ()

    def add(self, *entries: tuple[Any, str, Any, Any]) -> None:
        self._entries = (*self._entries, *entries)

    def remove(self, entries: Iterable[tuple[Any, str, Any, Any]]) -> None:
        gone = {id(entry) for entry in entries}
        put_back(entry for entry in self._entries if id(entry) in gone)
        self._entries = tuple(entry for entry in self._entries if id(entry) not in gone)

    def on(self, layers: Entries) -> None:
        for entries in (self._entries, layers):
            for target, name, original, ours in entries:
                try:
                    if getattr(target, name, None) is original:  # nobody else has replaced it
                        setattr(target, name, ours)
                except Exception:  # it does not want to be changed: a detail less
                    continue

    def off(self, layers: Entries) -> None:
        put_back(self._entries)
        put_back(layers)


class LoopTasks:
    """`create_task` of one loop, replaced on the loop itself while a step of a measured request runs.

    A wrapper on the class would cost every task of every request a frame.
    """

    __slots__ = ("_loop", "_ours")

    def __init__(self, loop: Any, wrapper: Callable[[Any], Any]) -> None:
        self._loop = loop
        self._ours: Any = wrapper(loop.create_task)

    def on(self) -> None:
        loop = self._loop
        try:
            owner: Any = getattr(loop.create_task, "__self__", None)
            if owner is loop:  # as its class has it
                loop.create_task = self._ours
        except Exception:  # it does not want to be changed: a detail less
            return

    def off(self) -> None:
        try:
            if self._loop.create_task is self._ours:
                del self._loop.create_task
        except Exception:
            return


def put_back(entries: Iterable[tuple[Any, str, Any, Any]]) -> None:
    for target, name, original, ours in entries:
        try:
            if getattr(target, name, None) is ours:
                setattr(target, name, original)
        except Exception:
            continue


SWAP: Final = Swap()


@types.coroutine
def timed(coroutine: Coroutine[Any, Any, Any], span: Span) -> Generator[Any, Any, Any]:
    """Awaits a coroutine, and adds up in `span` how long its steps kept the loop."""
    resume: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        outer = enter(span)
        try:
            awaited = resume(value)
        except BaseException as error:
            value = None  # no circle from the error through its traceback to itself
            span.end(leave(span, outer))
            if isinstance(error, StopIteration):
                return error.value
            raise
        leave(span, outer)
        try:
            value = yield awaited
            resume = coroutine.send
        except GeneratorExit:
            try:
                coroutine.close()
            finally:
                span.end(perf_counter_ns())
            raise
        except BaseException as error:
            value, resume = error, coroutine.throw


class Followed(Coroutine[Any, Any, Any]):
    """The coroutine of a task that a measured request started, as the task sees it.

    Not a coroutine around it: one that is cancelled before its first step must end without a word, and one
    that is looked at, or shown in a message, must look like what it is. So whatever is asked of it is
    answered by the coroutine itself.
    """

    __slots__ = ("__weakref__", "_span", "coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], span: Span) -> None:
        self.coroutine = coroutine
        self._span = span

    def send(self, value: Any) -> Any:
        return self._step(self.coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self.coroutine.throw, *error)

    def close(self) -> None:
        self.coroutine.close()
        self._ended(perf_counter_ns())

    def _step(self, resume: Callable[..., Any], *value: Any) -> Any:
        span = self._span
        if span.path.over:  # it outlives its request
            return resume(*value)
        outer = enter(span)
        try:
            awaited = resume(*value)
        except BaseException:
            self._ended(leave(span, outer))
            raise
        leave(span, outer)
        return awaited

    def _ended(self, now: int) -> None:
        if self._span.took_ns < 0:
            self._span.end(now)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        return await timed(self.coroutine, self._span)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.coroutine, name)

    def __repr__(self) -> str:
        return repr(self.coroutine)


def enter(span: Span) -> Span | None:
    """A step of a piece begins; gives the piece in whose step it runs, for `leave`."""
    outer, path = HERE.span, span.path
    if outer is None:
        SWAP.on(path.layers)
        if path.tasks is not None:
            path.tasks.on()
    HERE.span = span
    span.since_ns = now = perf_counter_ns()
    if outer is None or outer.path is not path:
        path.since_ns = now
    return outer


def leave(span: Span, outer: Span | None) -> int:
    """The step is over; gives the time."""
    now = perf_counter_ns()
    took = now - span.since_ns
    span.steps_ns += took
    HERE.span = outer
    path = span.path
    if outer is not None:
        outer.inner_ns += took
        if outer.path is path:
            return now
    else:
        SWAP.off(path.layers)
        if path.tasks is not None:
            path.tasks.off()
    path.since_ns = 0
    starter = span.outer
    while starter is not None:
        starter.spawned_ns += took
        starter = starter.outer
    return now
