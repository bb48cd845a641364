"""How a call goes through a lane: from the loop to a thread and back, or away.

Three things hold whatever happens. A slot is held until the work has really ended. A caller never waits
beyond its limits. A call that was refused was not begun.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from unstall.clock import NS_PER_S
from unstall.errors import LaneBroken, LaneClosed, LaneDeadline, LaneTimeout, UsageError
from unstall.lanes.crew import Crew
from unstall.lanes.jobs import CLOSED, LATE, LEFT, RUNNING, Job, module_of, name_of
from unstall.lanes.limits import Backend, Limits
from unstall.lanes.metrics import LANES
from unstall.lanes.processes import ProcessWorker
from unstall.lanes.slots import Slots
from unstall.lanes.statistics import Durations
from unstall.lanes.tickets import ticket
from unstall.lanes.workers import InterpreterWorker, NoWorker, ThreadWorker, Worker

clock = time.monotonic_ns


class Calls:
    """The engine of one lane."""

    def __init__(self, name: str, backend: Backend, limits: Limits) -> None:
        self.modules: set[str] = set()
        """What processes import before their first call."""
        self.slots = Slots(name, limits, clock)
        self.crew = Crew(name, _maker(name, backend, self.modules), limits.workers)
        self.durations = Durations(name)
        self.name = name
        self._backend = backend
        weakref.finalize(self, self.crew.resize, 0).atexit = False
        LANES.add(self)

    def job(self, function: Callable[..., Any], /, *args: Any, **named: Any) -> Job:
        return Job(function, args, named, ticket(), clock(), self.slots.limits)

    async def take(self, job: Job) -> Any:
        """What it returns or raises, once it has had a slot."""
        await checkpoint_if_cancelled()
        self.submit(job)
        return await self.answer(job)

    def start_if_free(self, function: Callable[..., Any], *args: Any) -> Job | None:
        """None if there was no slot for it right now."""
        job = self.job(function, *args)
        if not self.slots.enter_if_free(job):
            return None
        self._hand(job)
        return job

    def start(self, function: Callable[..., Any], *args: Any) -> Job:
        """As the first half of `take`; `answer` is the second."""
        job = self.job(function, *args)
        self.submit(job)
        return job

    def leave(self, job: Job) -> None:
        """Nobody takes its result any more."""
        if not self.slots.leave(job) and job.undo is not None:
            self.clean(job.undo, job.result)

    def clean(self, function: Callable[..., Any], *args: Any) -> None:
        """Done on a thread of the lane beside its slots, and not waited for."""
        self._beside(Job(function, args, {}, None, clock(), None))

    async def cleaned(self, function: Callable[..., Any], *args: Any) -> Any:
        """As `clean`, waited for whatever happens to the caller's scope.

        It takes no slot: what it gives back may be what those in the slots are waiting for.
        """
        job = Job(function, args, {}, ticket(), clock(), None)
        self._beside(job)
        with anyio.CancelScope(shield=True):
            return await self.answer(job)

    def _beside(self, job: Job) -> None:
        self.slots.enter_aside(job)
        self._hand(job)

    def submit(self, job: Job) -> None:
        if self.slots.enter(job):
            self._hand(job)

    def _hand(self, job: Job) -> None:
        try:
            self.crew.hand((self._perform, job), self.slots.needed)
        except LaneBroken as error:
            nobody = NoWorker(error)
            following: Job | None = job
            while following is not None:  # those who wait behind it have no thread either
                following = self._perform(following, nobody)

    def _perform(self, job: Job, worker: Worker) -> Job | None:
        """On a thread of the crew. Returns the call that has its slot now."""
        slots = self.slots
        if not slots.begin(job, worker):
            return slots.end(job)
        try:
            job.result = worker.call(job)
        except BaseException as error:  # it is the caller's
            job.error = error
        if not job.aside:
            self.durations.add(job.begun_ns - job.asked_ns, clock() - job.begun_ns)
        if job.undo is not None and not slots.delivered(job):
            try:
                job.undo(job.result)
            except BaseException:  # nobody is there to be told
                pass
        following = slots.end(job)
        if job.state == LEFT:
            job.result = job.error = None
        elif job.ticket is not None:
            job.ticket.tell()
        return following

    async def answer(self, job: Job) -> Any:
        assert job.ticket is not None
        try:
            if job.give_up_ns is None:
                await job.ticket.told(None)
            else:
                await self._in_time(job)
        except BaseException:  # cancelled: the caller goes on, the slot stays held
            self.leave(job)
            raise
        if job.state == LATE:
            raise self._timeout(job)
        if job.state == LEFT:
            raise self._deadline(job)
        if job.state == CLOSED:
            raise LaneClosed(f"the lane {self.name!r} was closed while a call waited", self.name)
        error = job.error
        if error is not None:
            job.error = None
            try:
                raise error
            finally:
                del error, job
        return job.result

    async def _in_time(self, job: Job) -> None:
        """Until it has ended, or its time is over."""
        assert job.ticket is not None
        while True:
            until = job.due_ns if job.state == RUNNING else job.give_up_ns
            within = None if until is None else max(0, until - clock())
            if await job.ticket.told(within) or self.slots.too_late(job):
                return

    def _timeout(self, job: Job) -> LaneTimeout:
        waited = (clock() - job.asked_ns) / NS_PER_S
        return LaneTimeout(
            f"no slot of the lane {self.name!r} came free for {name_of(job.function)} in {waited:.2f} s, "
            "so it was not begun; try again later",
            self.name,
            self.slots.retry_after(),
        )

    def _deadline(self, job: Job) -> LaneDeadline:
        took = (clock() - job.asked_ns) / NS_PER_S
        if self._backend is Backend.PROCESSES:
            fate = "its process was ended"
        else:
            fate = "it goes on in its thread, which keeps the slot"
        return LaneDeadline(
            f"{name_of(job.function)} did not end within the deadline of the lane {self.name!r} "
            f"({took:.2f} s since the call): {fate}",
            self.name,
            self.slots.retry_after(),
        )

    def needs_threads(self, what: str) -> None:
        """Raises UsageError where there are none."""
        if self._backend is not Backend.THREADS:
            raise UsageError(
                f"lane.{what} needs threads, and the lane {self.name!r} has {self._backend}: "
                "an open generator cannot go to another interpreter"
            )

    def needs(self, function: Callable[..., Any]) -> None:
        """So that a process has imported its module before the first call."""
        self.modules.add(module_of(function))

    def resize(self, limits: Limits) -> None:
        for job in self.slots.resize(limits):
            self._hand(job)
        self.crew.resize(limits.workers)

    def close(self) -> None:
        self.slots.close()
        self.crew.resize(0)

    def forked(self) -> None:
        """In a child of `fork`."""
        self.slots.forked()
        self.crew.forked()
        self.durations.forked()


def _maker(name: str, backend: Backend, modules: set[str]) -> Callable[[], Worker]:
    if backend is Backend.PROCESSES:
        return lambda: ProcessWorker(name, modules)
    if backend is Backend.INTERPRETERS:
        return lambda: InterpreterWorker(name)
    return ThreadWorker
