"""`offload`, and what lanes publish."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from tests.lanes.work import Hang, double, pid
from unstall import Lane, LaneFull, offload
from unstall.lanes.offload import cpu_lane, io_lane
from unstall.meters import METERS
from unstall.model.metric import Family


def test_a_call_goes_to_a_thread_and_computing_to_a_process() -> None:
    async def main() -> None:
        assert await offload(threading.get_ident) != threading.get_ident()
        assert await offload(pid) == os.getpid()
        assert await offload(pid, cpu=True) != os.getpid()
        assert await offload(double, 4, cpu=True) == 8
        assert await offload(int, "ff", base=16) == 255

    asyncio.run(main())
    assert (io_lane().name, cpu_lane().name) == ("io", "cpu")
    assert io_lane() is io_lane()
    cpu_lane().resize(processes=1)


def family(name: str) -> Family:
    return next(each for each in METERS.families() if each.name == f"unstall_lane_{name}")


def value(name: str, lane: str) -> float:
    return next((s.value for s in family(name).samples if s.labels == (lane,)), 0.0)


def count(name: str, lane: str) -> int:
    return next((sum(s.buckets) for s in family(name).samples if s.labels == (lane,)), 0)


def test_lanes_publish_what_happens_in_them() -> None:
    hang = Hang()
    name = "published"

    async def main() -> None:
        with Lane(name, threads=1, queue=1, queue_timeout=20) as lane:
            running = asyncio.create_task(lane.run(hang))
            while not hang.entered:
                await asyncio.sleep(0.001)
            waiting = asyncio.create_task(lane.run(len, ""))
            while not lane.reading().queued:
                await asyncio.sleep(0.001)
            with pytest.raises(LaneFull):
                await lane.run(len, "")
            assert (value("running", name), value("queue", name)) == (1, 1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert (value("running", name), value("abandoned", name)) == (0, 1)
            hang.release()
            await waiting
            assert (value("running", name), value("abandoned", name)) == (0, 0)
            assert value("rejected_total", name) == 1
            assert count("wait_seconds", name) == count("work_seconds", name) == 2

    asyncio.run(main())
    assert value("deadline_total", name) == 0


def test_every_metric_of_lanes_is_there_before_anything_happens() -> None:
    names = {each.name.removeprefix("unstall_lane_") for each in METERS.families()}
    expected = "queue running abandoned wait_seconds work_seconds rejected_total deadline_total"
    assert names >= set(expected.split())
