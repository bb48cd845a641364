"""Subinterpreters, where this Python has them."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.util import find_spec

import pytest

from tests.lanes import work
from unstall import Lane
from unstall.errors import LaneBroken, UsageError

PRESENT = sys.version_info >= (3, 13) and find_spec("anyio.to_interpreter") is not None


@pytest.mark.skipif(PRESENT, reason="this Python has subinterpreters")
def test_where_there_are_none_the_lane_says_so_in_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"has no subinterpreters .* give the lane processes"):
        Lane("numbers", interpreters=2)


@pytest.mark.skipif(not PRESENT, reason="this Python has no subinterpreters")
def test_work_is_done_in_this_process_and_another_interpreter() -> None:
    async def main() -> None:
        with Lane("numbers", interpreters=1) as lane:
            assert await lane.run(work.pid) == os.getpid()
            assert await lane.run(work.double, 21) == 42
            assert not await lane.run(work.imported, "pytest")
            with pytest.raises(ValueError, match="broken"):
                await lane.run(work.fail, "broken")
            with pytest.raises(LaneBroken, match="cannot be pickled"):
                await lane.run(work.unpicklable)
            with pytest.raises(UsageError, match="cannot be pickled"):
                await lane.run(lambda: 1)

    asyncio.run(main())
