"""Rule US405 at run time: who holds a slot of a pool and asks for another, and who only seems to."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.gates.test_registry import KIND, Pool, Rig, used
from unstall.gates.flow import FLOW, HOP, Flow
from unstall.gates.gate import Kind, Reading
from unstall.gates.nested import Nested, finding_of
from unstall.integrations.sighting import waits_for
from unstall.model.finding import Confidence, Severity, Site


class Seer(Rig):
    def __init__(self, kind: Kind = KIND) -> None:
        super().__init__(kind)
        self.seen: list[Nested] = []
        self.registry.on_nested = self.seen.append
        self.registry.waits_for = waits_for

    @contextmanager
    def slot_of(self, pool: Pool) -> Iterator[None]:
        slot = object()
        while (loan := self.gate.ask(pool)) is True:
            pass  # only a slot that was looked at counts
        self.gate.given(loan, slot)
        pool.lent += 1
        try:
            yield
        finally:
            pool.lent -= 1
            self.gate.released(slot)


@pytest.fixture(params=["calm", "rush"])
def rig(request: pytest.FixtureRequest) -> Iterator[Seer]:
    """A rush makes most askings go by unseen, but none that may be nested."""
    rig = Seer()
    if request.param == "rush":
        contextvars.Context().run(used, rig, 20_000, 0.0001)
        assert rig.registry.thinning.every > 100
        rig.pool = Pool()
    yield rig
    assert rig.broken == []


def test_two_slots_in_one_task_are_seen_at_the_asking(rig: Seer) -> None:
    pool = Pool()

    async def request() -> None:
        with rig.slot_of(pool):
            rig.pass_s(0.5)
            rig.gate.ask(pool)

    asyncio.run(request())
    (nested,) = rig.seen
    assert (nested.limit, nested.used, nested.held_ns) == (2, 1, 500_000_000)
    assert nested.certain
    assert nested.on_loop
    assert not nested.full


def test_two_slots_one_after_the_other_are_fine(rig: Seer) -> None:
    pool = Pool()

    async def request() -> None:
        for _ in range(3):
            with rig.slot_of(pool):
                await asyncio.sleep(0)

    asyncio.run(request())
    assert rig.seen == []


def test_slots_of_two_pools_are_fine(rig: Seer) -> None:
    orders, users = Pool(), Pool()

    async def request() -> None:
        with rig.slot_of(orders), rig.slot_of(users):
            await asyncio.sleep(0)

    asyncio.run(request())
    assert rig.seen == []


def test_another_request_may_hold_one(rig: Seer) -> None:
    pool = Pool()

    async def request() -> None:
        with rig.slot_of(pool):
            await asyncio.sleep(0.01)

    async def main() -> None:
        await asyncio.gather(*(request() for _ in range(5)))

    asyncio.run(main())
    assert rig.seen == []


def test_siblings_of_one_request_do_not_wait_for_each_other(rig: Seer) -> None:
    pool = Pool()

    async def child() -> None:
        with rig.slot_of(pool):
            await asyncio.sleep(0.01)

    async def request() -> None:
        with rig.slot_of(pool):  # so that children inherit this flow
            pass
        await asyncio.gather(child(), child())
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            group.create_task(child())

    asyncio.run(request())
    assert rig.seen == []


async def _awaited(child: Callable[[], Awaitable[None]]) -> None:
    await asyncio.ensure_future(child())


async def _gathered(child: Callable[[], Awaitable[None]]) -> None:
    await asyncio.gather(child(), asyncio.sleep(0))


async def _grouped(child: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(child())  # type: ignore[arg-type]


async def _timed(child: Callable[[], Awaitable[None]]) -> None:
    await asyncio.wait_for(child(), 5)


async def _twice(child: Callable[[], Awaitable[None]]) -> None:
    await asyncio.gather(_grouped(child))


@pytest.mark.parametrize("wait", [_awaited, _gathered, _grouped, _timed, _twice])
def test_a_parent_that_holds_a_slot_and_waits_for_a_child_that_asks_is_seen(
    rig: Seer, wait: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
) -> None:
    pool = Pool()

    async def child() -> None:
        await asyncio.sleep(0)  # by now the parent waits
        rig.gate.refused(rig.gate.ask(pool), ValueError(), pool)

    async def request() -> None:
        with rig.slot_of(pool):
            await wait(child)

    asyncio.run(request())
    (nested,) = rig.seen
    assert nested.certain


def test_a_child_that_asks_again_and_again_is_seen_each_time(rig: Seer) -> None:
    pool = Pool()

    async def child() -> None:
        await asyncio.sleep(0)
        for _ in range(3):
            rig.gate.refused(rig.gate.ask(pool), ValueError(), pool)

    async def request() -> None:
        with rig.slot_of(pool):
            await _awaited(child)

    asyncio.run(request())
    (gate,) = [seen for seen in rig.registry.statistics() if seen.acquired]
    assert gate.nested == 3


def test_a_thread_that_works_for_a_task_that_holds_a_slot_is_seen(rig: Seer) -> None:
    pool = Pool()

    def work(flow: Flow | None) -> None:
        HOP.set(flow)
        rig.gate.refused(rig.gate.ask(pool), ValueError(), pool)

    async def request() -> None:
        with rig.slot_of(pool):
            await asyncio.get_running_loop().run_in_executor(None, work, FLOW.get())

    asyncio.run(request())
    assert len(rig.seen) == 1


def test_a_parent_that_does_not_wait_for_its_child_is_fine(rig: Seer) -> None:
    pool = Pool()

    async def child() -> None:
        with rig.slot_of(pool):
            await asyncio.sleep(0)

    async def request() -> None:
        with rig.slot_of(pool):
            kept = asyncio.create_task(child())
            await asyncio.sleep(0.01)
        await kept

    asyncio.run(request())
    assert rig.seen == []


def test_a_slot_that_the_parent_has_returned_is_no_matter(rig: Seer) -> None:
    pool = Pool()

    async def child() -> None:
        await asyncio.sleep(0.01)
        with rig.slot_of(pool):
            pass

    async def request() -> None:
        with rig.slot_of(pool):
            kept = asyncio.create_task(child())
        await kept

    asyncio.run(request())
    assert rig.seen == []


def test_two_slots_in_a_plain_thread_are_likely(rig: Seer) -> None:
    pool = Pool()

    def work() -> None:
        with rig.slot_of(pool):
            rig.gate.ask(pool)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    (nested,) = rig.seen
    assert not nested.certain
    assert not nested.on_loop


def test_two_threads_that_inherit_one_context_are_two(rig: Seer) -> None:
    pool, both = Pool(), threading.Barrier(2)

    def work() -> None:
        with rig.slot_of(pool):
            both.wait(10)

    async def request() -> None:
        with rig.slot_of(pool):
            pass
        await asyncio.gather(asyncio.to_thread(work), asyncio.to_thread(work))

    asyncio.run(request())
    assert rig.seen == []


def test_a_callback_has_no_flow_of_its_own(rig: Seer) -> None:
    pool = Pool()

    def take(slot: object) -> None:
        rig.gate.given(rig.gate.ask(pool), slot)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        slots = object(), object()
        for slot in slots:
            loop.call_soon(take, slot, context=context)
        await asyncio.sleep(0.01)
        for slot in slots:
            rig.gate.released(slot)

    asyncio.run(main())
    assert rig.seen == []


@pytest.mark.parametrize(
    "reading", [Reading(None, 0, 1), Reading(5, 0, 1, waits=False)], ids=["no limit", "refuses"]
)
def test_a_pool_in_which_nobody_waits_cannot_deadlock(reading: Reading) -> None:
    rig = Seer(Kind("test", lambda p: p, lambda p: "shop", lambda p: reading, KIND.timed_out))
    pool = Pool()

    async def request() -> None:
        with rig.slot_of(pool), rig.slot_of(pool):
            pass

    asyncio.run(request())
    assert rig.seen == []
    assert rig.registry.statistics()[0].nested == 0


def test_a_site_is_told_once_and_again_when_it_must_wait(rig: Seer) -> None:
    pool = Pool()
    pool.limit = 2

    async def request() -> None:
        with rig.slot_of(pool), rig.slot_of(pool):
            await asyncio.sleep(0.01)

    async def main() -> None:
        for _ in range(3):
            await request()
        await asyncio.gather(request(), request())

    asyncio.run(main())
    assert [nested.full for nested in rig.seen] == [False, True]
    assert rig.registry.statistics()[0].nested == 5


def test_the_finding_says_the_pool_its_size_since_when_and_where(rig: Seer) -> None:
    pool = Pool()
    pool.limit = 1

    async def request() -> None:
        with rig.slot_of(pool):
            rig.pass_s(1.5)
            rig.gate.ask(pool)

    asyncio.run(request())
    first = Site("app/orders.py", 31, "create", "pool.acquire")
    second = Site("app/audit.py", 8, "write", "pool.fetch")
    finding = finding_of(rig.seen[0], first, second, None, ())
    assert (finding.code, finding.severity) == ("US405", Severity.ERROR)
    assert finding.confidence is Confidence.CERTAIN
    assert finding.site == second
    assert finding.evidence[0].because == (
        "it has held the only slot of shop for 1500.0 ms, taken at app/orders.py:31 in create, "
        "and asks for another while none is free"
    )


def test_a_finding_is_a_warning_while_slots_are_free(rig: Seer) -> None:
    pool = Pool()
    pool.limit = 5

    async def request() -> None:
        with rig.slot_of(pool):
            rig.gate.ask(pool)

    asyncio.run(request())
    finding = finding_of(rig.seen[0], None, None, None, ())
    assert finding.severity is Severity.WARNING
    because = finding.evidence[0].because or ""
    assert because.startswith("it has held 1 of 5 slots of shop for ")
    assert because.endswith("and asks for another while 4 were free")
