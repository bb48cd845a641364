"""Who works, waits and is refused, whatever the order of events: no slot is ever lost."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from unstall.errors import LaneClosed, LaneFull, LaneStuck
from unstall.lanes.jobs import ASSIGNED, DONE, LATE, LEFT, RUNNING, WAITING, Job
from unstall.lanes.limits import Limits
from unstall.lanes.slots import Slots
from unstall.lanes.workers import ThreadWorker


class Told:
    """A ticket that nobody awaits."""

    def __init__(self) -> None:
        self.times = 0

    def tell(self) -> None:
        self.times += 1

    async def told(self, within_ns: int | None) -> bool:
        return self.times > 0


class Model(RuleBasedStateMachine):
    """Callers come, leave and run out of time; threads begin and end; an operator resizes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1
        self.limits = Limits(2, 2, 50, 20)
        self.slots = Slots("model", self.limits, lambda: self.now)
        self.callers: list[Job] = []
        """All that were let in, in order."""
        self.assigned: list[Job] = []
        self.begun: list[Job] = []
        self.asides = 0

    # --- callers ------------------------------------------------------------------------------

    @rule()
    def ask(self) -> None:
        job = Job(len, (), {}, Told(), self.now, self.limits)
        reading = self.slots.reading()
        try:
            has_slot = self.slots.enter(job)
        except LaneStuck:
            assert len(reading.left) >= self.limits.workers
            return
        except LaneFull:
            assert reading.held >= self.limits.workers
            assert reading.queued >= self.limits.queue
            return
        self.callers.append(job)
        assert has_slot == (reading.held < self.limits.workers)
        if has_slot:
            self.assigned.append(job)

    @rule()
    def ask_if_free(self) -> None:
        job = Job(len, (), {}, Told(), self.now, self.limits)
        free = self.slots.reading().held < self.limits.workers
        assert self.slots.enter_if_free(job) == free
        if free:
            self.callers.append(job)
            self.assigned.append(job)

    @rule()
    def clean_up(self) -> None:
        job = Job(len, (), {}, None, self.now, None)
        self.slots.enter_aside(job)
        self.assigned.append(job)

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.callers))
        before = job.state
        self.slots.leave(job)
        if before in (WAITING, ASSIGNED, RUNNING):
            assert job.state == LEFT
        else:
            assert job.state == before

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def look_at_the_clock(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.callers))
        before = job.state
        late = self.slots.too_late(job)
        if before in (WAITING, ASSIGNED):
            assert late == (job.give_up_ns is not None and self.now >= job.give_up_ns)
            assert job.state == (LATE if late else before)
        elif before == RUNNING:
            assert late == (job.due_ns is not None and self.now >= job.due_ns)
            assert job.state == (LEFT if late else before)
        else:
            assert not late

    # --- threads ------------------------------------------------------------------------------

    @precondition(lambda self: self.assigned)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.assigned))
        self.assigned.remove(job)
        wanted = job.state == ASSIGNED
        assert self.slots.begin(job, ThreadWorker()) == wanted
        if wanted:
            self.begun.append(job)
        else:
            self.over(job)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.begun))
        self.begun.remove(job)
        self.over(job)
        assert job.state in (DONE, LEFT)

    def over(self, job: Job) -> None:
        following = self.slots.end(job)
        if following is not None:
            assert following.state == ASSIGNED
            self.assigned.append(following)

    # --- time and the operator ----------------------------------------------------------------

    @rule(ns=st.integers(1, 40))
    def wait(self, ns: int) -> None:
        self.now += ns

    @rule(workers=st.integers(1, 4), queue=st.integers(0, 4))
    def resize(self, workers: int, queue: int) -> None:
        self.limits = Limits(workers, queue, 50, 20)
        self.assigned.extend(self.slots.resize(self.limits))

    # --- what always holds --------------------------------------------------------------------

    @invariant()
    def every_slot_is_held_by_work_that_has_not_ended(self) -> None:
        under_way = [*self.assigned, *self.begun]
        assert self.slots.reading().held == sum(not job.aside for job in under_way)
        assert self.slots.needed == len(under_way)

    @invariant()
    def nobody_waits_while_a_slot_is_free(self) -> None:
        reading = self.slots.reading()
        assert not reading.queued or reading.held >= self.limits.workers
        assert reading.queued == sum(job.state == WAITING for job in self.callers)

    @invariant()
    def the_abandoned_are_those_that_run_and_whose_caller_has_gone(self) -> None:
        gone = {job for job in self.begun if job.state == LEFT and not job.aside}
        assert set(self.slots.reading().left) == gone

    @invariant()
    def a_retry_is_advised_within_a_minute(self) -> None:
        assert 1 <= self.slots.retry_after() <= 60

    def teardown(self) -> None:
        """When all has ended, all is as at the beginning."""
        self.slots.close()
        while self.assigned or self.begun:
            job = (self.begun or self.assigned).pop()
            self.over(job)
        reading = self.slots.reading()
        assert (reading.held, reading.queued, reading.left, self.slots.needed) == (0, 0, (), 0)
        try:
            self.slots.enter(Job(len, (), {}, Told(), self.now, self.limits))
        except LaneClosed:
            return
        raise AssertionError("a closed lane took a call")


TestSlots = Model.TestCase
TestSlots.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
