"""The threads of one lane. They know the crew and the call they do, not the lane, which may be collected."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from unstall.errors import LaneBroken
from unstall.lanes.jobs import Job
from unstall.lanes.workers import Worker

Order = tuple[Callable[[Job, Worker], "Job | None"], Job]
"""A call, and how to do it; that returns the call which follows on the same slot."""


_LOOK: Final = None
"""In the place of an order: see whether you are one too many."""


class Crew:
    def __init__(self, name: str, make: Callable[[], Worker], most: int) -> None:
        self.most = most
        """Threads beyond this end when they have nothing to do."""
        self._name = name
        self._make = make
        self._lock = threading.RLock()  # a collection in the middle may call `resize`
        self._inbox: SimpleQueue[Order | None] = SimpleQueue()
        self._alive = 0
        self._started = 0
        self.warming = 0
        """Threads that get their workers ready for the first time."""
        self._workers: set[Worker] = set()

    def hand(self, order: Order, needed: int) -> None:
        """Has a thread do it, and sees to it that `needed` live. Raises LaneBroken if none does."""
        with self._lock:
            if self._alive < needed:
                self._grow(needed)
            self._inbox.put(order)

    def fill(self) -> None:
        """Starts every thread there may be. Raises LaneBroken."""
        with self._lock:
            self._grow(self.most)

    def resize(self, most: int) -> None:
        """Threads beyond `most` end once they have nothing to do."""
        with self._lock:
            self.most = most
            if self._alive > most:
                self._inbox.put(_LOOK)

    def forked(self) -> None:
        """In a child of `fork` the threads are gone."""
        for worker in list(self._workers):
            worker.forked()
        self._workers = set()
        self._lock = threading.RLock()
        self._inbox = SimpleQueue()
        self._alive = self.warming = 0

    # --- the threads --------------------------------------------------------------------------

    def _grow(self, count: int) -> None:
        while self._alive < count:
            name = f"lane {self._name} {self._started}"
            self.warming += 1
            try:
                threading.Thread(target=self._serve, name=name, daemon=True).start()
            except RuntimeError as error:
                self.warming -= 1
                if not self._alive:
                    raise LaneBroken(
                        f"the lane {self._name!r} has no thread and cannot start one ({error})",
                        self._name,
                    ) from error
                return  # those that live will do it, later
            self._alive += 1
            self._started += 1

    def _serve(self) -> None:
        worker = self._make()
        self._workers.add(worker)
        inbox = self._inbox
        _prepare(worker)
        with self._lock:
            self.warming -= 1
        try:
            while True:
                order = inbox.get()
                if order is not _LOOK:
                    perform, job = order
                    following: Job | None = job
                    while following is not None:
                        following = perform(following, worker)
                        _prepare(worker)
                    del perform, job, following
                del order
                if self._alive > self.most and self._superfluous():
                    return
        finally:
            self._workers.discard(worker)
            worker.close()

    def _superfluous(self) -> bool:
        """Whether this thread may end: who was handed something counts on it. One takes the next along."""
        with self._lock:
            if self._alive <= self.most or not self._inbox.empty():
                return False
            self._alive -= 1
            if self._alive > self.most:
                self._inbox.put(_LOOK)
            return True


def _prepare(worker: Worker) -> None:
    try:
        worker.ready()
    except Exception:  # the next call tries again, and says so
        pass
