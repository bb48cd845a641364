"""Given to a thread, and waited for on the loop."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from fastapi import FastAPI

app = FastAPI()
pool = ThreadPoolExecutor(4)


def work(number: int) -> int:
    time.sleep(number)
    return number


@app.get("/result")
async def result() -> int:
    await asyncio.sleep(0)
    return pool.submit(work, 1).result()  # expect: US109 loop


@app.get("/with")
async def joined_at_the_end() -> None:
    await asyncio.sleep(0)
    with ThreadPoolExecutor() as own:  # expect: US109 loop
        own.submit(work, 1)


@app.get("/completed")
async def completed() -> list[int]:
    await asyncio.sleep(0)
    futures = [pool.submit(work, n) for n in range(3)]
    return [future.result() for future in as_completed(futures)]  # expect: US109 loop


@app.get("/good")
async def awaited() -> int:
    # clean: the loop goes on
    return await asyncio.get_running_loop().run_in_executor(pool, work, 1)


@app.get("/wrapped")
async def wrapped() -> int:
    # clean: the loop goes on
    return await asyncio.wrap_future(pool.submit(work, 1))
