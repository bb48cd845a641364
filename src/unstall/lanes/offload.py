"""`offload`: two lanes for those who do not want to name any."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from unstall.lanes.lane import Lane
from unstall.lanes.limits import cores

T = TypeVar("T")

_IO_THREADS = 32
_IO_QUEUE = 256
_CPU_QUEUE = 64
_lanes: dict[str, Lane] = {}
_lock = threading.Lock()


async def offload(function: Callable[..., T], /, *args: Any, cpu: bool = False, **kwargs: Any) -> T:
    """Runs a blocking function off the loop: in the lane `io` of threads, or `cpu` of processes.

    Their sizes are set as those of any lane: `UNSTALL_LANE_IO_THREADS`, `[tool.unstall.lanes.cpu]`.
    """
    return await (cpu_lane() if cpu else io_lane()).run(function, *args, **kwargs)


def io_lane() -> Lane:
    """For calls that wait: 32 threads, and 256 calls that wait for one."""
    return _lane("io", lambda: Lane("io", threads=_IO_THREADS, queue=_IO_QUEUE))


def cpu_lane() -> Lane:
    """For calls that compute: a process for each core but one, which is the loop's."""
    return _lane("cpu", lambda: Lane("cpu", processes=max(1, cores() - 1), queue=_CPU_QUEUE))


def _lane(name: str, make: Callable[[], Lane]) -> Lane:
    found = _lanes.get(name)
    if found is None:
        with _lock:
            found = _lanes.get(name)
            if found is None:
                found = _lanes[name] = make()
    return found
