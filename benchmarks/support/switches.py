"""What one turn of a task costs: `await asyncio.sleep(0)`, many times, under one tool.

python -m benchmarks.support.switches TOOL LOOP TURNS [CORE]     prints microseconds a turn
"""

from __future__ import annotations

import asyncio
import sys
import time

import uvloop
from fastapi import FastAPI

from benchmarks.support.machine import pin
from benchmarks.support.tools import TOOLS


async def turn(tool: str, turns: int) -> float:
    TOOLS[tool](FastAPI()).started()

    async def spin(times: int) -> int:
        for _ in range(times):
            await asyncio.sleep(0)
        return time.thread_time_ns()

    await asyncio.create_task(spin(turns // 10))
    before = time.thread_time_ns()
    return (await asyncio.create_task(spin(turns)) - before) / turns / 1e3


def main(tool: str, loop: str, turns: int, core: int | None) -> None:
    pin(core)
    run = uvloop.run if loop == "uvloop" else asyncio.run
    print(run(turn(tool, turns)))


if __name__ == "__main__":
    core_given = int(sys.argv[4]) if len(sys.argv) > 4 else None
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), core_given)
