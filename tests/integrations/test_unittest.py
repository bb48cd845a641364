"""The mixin for unittest, in plain and asynchronous test cases."""

from __future__ import annotations

import asyncio
import time
import unittest

import pytest

from unstall.errors import UsageError
from unstall.integrations.unittest import TrapMixin


async def nap() -> None:
    time.sleep(0.0001)


class Plain(TrapMixin, unittest.TestCase):
    __test__ = False  # pytest would collect it as well, and some of it is meant to fail

    def setUp(self) -> None:
        asyncio.run(nap())

    def tearDown(self) -> None:
        asyncio.run(nap())

    def test_fine(self) -> None:
        asyncio.run(asyncio.sleep(0))

    def test_blocks(self) -> None:
        asyncio.run(nap())

    def test_fails_by_itself(self) -> None:
        asyncio.run(nap())
        self.fail("by itself")


class Asynchronous(TrapMixin, unittest.IsolatedAsyncioTestCase):
    __test__ = False

    async def asyncSetUp(self) -> None:
        await nap()

    async def test_fine(self) -> None:
        await asyncio.sleep(0)

    async def test_blocks(self) -> None:
        await nap()


class Ignoring(Asynchronous):
    unstall_ignore = ("US101",)


def failures_of(case: type[unittest.TestCase]) -> dict[str, str]:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.errors == []
    return {test.id().rpartition(".")[2]: said for test, said in result.failures}


def test_a_test_method_that_blocks_fails_and_its_set_up_may() -> None:
    failures = failures_of(Plain)
    assert set(failures) == {"test_blocks", "test_fails_by_itself"}
    assert "US101  a synchronous sleep on the event loop" in failures["test_blocks"]
    assert "by itself" in failures["test_fails_by_itself"]


def test_asynchronous_test_cases_alike() -> None:
    assert set(failures_of(Asynchronous)) == {"test_blocks"}


def test_a_test_case_says_what_it_ignores() -> None:
    assert failures_of(Ignoring) == {}


def test_bases_the_wrong_way_round_are_refused() -> None:
    """Else it would trap nothing and pass."""
    with pytest.raises(UsageError, match="Wrong has TrapMixin behind IsolatedAsyncioTestCase"):

        class Wrong(unittest.IsolatedAsyncioTestCase, TrapMixin): ...

    class Base(TrapMixin, unittest.TestCase): ...

    with pytest.raises(UsageError, match="write TrapMixin first"):

        class AlsoWrong(unittest.IsolatedAsyncioTestCase, Base): ...
