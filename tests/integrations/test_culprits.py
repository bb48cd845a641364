"""Who held a loop between two moments."""

from __future__ import annotations

import asyncio
import time

from tests.support.gates import until
from unstall import Monitor, Settings
from unstall.integrations.culprits import Culprits, told
from unstall.model.finding import Cause
from unstall.testing import DUE_MS, ns_of, stall


def test_the_longest_stall_of_that_time_is_told() -> None:
    culprits = Culprits()
    culprits._hear(stall(held_ms=100), None)
    culprits._hear(stall(held_ms=500, cause=Cause.PAUSED), None)
    begun, over = ns_of(DUE_MS), ns_of(DUE_MS + 100)
    name = "by requests.get at shop/billing.py:31 in Billing.charge (waiting)"
    assert culprits.between(begun, over) == name
    assert culprits.between(over + 1, over + 2) is None
    assert culprits.between(0, begun - 1) is None


def test_what_goes_on_is_told_until_it_is_known_to_be_over() -> None:
    from dataclasses import replace

    culprits = Culprits()
    culprits._hear(replace(stall(held_ms=50), ongoing=True), None)
    later = ns_of(DUE_MS + 400)
    assert culprits.between(later, later) is not None
    culprits._hear(stall(held_ms=60), None)
    assert culprits.between(later, later) is None


def test_a_stall_without_a_site_is_told_by_its_cause() -> None:
    from dataclasses import replace

    unknown = replace(stall(cause=Cause.STARVED, because="no CPU"), site=None)
    assert told(unknown) == "by starved: no CPU"


def test_a_monitor_that_begins_later_is_heard_when_it_is_asked_next() -> None:
    culprits = Culprits()
    culprits.listen()

    async def block() -> None:
        await asyncio.sleep(0.05)
        time.sleep(0.3)
        await asyncio.sleep(0.05)

    with Monitor(Settings(threshold_ms=50, measure=False)):
        culprits.listen()
        culprits.listen()
        begun = time.monotonic_ns()
        asyncio.run(block())
        until(lambda: culprits.between(begun, time.monotonic_ns()))
    found = culprits.between(begun, time.monotonic_ns())
    assert found is not None
    assert found.startswith("by time.sleep at tests/integrations/test_culprits.py:")
