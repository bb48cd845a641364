"""Loops with a bound, or elsewhere."""

import asyncio
from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(max_body_size=1_000_000)


class Batch(BaseModel):
    points: Annotated[list[float], Field(max_length=100)]
    pairs: list[float] = Field(max_length=10)
    size: tuple[int, int] = (0, 0)


async def authorise() -> None:
    await asyncio.sleep(0)


@app.post("/bounded")
async def bounded(batch: Batch) -> list[float]:
    # clean: a hundred at most
    await authorise()
    return [a - b for a in batch.points for b in batch.points]


@app.post("/field")
async def field(batch: Batch) -> list[float]:
    # clean: ten at most, and two
    await authorise()
    return [a - b for a in batch.pairs for b in batch.size]


@app.post("/endpoint")
def endpoint(ids: list[int]) -> int:
    # clean: a thread pays for it
    return sum(a == b for a in ids for b in ids)


@app.post("/awaits")
async def awaits(ids: list[int]) -> None:
    # clean: others get in at each turn
    for _ in ids:
        for _ in ids:
            await asyncio.sleep(0)


def nightly(ids: list[int]) -> int:
    # clean: only the command line comes here
    return sum(a == b for a in ids for b in ids)


if __name__ == "__main__":
    nightly([1])
