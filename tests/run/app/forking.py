"""Forks while its loop runs; the child goes on in a loop of its own and blocks it."""

from __future__ import annotations

import asyncio
import multiprocessing
import time


async def work() -> None:
    await asyncio.sleep(0.2)
    time.sleep(0.5)  # BLOCKS
    await asyncio.sleep(0.1)


def child() -> None:
    asyncio.run(work())


if __name__ == "__main__":
    asyncio.run(asyncio.sleep(0.1))
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
