"""Runs what belongs to others on threads of their own, so that nothing they do reaches the watchdog."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from unstall.model.finding import Stall
from unstall.watch.carried import Carried, Reader, Where

T = TypeVar("T")

MOST_PENDING = 64
TOO_BUSY = "words to a callback that was busy"
_STOP_S = 1.0


class Worker(Generic[T]):
    """One callback on one daemon thread, in order, behind a bounded queue.

    The thread begins with the first value and sleeps between them. A full queue lets go of its oldest, a
    callback that raises is given nothing more; both are told to `lost`. `idle` is called when nothing is
    pending and says in how many seconds it wants to be called again; `last` is called before the thread ends.
    """

    def __init__(
        self,
        hook: Callable[[T], None],
        lost: Callable[[str], None],
        *,
        idle: Callable[[], float | None] = lambda: None,
        last: Callable[[], None] = lambda: None,
    ) -> None:
        self._hook = hook
        self._lost = lost
        self._idle = idle
        self._last = last
        self._line: _Line[T] | None = None
        self._lock = threading.Lock()
        self.removed = False
        """It has raised."""

    def put(self, value: T) -> None:
        """Does not wait for the callback, and never raises. From any thread."""
        if self.removed:
            return
        line = self._line or self._start()
        if line is None:
            return
        if len(line.pending) >= MOST_PENDING and line.next() is not None:
            self._lost(TOO_BUSY)
        line.pending.append(value)
        line.bell.set()

    def stop(self, patience_s: float = _STOP_S) -> None:
        """Ends the thread after what is pending, or after `patience_s` without it. `put` begins anew."""
        line, self._line = self._line, None
        if line is None:
            return
        line.ends = True
        line.bell.set()
        if line.thread is threading.current_thread():
            return
        line.thread.join(patience_s)
        if line.thread.is_alive():
            while line.next() is not None:
                self._lost(TOO_BUSY)

    def forget(self) -> None:
        """In a forked child, where the thread is not, and the parent's news are nobody's."""
        self._line = None
        self._lock = threading.Lock()

    def _start(self) -> _Line[T] | None:
        with self._lock:
            if self._line is not None:
                return self._line
            line: _Line[T] = _Line()
            line.thread = threading.Thread(
                target=self._run, args=(line,), name="unstall-callback", daemon=True
            )
            try:
                line.thread.start()
            except RuntimeError as error:  # no more threads, or the interpreter is shutting down
                self._remove(error)
                return None
            self._line = line
            return line

    def _run(self, line: _Line[T]) -> None:
        try:
            pause: float | None = None
            while True:
                line.bell.wait(pause)
                line.bell.clear()
                ends = line.ends
                while (value := line.next()) is not None:
                    self._hook(value)
                if ends:
                    self._last()
                    return
                pause = self._idle()
        except BaseException as error:
            self._remove(error)

    def _remove(self, error: BaseException) -> None:
        self.removed = True
        self._lost(f"listener removed after {type(error).__name__}")


class _Line(Generic[T]):
    """What is shared with one thread, from its beginning to its end."""

    def __init__(self) -> None:
        self.thread: threading.Thread
        self.pending: deque[T] = deque()
        self.bell = threading.Event()
        self.ends = False

    def next(self) -> T | None:
        """Taken from both ends of the line at once, so one of them may find it empty."""
        try:
            return self.pending.popleft()
        except IndexError:
            return None


Hook = Callable[[Stall, Any], None]
"""Is given a stall, and what its reader read in the context of the step that is to blame; None if nothing."""


@dataclass(frozen=True, slots=True)
class _Subscription:
    hook: object
    read: Reader | None
    worker: Worker[tuple[Stall, Any]]


class Callbacks:
    """Who wants to hear of stalls. Told by the watchdog, changed from any thread."""

    def __init__(self, carried: Carried, lost: Callable[[str], None]) -> None:
        self._carried = carried
        self._lost = lost
        self._subscriptions: tuple[_Subscription, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._subscriptions)

    def add(
        self,
        hook: Hook,
        read: Reader | None = None,
        *,
        idle: Callable[[], float | None] = lambda: None,
        last: Callable[[], None] = lambda: None,
    ) -> None:
        def call(told: tuple[Stall, Any]) -> None:
            hook(*told)

        worker = Worker(call, self._lost, idle=idle, last=last)
        if read is not None:
            self._carried.add(read)
        self._subscriptions = (*self._subscriptions, _Subscription(hook, read, worker))

    def remove(self, hook: Hook) -> None:
        """The last words to it may still be under way for a second."""
        gone = [each for each in self._subscriptions if each.hook == hook]
        self._subscriptions = tuple(each for each in self._subscriptions if each not in gone)
        for each in gone:
            if each.read is not None:
                self._carried.remove(each.read)
            each.worker.stop()

    def tell(self, stall: Stall, where: Where | None) -> None:
        for each in self._subscriptions:
            if each.worker.removed:
                self._subscriptions = tuple(s for s in self._subscriptions if s is not each)
                continue
            read = self._carried.read(where, each.read) if each.read and where else None
            each.worker.put((stall, read))

    def stop(self) -> None:
        """Each callback is given a second to hear the rest; those who subscribed stay so."""
        for each in self._subscriptions:
            each.worker.stop()

    def forget(self) -> None:
        for each in self._subscriptions:
            each.worker.forget()
